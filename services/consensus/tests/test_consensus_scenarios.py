"""Named scenarios in the deterministic world: several real engines, oracle keys, faults at chosen moments."""

from __future__ import annotations

import pytest
from consensus_world import Copy, Faults, World
from hansa_consensus.core import effects as fx
from hansa_consensus.core.effects import Broadcast
from hansa_consensus.core.engine import Mode
from hansa_consensus.core.types import Phase, Vote


def begin(world: World) -> World:
    """All members up and voting."""
    world.start_all()
    assert world.run(3_000, lambda: all(world.is_voting(copy) for copy in world.copies))
    return world


def reach(world: World, height: int, within_ms: int, copies: list[Copy] | None = None) -> int:
    """Wait until all (running) copies have committed `height`; returns how long that took."""
    start = world.now
    wanted = copies if copies is not None else [copy for copy in world.honest() if copy.engine is not None]
    done = world.run(world.now + within_ms, lambda: all(len(copy.disk.blocks) >= height for copy in wanted))
    assert done, f"no block {height} within {within_ms} ms: {world.heads()}\n{world.picture()}"
    return world.now - start


def top(world: World) -> int:
    return max(len(copy.disk.blocks) for copy in world.copies)


@pytest.mark.parametrize("members", [1, 2, 3, 4, 5, 6, 7])
def test_consortium_without_faults_never_changes_its_view(members: int) -> None:
    world = begin(World(1, members))
    world.submit(30)
    reach(world, 30, 30_000)
    assert world.view_changes == 0
    assert world.reports == []


def test_block_is_decided_within_four_message_delays() -> None:
    world = begin(World(2, 4, faults=Faults(slow_ms=1, execution_ms=0, sync_ms=0), block_time_ms=400))
    world.submit(1)
    assert reach(world, 1, 2_000) <= 400 + 10


def test_idle_consortium_makes_empty_blocks_or_none() -> None:
    world = begin(World(3, 4, empty_block_time_ms=2_000))
    world.run(world.now + 20_000)
    assert 8 <= top(world) <= 11
    idle = begin(World(3, 4, empty_block_time_ms=0))
    idle.run(idle.now + 60_000)
    assert (top(idle), idle.view_changes) == (0, 0)


@pytest.mark.parametrize("members", [4, 7])
def test_silent_leader_costs_one_timeout_per_term(members: int) -> None:
    world = begin(World(4, members, silent_leaders=[0], leader_term=64))
    world.submit(20)
    taken = reach(world, 20, 30_000)
    assert taken < 20 * 500 + 3_000
    assert {copy.engine.status().view for copy in world.copies if copy.engine} == {1}


def test_equivocating_leader_cannot_fork_and_is_found() -> None:
    """Twins of the leader propose different blocks to two groups that share a member."""
    world = World(5, 4, twins=[0])
    half = {"0a": (1, 2), "0b": (2, 3)}
    begin(world)

    def cut(sender: Copy, receiver: Copy) -> bool:
        for one, other in ((sender, receiver), (receiver, sender)):
            if one.name in half and other.member not in half[one.name]:
                return True
        return False

    world.cut = cut
    world.submit(10)
    world.run(world.now + 6_000)
    world.cut = lambda sender, receiver: False
    reach(world, top(world) + 5, 20_000)
    assert any(first.signer == 0 for first, _ in world.evidence)


def test_crashed_follower_catches_up_from_its_peers() -> None:
    world = begin(World(6, 4, leader_term=64))
    world.submit(60)
    reach(world, 5, 10_000)
    follower = world.copies[3]
    world.crash(follower)
    others = world.copies[:3]
    reach(world, 40, 60_000, others)
    world.start(follower)
    reach(world, 40, 5_000, [follower])
    reach(world, 50, 20_000)
    assert world.view_changes == 0


def test_wiped_member_returns_by_certificates_and_observes_before_it_votes() -> None:
    world = begin(World(7, 4))
    world.submit(80)
    reach(world, 20, 30_000)
    lost = world.copies[2]
    world.crash(lost)
    world.wipe(lost)
    world.run(world.now + 200)
    world.start(lost)
    world.run(world.now + 1_000, lambda: world.status(lost).mode is not Mode.STARTING)
    assert world.status(lost).mode is Mode.OBSERVING
    reach(world, 40, 60_000)
    assert world.status(lost).mode is Mode.VOTING


