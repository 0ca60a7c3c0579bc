"""One seed: a chain begins, lives through its faults, and must go on once they have stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from hansa_consensus.core.engine import Mode

from .faults import schedule
from .liars import LIARS
from .network import Quality
from .node import Node
from .oracles import digest, state_root
from .picture import picture
from .plan import BEGIN_MS, Plan, draw_plan
from .world import Violation, World

CALM_BLOCKS: Final = 3
"""By which the chain must rise in the calm for everybody that is correct."""
SETTLED_MS: Final = 25_000
"""What was accepted this long before the end must be committed by then."""
RECOVERY_MS: Final = 10_000
DOUBLINGS_MS: Final = 60_000
"""The cap of the request time-out."""
CALM_WORK_MS: Final = 20
"""Executors keep up with the shortest block interval then; behind a slower one nobody could catch up."""


@dataclass
class Outcome:
    """What one seed gave; counts add up over seeds."""

    seed: int
    members: int
    violation: str = ""
    picture: str = ""
    trace_hash: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    points: dict[str, int] = field(default_factory=dict)
    recovery_ms: int = -1  # from the beginning of the calm to a new block on every correct member


def run_seed(engine: str, members: int, minutes: float, seed: int) -> Outcome:
    """Draw and run."""
    return run_plan(draw_plan(engine, members, seed, minutes))


def run_plan(plan: Plan) -> Outcome:
    """Run a plan. What an engine raises is a violation, too: an assertion is a bug of ours."""
    world = World(plan)
    outcome = Outcome(plan.seed, plan.members)
    try:
        outcome.recovery_ms = _live(world)
    except Violation as violation:
        outcome.violation = str(violation)
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told with it
        outcome.violation = f"at {world.now} ms: {type(error).__name__}: {error}"
    if outcome.violation:
        outcome.picture = picture(world)
    outcome.trace_hash = world.trace_hash
    outcome.points = dict(world.points)
    outcome.counts = counts_of(world)
    return outcome


def counts_of(world: World) -> dict[str, int]:
    """What happened, in numbers that may be added."""
    return {
        "blocks_committed": max(len(node.chain.blocks) for node in world.nodes),
        "view_changes": world.view_changes,
        "crashes": world.crashes,
        "power_cuts": world.power_cuts,
        "partitions": world.partitions,
        "corruptions": world.corruptions + sum(node.folder.faults for node in world.nodes),
        "evidence": len(world.checkers.found),
        "transactions": world.transactions,
        "messages": world.network.sent,
        "messages_lost": world.network.lost,
        "messages_duplicated": world.network.duplicated,
        "resets": world.network.resets,
        "faulty_members": len(world.faulty),
        "events": world.events,
        "virtual_ms": world.now,
    }


def _live(world: World) -> int:
    plan = world.plan
    _begin(world)
    for member, how in plan.faulty.items():
        for node in world.copies_of[member]:
            if how in LIARS:
                world.liars[node.index] = LIARS[how](world, node, Random(f"{plan.seed} liar {node.index}"))
    for node in world.nodes:
        node.drift_ppm = plan.drifts_ppm[node.member]
        node.offset_ms = plan.offsets_ms[node.member]
        if abs(node.offset_ms) > 1_000:
            world.skewed[node.member] = None
        if abs(node.offset_ms) == 3_600_000:
            world.points.sometimes("clock an hour off")
    world.network.quality = replace(plan.quality)
    world.execution_failure = plan.execution_failure
    schedule(world)
    world.run(plan.calm_ms)
    return _calm(world)


def _begin(world: World) -> None:
    """All members meet on a good network."""
    world.network.quality = Quality()
    world.execution_failure = 0.0
    for node in world.nodes:
        world.later(world.fault_random.randrange(200), node.start)

    def voting() -> bool:
        return all(
            node.engine is not None and node.engine.status().mode in (Mode.VOTING, Mode.FOLLOWING)
            for node in world.nodes
        )

    if not world.run(BEGIN_MS - 1, voting):
        raise world.violation("the chain does not begin")
    _submit(world)


def _submit(world: World) -> None:
    """Clients: some transactions to some member, again and again."""
    every = world.plan.submit_every_ms
    if world.calm:  # a block needs work where there are no empty ones
        every = min(every, world.plan.block_time_ms)
    world.later(1 + world.client_random.randrange(2 * every), _submit, world)
    able = world.nodes
    if world.calm:
        able = [node for node in world.honest() if node.member not in world.plan.dead_in_calm]
    node = able[world.client_random.randrange(len(able))]
    for _ in range(world.client_random.choice((1, 1, 2, 5))):
        name = digest(b"transaction", world.transactions.to_bytes(8, "big"))
        world.transactions += 1
        if node.submit(name):
            world.accepted[name] = (node, world.now)


# --- the calm ---------------------------------------------------------------------------------------------------------


def _calm(world: World) -> int:
    """Faults stop; q members are correct and stay so (L1, L2, and 13)."""
    plan = world.plan
    world.calm = True
    world.note(world.nodes[0], "calm")
    world.good_network()
    world.execution_failure = 0.0
    world.work_most_ms = min(plan.work_ms, CALM_WORK_MS)
    for node in world.nodes:
        node.folder.failing.clear()
        node.folder.full = False
        node.stopped_until = 0
        node.effects_to_crash = -1
        if node.member in plan.dead_in_calm:
            node.stop(power=True)
        elif node.engine is None:
            world.later(100, node.start)
        else:
            world.later(0, node.work)
    correct = [node for node in world.honest() if node.member not in plan.dead_in_calm]
    start, goal = world.now, world.height() + CALM_BLOCKS
    bound = _bound(world, correct)
    world.later(1_000, _submit, world)  # whatever the clients were about to do: there is work now

    def first() -> bool:
        return any(len(node.chain.blocks) > goal - CALM_BLOCKS for node in correct)

    if not world.run(min(plan.until_ms, start + bound), first) and start + bound < plan.until_ms:
        raise world.violation(f"L1: no block after {bound} ms of calm")

    def risen() -> bool:
        return all(node.engine is not None and len(node.chain.blocks) >= goal for node in correct)

    if not world.run(plan.until_ms, risen):
        raise world.violation(
            f"L1: no {CALM_BLOCKS} blocks above {goal - CALM_BLOCKS} after {world.now - start} ms of calm"
        )
    recovery = world.now - start
    world.run(plan.until_ms)
    _ending(world, correct)
    return recovery


def _bound(world: World, correct: list[Node]) -> int:
    """L1: 10 s and the time until a block is due; at worst f + 1 views fail first, each waiting twice as long."""
    plan, profile = world.plan, world.profile
    due = 2 * max(plan.block_time_ms, int(plan.engine_settings["empty_block_time_ms"]))
    patience = max((profile.patience_ms(node.engine) for node in correct if node.engine is not None), default=0)
    waits = [min(patience << failed, DOUBLINGS_MS) for failed in range(1 + (plan.members - 1) // 3)]
    return RECOVERY_MS + due + sum(waits)


def _ending(world: World, correct: list[Node]) -> None:
    """What must hold at the end of a run."""
    highest = max(len(node.chain.blocks) for node in correct)
    for node in correct:
        if len(node.chain.blocks) + 2 + 2_000 // world.plan.block_time_ms < highest:
            raise world.violation(f"L1: {node.name} is at {len(node.chain.blocks)}, others at {highest}")
        _executed_again(world, node)
        _status(world, node)
    for name, (node, at) in world.accepted.items():
        if node in correct and at < world.now - max(SETTLED_MS, 14 * world.plan.block_time_ms):
            for each in correct:
                if name not in each.chain.transactions and len(each.chain.blocks) == highest:
                    raise world.violation(f"L2: a transaction that {node.name} accepted at {at} ms is not committed")
    for (signer, phase, height, view), teller in world.checkers.doubles.items():
        if (signer, phase, height, view) not in world.checkers.found:
            raise world.violation(
                f"P26: two {phase} votes of {signer} at {height}, view {view}, reached {teller}; nobody tells"
            )


def _executed_again(world: World, node: Node) -> None:
    """S4: the chain, executed from the beginning, gives the roots that it says (6)."""
    root = world.checkers.roots[0]
    for candidate, _, bodies in node.chain.blocks:
        said = world.checkers.roots[candidate.number]
        root = state_root(root, digest(b"transactions", bodies))
        if root != said:
            raise world.violation(f"S4: {node.name} executed {candidate.number} wrongly")


def _status(world: World, node: Node) -> None:
    """Status tells the truth (13)."""
    assert node.engine is not None
    status = node.engine.status()
    if (status.head, status.head_hash) != (len(node.chain.blocks), node.chain.head.hash):
        raise world.violation(f"{node.name} says that its head is {status.head}")
    if status.highest_known > max(world.checkers.certified, default=0) and not node.busy:
        raise world.violation(f"{node.name} believes in height {status.highest_known}")
    for member, height in status.peer_heads.items():
        if height > max(world.checkers.certified, default=0):
            raise world.violation(f"{node.name} believes that {member} is at {height}")
    if status.mode not in (Mode.VOTING, Mode.FOLLOWING):
        raise world.violation(f"{node.name} does not vote at the end: {status.mode}, {status.waiting_for}")
    for member, up in node.reachable.items():
        alive = any(copy.engine is not None for copy in world.copies_of[member])
        if up != alive and member not in world.faulty:
            raise world.violation(f"{node.name} says that {member} is {'up' if up else 'missing'}, which is not so")


# --- smaller plans that fail as well ----------------------------------------------------------------------------------


def minimise(plan: Plan, tries: int = 60) -> Plan:
    """Leave out of a failing plan what it fails without: faults by halves, then what is always on."""
    for smaller in _smaller(plan):
        if tries <= 0:
            return plan
        tries -= 1
        if run_plan(smaller).violation:
            return minimise(smaller, tries)
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    count = len(plan.faults)
    size = count
    while size >= 1:
        for start in range(0, count, size):
            yield replace(plan, faults=plan.faults[:start] + plan.faults[start + size :])
        size //= 2
    simple: dict[str, Any] = {
        "quality": Quality(),
        "execution_failure": 0.0,
        "buggify": False,
        "dead_in_calm": (),
        "drifts_ppm": (0,) * plan.members,
        "offsets_ms": (0,) * plan.members,
        "sync_ms": 1,
        "work_ms": 2,
    }
    for name, value in simple.items():
        if getattr(plan, name) != value:
            yield replace(plan, **{name: value})
    for member in plan.faulty:
        yield replace(plan, faulty={other: how for other, how in plan.faulty.items() if other != member})
