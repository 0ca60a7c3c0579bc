"""What the faults of a plan do to the world. A fault that lasts undoes itself."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Final

from .plan import PARTITIONS, Fault

if TYPE_CHECKING:
    from .node import Node
    from .world import World

Perform = Callable[["World", Fault, "Node", Random], None]


def schedule(world: World) -> None:
    """Have the plan's faults happen at their times."""
    for fault in world.plan.faults:
        world.later(fault.at_ms - world.now, _happen, world, fault)


def _happen(world: World, fault: Fault) -> None:
    if world.calm:
        return
    node = world.nodes[fault.victim % len(world.nodes)]
    if fault.kind in PARTITIONS:
        world.partitions += 1
    world.note(node, f"fault {fault.kind}")
    FAULTS[fault.kind](world, fault, node, Random(fault.number))


def _unless_calm(world: World, delay_ms: int, action: Callable[[], None]) -> None:
    def act() -> None:
        if not world.calm:
            action()

    world.later(delay_ms, act)


# --- ends of processes and machines -----------------------------------------------------------------------------------


def _crash(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.crash(node, restart_after_ms=fault.for_ms)


def _power_cut(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.power_cuts += 1
    world.crash(node, power=True, restart_after_ms=fault.for_ms)


def _power_cut_all(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.power_cuts += 1
    world.points.sometimes("power of all members cut")
    for each in world.nodes:
        world.crash(each, power=True, restart_after_ms=300 + draw.randrange(1 + fault.for_ms))


def _crash_at_effect(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """In the middle of the effects of one event, several times in a row."""
    node.effects_to_crash = draw.randrange(40)
    for each in range(draw.randrange(4)):
        _unless_calm(world, 2_000 * (each + 1), lambda: setattr(node, "effects_to_crash", draw.randrange(40)))


def _rolling_restart(world: World, fault: Fault, node: Node, draw: Random) -> None:
    for at, each in enumerate(world.nodes):
        _unless_calm(world, at * 2_000, lambda each=each: world.crash(each, restart_after_ms=1_500))  # type: ignore[misc]


def _quorum_lost(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """More than f members end; they come back one after the other."""
    members = list(range(world.members))
    draw.shuffle(members)
    away = members[: world.members - world.profile.quorum(world.members) + 1 + draw.randrange(2)]
    for at, member in enumerate(away):
        for each in world.copies_of[member]:
            world.crash(each, power=draw.random() < 0.3, restart_after_ms=2 * fault.for_ms + at * 3_000)


def _stop(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """SIGSTOP, and SIGCONT later."""
    node.stopped_until = world.now + fault.for_ms
    if fault.for_ms > 5_000:
        world.points.sometimes("member stopped for more than 5 s")
    world.later(fault.for_ms, node.work)


# --- the network ------------------------------------------------------------------------------------------------------


def _cut(world: World, fault: Fault, is_cut: Callable[[int, int], bool]) -> None:
    """Cut links; connections over them break after a while."""
    world.network.cut(is_cut)
    if fault.number % 2:
        for one in world.nodes:
            for other in world.nodes:
                if one.index < other.index and is_cut(one.index, other.index):
                    _unless_calm(world, min(2_000, fault.for_ms), lambda a=one, b=other: world.reset(a, b))  # type: ignore[misc]
    _unless_calm(world, fault.for_ms, world.heal)


def _partition(world: World, fault: Fault, node: Node, draw: Random) -> None:
    side = [draw.random() < 0.5 for _ in world.nodes]
    if draw.random() < 0.7:  # twins together
        side = [side[each.member] for each in world.nodes]
    _cut(world, fault, lambda one, other: side[one] != side[other])


def _leader(world: World, draw: Random) -> int:
    leaders = world.leaders()
    return leaders[draw.randrange(len(leaders))] if leaders else draw.randrange(world.members)


def _isolate_leader(world: World, fault: Fault, node: Node, draw: Random) -> None:
    leader = _leader(world, draw)
    cut = [each.member == leader for each in world.nodes]
    _cut(world, fault, lambda one, other: cut[one] != cut[other])


def _deaf_leader(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """The leader is heard and hears nothing, or the other way round."""
    leader, deaf = _leader(world, draw), draw.random() < 0.5
    cut = [each.member == leader for each in world.nodes]
    _cut(world, fault, lambda one, other: cut[other] if deaf else cut[one])


def _one_way(world: World, fault: Fault, node: Node, draw: Random) -> None:
    pairs = [[draw.random() < 0.3 for _ in world.nodes] for _ in world.nodes]
    _cut(world, fault, lambda one, other: pairs[one][other])


def _bridge(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Two halves that one member joins."""
    side = [draw.random() < 0.5 for _ in range(world.members)]
    bridge = draw.randrange(world.members)
    member = [each.member for each in world.nodes]
    _cut(
        world,
        fault,
        lambda one, other: side[member[one]] != side[member[other]] and bridge not in (member[one], member[other]),
    )


def _ring(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Each hears its two neighbours only."""
    order = list(range(world.members))
    draw.shuffle(order)
    place = {member: at for at, member in enumerate(order)}
    member = [each.member for each in world.nodes]

    def far(one: int, other: int) -> bool:
        apart = (place[member[one]] - place[member[other]]) % world.members
        return apart not in (0, 1, world.members - 1)

    _cut(world, fault, far)


def _swizzle(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Members are cut off one by one and come back in another order."""
    chosen = [member for member in range(world.members) if draw.random() < 0.5]
    off: dict[int, None] = {}
    member = [each.member for each in world.nodes]

    def change(who: int, *, cut: bool) -> None:
        if cut:
            off[who] = None
        else:
            off.pop(who, None)
        world.network.cut(
            lambda one, other: member[one] != member[other] and (member[one] in off or member[other] in off)
        )

    for at, who in enumerate(chosen):
        _unless_calm(world, at * 700, lambda who=who: change(who, cut=True))  # type: ignore[misc]
    draw.shuffle(chosen)
    for at, who in enumerate(chosen):
        _unless_calm(world, fault.for_ms + at * 700, lambda who=who: change(who, cut=False))  # type: ignore[misc]


def _flapping_leader(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Whoever leads is cut off every other second."""
    for at in range(0, fault.for_ms + 4_000, 2_000):
        _unless_calm(world, at, lambda: _isolate_leader(world, Fault(0, "", 0, 1_000, 0), node, draw))


def _clog(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Everything from or to a member waits, then comes at once."""
    for other in range(len(world.nodes)):
        there = draw.random() < 0.5
        link = world.network.links[node.index][other] if there else world.network.links[other][node.index]
        link.clogged_until = world.now + fault.for_ms


def _reset(world: World, fault: Fault, node: Node, draw: Random) -> None:
    for other in world.nodes:
        if other.member != node.member and draw.random() < 0.6:
            world.reset(node, other)


def _lossy(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """For a while much is lost, everywhere."""
    quality = world.network.quality
    before, quality.loss = quality.loss, 0.3
    _unless_calm(world, fault.for_ms, lambda: setattr(quality, "loss", before))


# --- disks, executor, clocks ------------------------------------------------------------------------------------------


def _sync_fails(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.corruptions += 1
    node.folder.failing["sync"] = 1


def _write_fails(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.corruptions += 1
    node.folder.failing[draw.choice(("write", "read"))] = 1


def _disk_full(world: World, fault: Fault, node: Node, draw: Random) -> None:
    node.folder.full = True
    world.later(fault.for_ms, lambda: setattr(node.folder, "full", False))


def _executor_away(world: World, fault: Fault, node: Node, draw: Random) -> None:
    before, world.execution_failure = world.execution_failure, 0.5
    _unless_calm(world, fault.for_ms, lambda: setattr(world, "execution_failure", before))


def _clock_jump(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """The clock of one member, always the same, jumps; f members may be wrong."""
    wrong = [member for member in range(world.members) if member in world.skewed]
    room = (world.members - 1) // 3 - len(world.faulty) - len(world.plan.dead_in_calm)
    able = node.member not in (*world.profile.indispensable, *world.faulty, *world.plan.dead_in_calm)
    if not wrong and room > 0 and able:
        wrong = [node.member]
    for member in wrong:
        world.skewed[member] = None
        for each in world.copies_of[member]:
            each.offset_ms = draw.choice((-3_600_000, 3_600_000, draw.randint(-60_000, 60_000)))
            if abs(each.offset_ms) == 3_600_000:
                world.points.sometimes("clock an hour off")


def _statedb_behind(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """statedb comes back from a backup; the vote log does not. Always the same member: blocks lost by more than f members
    could be gone for good."""
    node = world.nodes[-1]
    world.crash(node, restart_after_ms=fault.for_ms)
    if node.engine is None:
        node.chain.cut_to(max(0, len(node.chain.blocks) - draw.randrange(40)))


# --- disks that lie: of faulty members only ---------------------------------------------------------------------------


def _restore_old(world: World, fault: Fault, node: Node, draw: Random) -> None:
    """Log and statedb of some time ago."""
    world.corruptions += 1
    node = world.copies_of[fault.victim][0]
    image, height = node.folder.image(), len(node.chain.blocks)

    def restore() -> None:
        world.crash(node, restart_after_ms=fault.for_ms)
        if node.engine is None:
            node.folder.restore(image)
            node.chain.cut_to(height)

    _unless_calm(world, 5_000 + draw.randrange(30_000), restore)


def _lost_log(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.corruptions += 1
    node = world.copies_of[fault.victim][0]
    world.crash(node, restart_after_ms=fault.for_ms)
    if node.engine is None:
        node.folder.restore({})


def _rot(world: World, fault: Fault, node: Node, draw: Random) -> None:
    node = world.copies_of[fault.victim][0]
    world.crash(node, restart_after_ms=fault.for_ms)
    if node.engine is None and node.folder.rot():
        world.corruptions += 1


def _wiped(world: World, fault: Fault, node: Node, draw: Random) -> None:
    world.corruptions += 1
    node = world.copies_of[fault.victim][0]
    world.crash(node, restart_after_ms=fault.for_ms)
    if node.engine is None:
        node.folder.restore({})
        node.chain.cut_to(0)
        node.journal.clear()


FAULTS: Final[dict[str, Perform]] = {
    "crash": _crash,
    "power_cut": _power_cut,
    "power_cut_all": _power_cut_all,
    "crash_at_effect": _crash_at_effect,
    "partition": _partition,
    "isolate_leader": _isolate_leader,
    "deaf_leader": _deaf_leader,
    "one_way": _one_way,
    "bridge": _bridge,
    "ring": _ring,
    "swizzle": _swizzle,
    "flapping_leader": _flapping_leader,
    "rolling_restart": _rolling_restart,
    "quorum_lost": _quorum_lost,
    "stop": _stop,
    "clog": _clog,
    "reset": _reset,
    "sync_fails": _sync_fails,
    "write_fails": _write_fails,
    "disk_full": _disk_full,
    "executor_away": _executor_away,
    "clock_jump": _clock_jump,
    "statedb_behind": _statedb_behind,
    "lossy": _lossy,
    "restore_old": _restore_old,
    "lost_log": _lost_log,
    "rot": _rot,
    "wiped": _wiped,
}