@pytest.mark.parametrize("votes_cast", [1, 2, 3, 4])
def test_power_cut_of_all_between_the_commit_votes_and_commit_brings_the_locked_block_back(votes_cast: int) -> None:
    world = begin(World(8 + votes_cast, 4, empty_block_time_ms=0))
    world.submit(3)
    reach(world, 2, 10_000)
    # From here on no commit vote leaves its member: all lock, nobody can commit.
    cast: list[Vote] = []
    perform = world.effect

    def hold(copy: Copy, effect: fx.Effect) -> None:
        message = effect.message if isinstance(effect, Broadcast) else None
        if isinstance(message, Vote) and message.phase is Phase.COMMIT:
            cast.append(message)
        else:
            perform(copy, effect)

    world.effect = hold  # type: ignore[method-assign]
    assert world.run(world.now + 5_000, lambda: len(cast) >= votes_cast)
    locked = {vote.to_hash for vote in cast}
    assert len(locked) == 1
    for copy in world.copies:
        world.crash(copy)
    world.effect = perform  # type: ignore[method-assign]
    world.run(world.now + 500)
    for copy in world.copies:
        world.start(copy)
    reach(world, 3, 15_000)
    if votes_cast >= 3:  # a quorum had voted to commit: somebody may have been told that the block is decided
        assert {copy.disk.blocks[2][0].hash for copy in world.copies} == locked


def crash_before_effect(world: World, victim: Copy, moment: int) -> None:
    """Have `victim` crash before the effect number `moment` that it performs, and restart soon after."""
    perform, performed = world.effect, [0]

    def counted(copy: Copy, effect: fx.Effect) -> None:
        if copy is victim:
            performed[0] += 1
            if performed[0] == moment + 1:
                world.crash(copy)
                world.later(300, lambda: world.start(copy))
                return
        perform(copy, effect)

    world.effect = counted  # type: ignore[method-assign]


def test_crash_at_each_effect() -> None:
    """The leader, or a follower, crashes before the n-th effect of the first heights."""
    for victim in (0, 1):
        for moment in range(0, 60, 2):
            world = begin(World(100 + moment, 4))
            world.submit(12)
            crash_before_effect(world, world.copies[victim], moment + victim)
            reach(world, 8, 30_000)
            assert world.crashes == 1


def test_no_block_without_a_quorum_and_one_soon_after_it_returns() -> None:
    world = begin(World(9, 4))
    world.submit(200)
    reach(world, 5, 10_000)
    for copy in world.copies[2:]:
        world.crash(copy)
    before = top(world)
    world.run(world.now + 600_000)
    assert top(world) <= before + 1
    views = [world.status(copy).target_view for copy in world.copies[:2]]
    assert max(views) <= 1, "nobody ran ahead (P12)"
    for copy in world.copies[2:]:
        world.start(copy)
    reach(world, top(world) + 2, 10_000)


def test_leader_cut_off_is_replaced_and_follows_again() -> None:
    world = begin(World(10, 4))
    world.submit(100)
    reach(world, 3, 10_000)
    world.cut = lambda sender, receiver: (sender.member == 0) != (receiver.member == 0)
    others = world.copies[1:]
    height = len(world.copies[0].disk.blocks)
    reach(world, height + 10, 15_000, others)
    assert len(world.copies[0].disk.blocks) <= height + 1
    world.cut = lambda sender, receiver: False
    reach(world, height + 15, 15_000)


def test_half_and_half_commits_nothing_and_heals() -> None:
    world = begin(World(11, 4))
    world.submit(100)
    reach(world, 3, 10_000)
    world.cut = lambda sender, receiver: (sender.member < 2) != (receiver.member < 2)
    before = top(world)
    world.run(world.now + 60_000)
    assert top(world) <= before + 1
    world.cut = lambda sender, receiver: False
    reach(world, before + 3, 10_000)


def test_stopped_leader_wakes_without_harm() -> None:
    world = begin(World(12, 4))
    world.submit(100)
    reach(world, 3, 10_000)
    leader = world.copies[0]
    leader.stopped_until = world.now + 10_000
    world.later(10_000, lambda: world.work(leader))
    reach(world, 10, 20_000, world.copies[1:])
    world.run(leader.stopped_until + 1)
    reach(world, 15, 20_000)


def test_poa_followers_follow_and_the_signer_survives_crashes() -> None:
    world = World(13, 4, engine="poa")
    world.start_all()
    world.submit(60)
    reach(world, 5, 10_000)
    for _ in range(5):
        world.crash(world.copies[0])
        world.run(world.now + 200)
        world.start(world.copies[0])
        world.crash(world.copies[2])
        world.run(world.now + 300)
        world.start(world.copies[2])
        reach(world, top(world) + 3, 10_000)


def test_one_seed_is_one_history() -> None:
    def history() -> tuple[list[str], int]:
        world = World(77, 4, faults=Faults(loss=0.1, duplicate=0.1, slow_tail=0.05), twins=[2])
        world.start_all()
        world.submit(50)
        world.later(3_000, lambda: world.crash(world.copies[1]))
        world.later(4_000, lambda: world.start(world.copies[1]))
        world.run(8_000)
        return list(world.trace), world.events

    assert history() == history()
