"""Faults of real processes under load (spec reliability, section 3): afterwards blocks go on and nothing is lost.

Two of four members are away for 60 s in full runs (HANSA_CHAOS_ROUNDS >= 10) and for 20 s otherwise.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from support.consortium import UP_SECONDS_MAX, Consortium, Member, RpcFailed, kill, members_of, wait_for
from support.links import Links
from support.load import Load, check_committed
from support.recovery import RECOVERY_FACTOR, Recovery, record

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SETTLE_SECONDS = 2.0
"""Load before the fault, so that it meets blocks in all stages."""

FOLLOW_SECONDS_MAX = 30
"""A member that was away follows the head by then (promise L1)."""

AWAY_SECONDS = 60 if int(os.environ.get("HANSA_CHAOS_ROUNDS", "1")) >= 10 else 20

SERVICES = ("statedb", "executor", "p2p", "consensus", "api")


@dataclass
class Scene:
    """What a fault is made of."""

    members: list[Member]
    ended: float = 0.0  # monotonic seconds
    height: int = 0  # when the fault ended

    def leader(self) -> int:
        """Index of the member that is leader now, as the first that answers has it."""
        name = next(member.rpc("hansa_getNodeStatus")["leader"] for member in self.members)
        return next(index for index, member in enumerate(self.members) if member.name == name)

    def over(self) -> None:
        """The fault is over; what follows is recovery."""
        self.ended = time.monotonic()
        self.height = max(_heights(self.members), default=self.height)

    def since(self) -> float:
        """Seconds since the fault ended."""
        return time.monotonic() - self.ended


@contextmanager
def under_load(
    consortium: Consortium, fault: str, bound_seconds: float, *, without: int | None = None
) -> Iterator[Scene]:
    """Make a fault in the body, which calls `over` when it ends. Then check everything.

    Clients use all members but number `without`.
    """
    status = wait_for("all processes of the last fault are back", lambda: _all_up(consortium), UP_SECONDS_MAX)
    members = members_of(status)
    keys = [account["private_key"] for account in status["accounts"]]
    scene = Scene(members, height=max(_heights(members)))
    first = max(0, min(_heights(members)) - 1)
    with record(fault) as recovered:
        used = [member for i, member in enumerate(members) if i != without]
        with Load(used, keys, status["chain_id"]) as load:
            time.sleep(SETTLE_SECONDS)
            yield scene
            wait_for(
                f"{fault}: next commit",
                lambda: max(_heights(members), default=0) > scene.height,
                RECOVERY_FACTOR * bound_seconds,
            )
            next_commit = scene.since()
            wait_for(
                f"{fault}: all members follow",
                lambda: len(heights := _heights(members)) == len(members) and min(heights) > scene.height,
                RECOVERY_FACTOR * FOLLOW_SECONDS_MAX,
            )
            recovered(Recovery(next_commit, scene.since()))
            time.sleep(SETTLE_SECONDS / 2)
        assert load.accepted, "the load got nothing accepted"
        assert not load.refused, f"valid transactions refused: {load.refused[:3]}"
        check_committed(members, load.accepted, RECOVERY_FACTOR * 20, first)


def _all_up(consortium: Consortium) -> dict[str, Any] | None:
    status = consortium.status()
    return status if all(member["up"] for member in status["members"]) else None


def _heights(members: list[Member]) -> list[int]:
    found = []
    for member in members:
        try:
            found.append(int(member.rpc("eth_blockNumber", timeout=2), 16))
        except (RpcFailed, httpx.HTTPError, OSError, ValueError):
            continue
    return found


def test_kill_of_a_follower(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of a follower", 10) as scene:
        kill(scene.members[(scene.leader() + 1 + round_number % 3) % 4].pids["node"])
        scene.over()


def test_kill_of_the_leader(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of the leader", 10) as scene:
        kill(scene.members[scene.leader()].pids["node"])
        scene.over()


def test_kill_of_all_members_at_once(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of all four", 15) as scene:
        scene.height = max(_heights(scene.members))
        for member in scene.members:
            kill(member.pids["node"])
        scene.over()


def test_leader_stopped_for_ten_seconds(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "SIGSTOP of the leader for 10 s", 10) as scene:
        victim = scene.members[scene.leader()]
        began = time.monotonic()
        kill(victim.pids["node"], signal.SIGSTOP)
        try:
            _goes_on([member for member in scene.members if member is not victim])
            _sleep_until(began + 10)
        finally:
            kill(victim.pids["node"], signal.SIGCONT)
        scene.over()


def test_two_of_four_away(whole: Consortium, round_number: int) -> None:
    with under_load(whole, f"two of four away for {AWAY_SECONDS} s", 10) as scene:
        away, here = scene.members[:2], scene.members[2:]
        began = time.monotonic()
        for member in away:
            kill(member.pids["node"], signal.SIGSTOP)
        try:
            time.sleep(5)  # what was already under way may still finish
            height = here[0].height()
            names = sorted(member.name for member in away)
            wait_for("status names them", lambda: sorted(whole.status()["missing"]) == names, 30)
            _sleep_until(began + AWAY_SECONDS)
            assert here[0].height() == height, "a block without a quorum"
            assert here[1].rpc("eth_getBlockByNumber", "latest", False)["number"] == hex(height), "reads go on"
        finally:
            for member in away:
                kill(member.pids["node"], signal.SIGCONT)
        scene.over()


def test_wiped_member(whole: Consortium, round_number: int) -> None:
    # What a member accepted and had not passed on yet goes with its disk: clients use the others.
    number = round_number % 4
    with under_load(whole, "a wiped member", 10, without=number) as scene:
        victim = scene.members[number]
        kill(victim.pids["node"], signal.SIGSTOP)
        for service in ("statedb", "consensus"):
            shutil.rmtree(whole.folder / victim.name / "data" / service)
        kill(victim.pids["node"])
        scene.over()


def test_partition_of_the_leader(linked: tuple[Consortium, Links], round_number: int) -> None:
    consortium, links = linked
    with under_load(consortium, "partition of the leader from the rest for 15 s", 10) as scene:
        leader = scene.leader()
        alone, rest = scene.members[leader], [one for index, one in enumerate(scene.members) if index != leader]
        began = time.monotonic()
        links.partition({leader}, set(range(4)) - {leader})
        try:
            height = alone.height()
            _goes_on(rest)
            _sleep_until(began + 15)
            assert alone.height() <= height + 1, "the partition holds nothing back"
        finally:
            links.heal()
        scene.over()


@pytest.mark.parametrize("service", SERVICES)
def test_kill_of_one_service(split: Consortium, service: str, round_number: int) -> None:
    with under_load(split, f"kill -9 of one {service} (split shape)", 10) as scene:
        kill(scene.members[(scene.leader() + round_number) % 4].pids[service])
        scene.over()


def test_kill_of_the_first_of_two_executors(split: Consortium, round_number: int) -> None:
    with under_load(split, "kill -9 of one of two executors", 10) as scene:
        kill(scene.members[0].pids["executor"])
        scene.over()


def _goes_on(members: list[Member]) -> None:
    height = max(_heights(members))
    wait_for("the others go on", lambda: max(_heights(members)) > height + 1, RECOVERY_FACTOR * 10)


def _sleep_until(deadline: float) -> None:
    time.sleep(max(0.0, deadline - time.monotonic()))
