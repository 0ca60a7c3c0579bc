"""Named scenarios: several real engines in a world whose faults happen at chosen moments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hansa_consensus.core import effects as fx
from hansa_consensus.core.engine import EngineStatus, Mode
from hansa_consensus.core.types import Phase, Vote
from hansa_sim.liars import LIARS
from hansa_sim.network import Quality
from hansa_sim.node import Node
from hansa_sim.oracles import digest
from hansa_sim.plan import Plan
from hansa_sim.world import World

QUIET = Quality(base_ms=1, jitter_ms=20)


def new_world(seed: int, members: int = 4, *, faulty: dict[int, str] | None = None, **changes: Any) -> World:
    """Without faults but those of the test; a block every 400 ms."""
    settings: dict[str, Any] = {
        "engine": "pbft",
        "block_time_ms": 400,
        "empty_block_time_ms": 400,
        "request_timeout_ms": 1_000,
        "leader_term": 4,
    }
    settings.update((name, changes.pop(name)) for name in settings if name in changes)
    plan = Plan(
        seed=seed,
        engine=str(settings["engine"]),
        members=members,
        until_ms=0,
        calm_ms=0,
        quality=QUIET,
        engine_settings=settings,
        faulty=faulty or {},
        dead_in_calm=(),
        faults=(),
        work_ms=10,
        sync_ms=2,
        execution_failure=0.0,
        rotate_bytes=1 << 20,
        buggify=False,
        real_signatures=False,
        drifts_ppm=(0,) * members,
        offsets_ms=(0,) * members,
        submit_every_ms=400,
    )
    return World(replace(plan, **changes))


def status(node: Node) -> EngineStatus:
    assert node.engine is not None
    return node.engine.status()


def begin(world: World) -> World:
    """All members up and voting; then those that lie begin to."""
    for node in world.nodes:
        node.start()
    assert world.run(3_000, lambda: all(status(node).mode in (Mode.VOTING, Mode.FOLLOWING) for node in world.nodes))
    for member, how in world.faulty.items():
        for node in world.copies_of[member]:
            if how in LIARS:
                world.liars[node.index] = LIARS[how](world, node, Random(1))
    return world


def submit(world: World, count: int = 1) -> None:
    """Transactions of clients, to all members in turn."""
    for _ in range(count):
        name = digest(b"transaction", world.transactions.to_bytes(8, "big"))
        world.nodes[world.transactions % len(world.nodes)].submit(name)
        world.transactions += 1


def height(node: Node) -> int:
    return len(node.chain.blocks)


def top(world: World) -> int:
    return max(height(node) for node in world.nodes)


def reach(world: World, wanted: int, within_ms: int, nodes: list[Node] | None = None) -> int:
    """Wait until all (running, honest) copies have committed that height; returns how long that took."""
    start = world.now
    chosen = nodes if nodes is not None else [node for node in world.honest() if node.engine is not None]
    done = world.run(world.now + within_ms, lambda: all(height(node) >= wanted for node in chosen))
    assert done, f"no block {wanted} within {within_ms} ms: {[height(node) for node in world.nodes]}"
    return world.now - start


def wait(world: World, for_ms: int) -> None:
    world.run(world.now + for_ms)


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5, 6, 7])
def test_consortium_without_faults_never_changes_its_view(members: int) -> None:
    world = begin(new_world(1, members))
    submit(world, 30)
    reach(world, 30, 30_000)
    assert world.view_changes == 0
    assert len(world.nodes[0].chain.transactions) == 30


def test_block_is_decided_within_four_message_delays() -> None:
    world = begin(new_world(2, quality=Quality(1, 1), work_ms=0, sync_ms=0, empty_block_time_ms=0))
    world.network.quality = Quality(1, 1)
    submit(world)
    assert reach(world, 1, 2_000) <= 400 + 10


def test_idle_consortium_makes_empty_blocks_or_none() -> None:
    world = begin(new_world(3, empty_block_time_ms=2_000))
    wait(world, 20_000)
    assert 8 <= top(world) <= 11
    idle = begin(new_world(3, empty_block_time_ms=0))
    wait(idle, 60_000)
    assert (top(idle), idle.view_changes) == (0, 0)


@pytest.mark.parametrize("members", [4, 7])
def test_silent_leader_costs_one_timeout_per_term(members: int) -> None:
    world = begin(new_world(4, members, faulty={0: "silent_leader"}, leader_term=64))
    assert reach(world, 20, 30_000) < 20 * 500 + 3_000
    assert {status(node).view for node in world.nodes} == {1}


def test_equivocating_leader_cannot_fork_and_is_found() -> None:
    """Twins of the leader propose different blocks to two groups that share a member."""
    world = begin(new_world(5, faulty={0: "twins"}))
    half = {"0a": (1, 2), "0b": (2, 3)}

    def cut(one: int, other: int) -> bool:
        for near, far in ((world.nodes[one], world.nodes[other]), (world.nodes[other], world.nodes[one])):
            if near.name in half and far.member not in half[near.name]:
                return True
        return False

    world.network.cut(cut)
    submit(world, 10)
    wait(world, 6_000)
    world.heal()
    reach(world, top(world) + 5, 20_000)
    assert world.points["double vote found"]


def test_crashed_follower_catches_up_from_its_peers() -> None:
    world = begin(new_world(6, leader_term=64))
    reach(world, 5, 10_000)
    follower = world.nodes[3]
    follower.stop(power=False)
    reach(world, 40, 60_000, world.nodes[:3])
    follower.start()
    reach(world, 40, 5_000, [follower])
    reach(world, 50, 20_000)
    assert world.view_changes == 0


def test_wiped_member_returns_by_certificates_and_observes_before_it_votes() -> None:
    world = begin(new_world(7, faulty={2: "disk"}))
    reach(world, 20, 30_000)
    lost = world.nodes[2]
    lost.stop(power=True)
    lost.folder.restore({})
    lost.chain.cut_to(0)
    wait(world, 200)
    lost.start()
    world.run(world.now + 1_000, lambda: status(lost).mode is not Mode.STARTING)
    assert status(lost).mode is Mode.OBSERVING
    reach(world, 40, 60_000, world.nodes)
    assert status(lost).mode is Mode.VOTING


def hold_commit_votes(world: World, cast: list[Vote]) -> Callable[[], None]:
    """From here on no commit vote leaves its member; returns what ends that."""
    kept = [node._perform[fx.Broadcast] for node in world.nodes]

    def held(perform: Callable[[Any], None]) -> Callable[[Any], None]:
        def act(effect: fx.Broadcast) -> None:
            if isinstance(effect.message, Vote) and effect.message.phase is Phase.COMMIT:
                cast.append(effect.message)
            else:
                perform(effect)

        return act

    def free() -> None:
        for node, perform in zip(world.nodes, kept, strict=True):
            node._perform[fx.Broadcast] = perform

    for node, perform in zip(world.nodes, kept, strict=True):
        node._perform[fx.Broadcast] = held(perform)
    return free


@pytest.mark.parametrize("votes_cast", [1, 2, 3, 4])
def test_power_cut_of_all_between_the_commit_votes_and_commit_brings_the_locked_block_back(votes_cast: int) -> None:
    world = begin(new_world(8 + votes_cast, empty_block_time_ms=0))
    submit(world)
    reach(world, 1, 10_000)
    cast: list[Vote] = []
    free = hold_commit_votes(world, cast)
    submit(world, 2)
    assert world.run(world.now + 5_000, lambda: len(cast) >= votes_cast)
    locked = {vote.to_hash for vote in cast}
    assert len(locked) == 1
    for node in world.nodes:
        node.stop(power=True)
    free()
    wait(world, 500)
    for node in world.nodes:
        node.start()
    submit(world)
    reach(world, 2, 15_000)
    if votes_cast >= 3:  # a quorum had voted to commit: somebody may have been told that the block is decided
        assert {node.chain.blocks[1][0].hash for node in world.nodes} == locked


def test_crash_at_each_effect() -> None:
    """The leader, or a follower, crashes before the n-th effect of the first heights."""
    for victim in (0, 1):
        for moment in range(0, 60, 2):
            world = begin(new_world(100 + moment))
            world.nodes[victim].effects_to_crash = moment + victim
            reach(world, 8, 30_000)
            assert world.crashes == 1


def test_no_block_without_a_quorum_and_one_soon_after_it_returns() -> None:
    world = begin(new_world(9))
    reach(world, 5, 10_000)
    for node in world.nodes[2:]:
        node.stop(power=True)
    before = top(world)
    wait(world, 600_000)
    assert top(world) <= before + 1
    assert max(status(node).target_view for node in world.nodes[:2]) <= 1, "nobody ran ahead (P12)"
    for node in world.nodes[2:]:
        node.start()
    reach(world, top(world) + 2, 10_000)


def test_leader_cut_off_is_replaced_and_follows_again() -> None:
    world = begin(new_world(10))
    reach(world, 3, 10_000)
    world.network.cut(lambda one, other: (one == 0) != (other == 0))
    before = height(world.nodes[0])
    reach(world, before + 10, 15_000, world.nodes[1:])
    assert height(world.nodes[0]) <= before + 1
    world.heal()
    reach(world, before + 15, 15_000)


def test_half_and_half_commits_nothing_and_heals() -> None:
    world = begin(new_world(11))
    reach(world, 3, 10_000)
    world.network.cut(lambda one, other: (one < 2) != (other < 2))
    before = top(world)
    wait(world, 60_000)
    assert top(world) <= before + 1
    world.heal()
    reach(world, before + 3, 10_000)


def test_stopped_leader_wakes_without_harm() -> None:
    world = begin(new_world(12))
    reach(world, 3, 10_000)
    leader = world.nodes[0]
    leader.stopped_until = world.now + 10_000
    world.later(10_000, leader.work)
    reach(world, 10, 20_000, world.nodes[1:])
    world.run(leader.stopped_until + 1)
    reach(world, 15, 20_000)


def test_quorum_lost_for_an_hour_needs_no_restart_by_hand() -> None:
    world = begin(new_world(14, 7))
    reach(world, 3, 10_000)
    world.network.cut(lambda one, other: (one < 4) != (other < 4))
    wait(world, 3_600_000)
    world.heal()
    reach(world, top(world) + 3, 10_000)


def test_poa_followers_follow_and_the_signer_survives_crashes() -> None:
    world = begin(new_world(13, engine="poa"))
    reach(world, 5, 10_000)
    for _ in range(5):
        for node in (world.nodes[0], world.nodes[2]):
            world.crash(node, power=True, restart_after_ms=200)
            wait(world, 300)
        reach(world, top(world) + 3, 10_000)
