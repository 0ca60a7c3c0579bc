"""Practical Byzantine fault tolerance after Castro & Liskov (1999), with BLS certificates and no checkpoints.

What differs from the paper: heights are agreed on one after the other, each block names its parent, so a sequence
number is a height and a stable checkpoint is a commit certificate; prepared proofs are aggregates; views never go
back to 0. `engine` puts the small machines together: `votes`, `view_changes`, `timing`.
"""

from .engine import PbftEngine

__all__ = ["PbftEngine"]
