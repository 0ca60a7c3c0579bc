"""Named places where a simulated run may make the code behave badly on purpose: shorter queues, dropped answers.

Inert in services: nobody arms it there, and a check costs one comparison. The simulator arms it per run with a source of
its own randomness, so the cores stay deterministic. Everything done under it must be allowed to happen anyway.
"""

from collections.abc import Callable

__all__ = ["arm", "buggify", "disarm"]

_fires: Callable[[str], bool] | None = None


def buggify(name: str) -> bool:
    """Whether to misbehave at the point `name`, here and now; False unless a simulation armed it."""
    return _fires is not None and _fires(name)


def arm(fires: Callable[[str], bool]) -> None:
    """Let `fires` decide, for this process, until `disarm`."""
    global _fires
    _fires = fires


def disarm() -> None:
    """Inert again."""
    global _fires
    _fires = None
