"""A random life of one consortium, drawn from a seed: chaos (safety only), then calm (liveness must return)."""

from __future__ import annotations

import random

from consensus_world import Copy, Faults, World

CHAOS_MS = 12_000
CALM_MS = 60_000
CALM_BLOCKS = 3


def draw_world(seed: int) -> tuple[World, random.Random]:
    """Which faults are on, and how strongly, differs from run to run (swarm testing)."""
    draw = random.Random(seed * 7919 + 1)
    members = draw.choice((4, 4, 4, 7))
    f = (members - 1) // 3
    kind = draw.choice(("none", "none", "twins", "liars", "silent"))
    chosen = draw.sample(range(members), draw.randint(1, f)) if kind != "none" else []
    faults = Faults(
        loss=draw.choice((0.0, 0.0, 0.05, 0.2)),
        duplicate=draw.choice((0.0, 0.1)),
        slow_ms=draw.choice((5, 20, 200)),
        slow_tail=draw.choice((0.0, 0.0, 0.02)),
        execution_failure=draw.choice((0.0, 0.0, 0.05)),
        execution_ms=draw.choice((5, 50, 300)),
        sync_ms=draw.choice((1, 5, 40)),
    )
    world = World(
        seed,
        members,
        twins=chosen if kind == "twins" else (),
        liars=chosen if kind == "liars" else (),
        silent_leaders=chosen if kind == "silent" else (),
        faults=faults,
        leader_term=draw.choice((1, 3, 64)),
        empty_block_time_ms=draw.choice((0, 1_000, 2_000)),
    )
    return world, draw


def run_seed(seed: int) -> World:
    """Raises `AssertionError` with what went wrong; deterministic."""
    world, draw = draw_world(seed)
    faults, liars = world.faults, world.liars
    world.faults, world.liars = Faults(), set()
    for copy in world.copies:
        world.later(draw.randrange(200), lambda copy=copy: world.start(copy))  # type: ignore[misc]
    # A new chain begins when all have met (rule K4: until then a liar could pretend that it is not new).
    if not world.run(5_000, lambda: all(world.is_voting(copy) for copy in world.copies)):
        raise AssertionError(f"seed {seed}: the chain does not begin\n{world.picture()}")
    world.faults, world.liars = faults, liars
    _script(world, draw)
    world.run(CHAOS_MS)
    _calm(world, seed)
    return world


def _script(world: World, draw: random.Random) -> None:
    """Faults at random times of the chaos phase."""
    kinds = draw.sample(("crash", "partition", "one_way", "power_cut", "stop", "load", "wipe"), draw.randint(1, 4))
    at = 500
    while at < CHAOS_MS - 500:
        at += draw.randrange(100, 2_000)
        kind = draw.choice(kinds)
        world.later(at, lambda kind=kind: _fault(world, draw, kind))  # type: ignore[misc]
        if draw.random() < 0.7:
            world.later(at, lambda: world.submit(draw.randint(1, 5)))


def _restart(world: World, copy: Copy) -> None:
    if copy.engine is None:
        world.start(copy)


def _fault(world: World, draw: random.Random, kind: str) -> None:
    copy = draw.choice(world.copies)
    match kind:
        case "crash":
            world.crash(copy)
            world.later(50 + draw.randrange(3_000), lambda: _restart(world, copy))
        case "power_cut":
            for each in world.copies:
                world.crash(each)
                world.later(50 + draw.randrange(1_500), lambda each=each: _restart(world, each))  # type: ignore[misc]
        case "partition":
            side = {member: draw.random() < 0.5 for member in range(world.members)}
            twin_side = {name.name: draw.random() < 0.5 for name in world.copies}
            both = draw.random() < 0.5  # twins on both sides
            world.cut = lambda sender, receiver: (
                (twin_side[sender.name] if both else side[sender.member])
                != (twin_side[receiver.name] if both else side[receiver.member])
            )
            world.later(draw.randrange(300, 4_000), lambda: _heal(world))
        case "one_way":
            deaf = draw.randrange(world.members)
            out = draw.random() < 0.5
            world.cut = lambda sender, receiver: (sender if out else receiver).member == deaf
            world.later(draw.randrange(300, 4_000), lambda: _heal(world))
        case "stop":
            copy.stopped_until = world.now + draw.randrange(500, 5_000)
            world.later(copy.stopped_until - world.now, lambda: world.work(copy))
        case "load":
            world.submit(draw.randint(1, 20))
        case "wipe":
            # statedb alone, and always the same member's: were blocks lost on more than f members, some could be
            # gone for good. (The loss of a vote log is a test of its own.)
            copy = world.copies[0]
            world.crash(copy)
            world.later(50, lambda: world.wipe(copy, log=False) if copy.engine is None else None)
            world.later(100 + draw.randrange(2_000), lambda: _restart(world, copy))


def _heal(world: World) -> None:
    world.cut = lambda sender, receiver: False


def _calm(world: World, seed: int) -> None:
    """Faults stop, liars and twins go on; all honest members must follow the head and the head must rise (L1)."""
    _heal(world)
    world.faults = Faults()
    for copy in world.copies:
        copy.stopped_until = 0
        if copy.engine is None:
            world.later(100, lambda copy=copy: _restart(world, copy))  # type: ignore[misc]
        else:
            world.later(0, lambda copy=copy: world.work(copy))  # type: ignore[misc]
    goal = max(len(copy.disk.blocks) for copy in world.honest()) + CALM_BLOCKS
    for step in range(1, 30):
        world.later(step * 500, lambda: world.submit(2))

    def risen() -> bool:
        return all(copy.engine is not None and len(copy.disk.blocks) >= goal for copy in world.honest())

    if not world.run(world.now + CALM_MS, risen):
        raise AssertionError(f"seed {seed}: no {CALM_BLOCKS} blocks after the calm\n{world.picture()}")
