"""PBFT's rules P3 to P6, recomputed from what is said, independently of the engine (checker 4).

Written from the rules: a member that voted to commit A at a height votes for nothing else there, unless it entered the
view by q view changes that speak about this height and imply another block, or none; what they imply binds in any case;
its view changes name A with its highest view; a commit vote follows q prepare votes and a durable prepared certificate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hansa_consensus.core.types import InstalledView, NewView, Phase, ViewChange, Vote

if TYPE_CHECKING:
    from .node import Node
    from .world import World


def implied(new_view: NewView) -> tuple[int, dict[int, bytes]]:
    """(height of the last committed block, height -> block that must follow), rule P5."""
    base = max(change.vote.from_height for change in new_view.view_changes)
    parent = next(change.vote.from_hash for change in new_view.view_changes if change.vote.from_height == base)
    must: dict[int, bytes] = {}
    height = base + 1
    while True:
        best = -1
        chosen = b""
        for change in new_view.view_changes:
            for block in change.prepared:
                on = block.certificate
                if on.to_height == height and on.from_hash == parent and on.view > best:
                    best, chosen = on.view, on.to_hash
        if best < 0:
            return base, must
        must[height] = parent = chosen
        height += 1


class Locks:
    """For all honest members of one run."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._commits: dict[tuple[int, int], tuple[int, bytes]] = {}  # (member, height) -> highest (view, block)
        self._entered: dict[tuple[int, int], NewView | None] = {}  # (member, view) -> its right

    def installed(self, node: Node, installed: InstalledView) -> None:
        """The member enters a view."""
        self._entered[node.member, installed.view] = installed.new_view
        if installed.new_view is not None and implied(installed.new_view)[1]:
            self.world.points.sometimes("new-view bound a block")

    def voted(self, node: Node, vote: Vote, change: ViewChange | None) -> None:
        """An honest member sends a vote for the first time."""
        match vote.phase:
            case Phase.PREPARE:
                self._prepare(node, vote)
            case Phase.COMMIT:
                self._commit(node, vote)
            case Phase.VIEW_CHANGE if change is not None:
                self._change(node, change)

    def _prepare(self, node: Node, vote: Vote) -> None:
        world = self.world
        new_view = self._entered.get((node.member, vote.view))
        base, must = (-1, {}) if new_view is None else implied(new_view)
        bound = must.get(vote.to_height)
        if bound is not None and bound != vote.to_hash:
            raise world.violation(
                f"P5: {node.name} prepares another block than its new-view implies, at {vote.to_height}"
            )
        lock = self._commits.get((node.member, vote.to_height))
        if lock is None or lock[1] == vote.to_hash:
            return
        if bound is None and base != vote.from_height:
            raise world.violation(f"P4: {node.name} prepares against its lock at {vote.to_height}, view {vote.view}")
        world.points.sometimes("lock gave way to another block")

    def _commit(self, node: Node, vote: Vote) -> None:
        world, checkers = self.world, self.world.checkers
        prepared = checkers.tally.get((Phase.PREPARE, vote.to_height, vote.view, vote.to_hash), 0)
        if prepared.bit_count() < checkers.quorum:
            raise world.violation(
                f"P3: {node.name} commits {vote.to_height} in view {vote.view} without a quorum of prepares"
            )
        if ("prepared", vote.view, vote.to_height, vote.to_hash) not in checkers.durable_votes[node.index]:
            raise world.violation(f"P3: {node.name} commits {vote.to_height} and its lock is not durable")
        known = self._commits.get((node.member, vote.to_height))
        if known is None or vote.view > known[0]:
            self._commits[node.member, vote.to_height] = (vote.view, vote.to_hash)

    def _change(self, node: Node, change: ViewChange) -> None:
        lock = self._commits.get((node.member, change.vote.to_height))
        if lock is None or lock[0] >= change.vote.view:
            return
        for block in change.prepared:
            on = block.certificate
            if on.to_height == change.vote.to_height and (on.view, on.to_hash) == lock:
                return
        raise self.world.violation(
            f"P3: the view change of {node.name} for view {change.vote.view} hides its lock at {change.vote.to_height}"
        )
