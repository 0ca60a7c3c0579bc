"""Faults of real processes under load (spec reliability, section 3): afterwards blocks go on and nothing is lost."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.consortium import Consortium, Member, RpcFailed, kill, wait_for
from support.links import Links
from support.load import Load, check_agreement, check_committed
from support.recovery import RECOVERY_FACTOR, record

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

LEADER_TERM = 64
SETTLE_SECONDS = 2.0
"""Load before the fault, so that it meets blocks in all stages."""

SERVICES = ("statedb", "executor", "p2p", "consensus", "api")


def leader(members: list[Member]) -> int:
    """Index of the leader of the next height (design, "Views and leaders")."""
    height = max(member.head or 0 for member in members if member.up) + 1
    view = max(member.view or 0 for member in members if member.up)
    return (height // LEADER_TERM + view) % len(members)


@contextmanager
def under_load(consortium: Consortium, fault: str, bound_seconds: float) -> Iterator[Callable[[], None]]:
    """Run a fault under load; the body calls what it yields when the fault is over. Then check everything."""
    members = consortium.members()
    keys = [account["private_key"] for account in consortium.accounts()]
    ended: list[tuple[float, int]] = []

    def over() -> None:
        ended.append((time.monotonic(), max(_heights(members), default=0)))

    start = min(_heights(members))
    with record(fault) as recovered:
        with Load(members, keys, consortium.status()["chain_id"]) as load:
            time.sleep(SETTLE_SECONDS)
            yield over
            since, height = ended[0]
            wait_for(
                f"{fault}: next commit",
                lambda: max(_heights(members), default=0) > height,
                RECOVERY_FACTOR * bound_seconds,
            )
            recovered(time.monotonic() - since)
            wait_for(
                f"{fault}: all members follow",
                lambda: len(heights := _heights(members)) == len(members) and min(heights) > height,
                RECOVERY_FACTOR * 30,
            )
            time.sleep(SETTLE_SECONDS)
        assert load.accepted, "the load got nothing accepted"
        assert not load.refused, f"valid transactions refused: {load.refused[:3]}"
        check_committed(members, load.accepted, RECOVERY_FACTOR * 20)
        check_agreement(members, max(0, start - 1))


def _heights(members: list[Member]) -> list[int]:
    found = []
    for member in members:
        try:
            found.append(int(member.rpc("eth_blockNumber", timeout=2), 16))
        except (RpcFailed, OSError, ValueError):
            continue
        except Exception as error:
            if type(error).__module__.startswith("httpx"):
                continue
            raise
    return found


def test_kill_of_a_follower(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of a follower", 10) as over:
        members = whole.members()
        victim = members[(leader(members) + 1 + round_number) % 4]
        kill(victim.pids["node"])
        over()


def test_kill_of_the_leader(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of the leader", 10) as over:
        members = whole.members()
        kill(members[leader(members)].pids["node"])
        over()


def test_kill_of_all_members_at_once(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "kill -9 of all four", 15) as over:
        for member in whole.members():
            kill(member.pids["node"])
        over()


def test_leader_stopped_for_ten_seconds(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "SIGSTOP of the leader for 10 s", 10) as over:
        members = whole.members()
        victim = members[leader(members)]
        kill(victim.pids["node"], signal.SIGSTOP)
        try:
            others = [member for member in members if member.name != victim.name]
            height = max(_heights(others))
            wait_for("the others go on", lambda: max(_heights(others)) > height + 1, RECOVERY_FACTOR * 10)
            time.sleep(10)
        finally:
            kill(victim.pids["node"], signal.SIGCONT)
        over()


def test_two_of_four_away(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "two of four away for 60 s", 10) as over:
        members = whole.members()
        away, here = members[:2], members[2:]
        for member in away:
            kill(member.pids["node"], signal.SIGSTOP)
        try:
            time.sleep(5)  # what was already under way may still finish
            height = here[0].height()
            named = wait_for(
                "status names them", lambda: sorted(whole.status()["missing"]) == sorted(m.name for m in away), 30
            )
            assert named
            time.sleep(50)
            assert here[0].height() == height, "a block without a quorum"
            assert here[1].rpc("eth_getBlockByNumber", "latest", False)["number"] == hex(height), "reads go on"
        finally:
            for member in away:
                kill(member.pids["node"], signal.SIGCONT)
        over()


def test_wiped_member(whole: Consortium, round_number: int) -> None:
    with under_load(whole, "a wiped member", 10) as over:
        members = whole.members()
        victim = members[(leader(members) + 2) % 4]
        kill(victim.pids["node"], signal.SIGSTOP)
        for name in ("statedb", "consensus"):
            shutil.rmtree(whole.folder / victim.name / "data" / name)
        kill(victim.pids["node"])
        over()


def test_partition_of_the_leader(linked: tuple[Consortium, Links], round_number: int) -> None:
    consortium, links = linked
    with under_load(consortium, "partition leader | rest for 15 s", 10) as over:
        members = consortium.members()
        alone = leader(members)
        rest = {index for index in range(4) if index != alone}
        links.partition({alone}, rest)
        try:
            others = [members[index] for index in sorted(rest)]
            height = max(_heights(others))
            wait_for("the rest goes on", lambda: max(_heights(others)) > height + 1, RECOVERY_FACTOR * 10)
            time.sleep(10)
        finally:
            links.heal()
        over()


@pytest.mark.parametrize("service", SERVICES)
def test_kill_of_one_service(split: Consortium, service: str, round_number: int) -> None:
    with under_load(split, f"kill -9 of one {service} (split shape)", 10) as over:
        members = split.members()
        victim = members[(leader(members) + round_number) % 4]
        kill(victim.pids[service])
        over()


def test_kill_of_the_first_of_two_executors(split: Consortium, round_number: int) -> None:
    with under_load(split, "kill -9 of one of two executors", 10) as over:
        kill(split.members()[0].pids["executor"])
        over()
