"""Whole members that agree on blocks: every service real, in one process."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hansa.packing import unpack
from hansa.v1 import consensus_pb2, statedb_pb2, wire_pb2
from members import Member, consortium, start_all, stop_all, transfers


@asynccontextmanager
async def running(folder: Path, count: int, **choices: Any) -> AsyncIterator[list[Member]]:
    """A consortium that runs."""
    members = consortium(folder, count, **choices)
    try:
        await start_all(members)
        yield members
        assert [failure for member in members for failure in member.failures] == []
    finally:
        await stop_all(members)


async def same_chain(members: list[Member]) -> int:
    """All members hold the same block at the lowest common height, which is returned."""
    height = min([await member.head() for member in members])
    assert len({await member.block_hash(height) for member in members}) == 1
    return height


async def test_lone_signer_commits_what_it_accepts(tmp_path: Path) -> None:
    async with running(tmp_path, 1, engine="poa", empty_block_time=0) as (member,):
        response = await member.submit(transfers(member.chain, sender=0, first_nonce=0, count=100))
        assert not response.refusals
        await member.until_committed(response.hashes)
        status = await member.status()
        assert status.head == await member.head()
        assert status.waiting_for == ""


async def test_follower_of_a_signer_gets_every_block(tmp_path: Path) -> None:
    async with running(tmp_path, 2, engine="poa", empty_block_time="1s") as members:
        response = await members[1].submit(transfers(members[1].chain, sender=0, first_nonce=0, count=20))
        for member in members:
            await member.until_committed(response.hashes)
        await same_chain(members)


async def test_four_members_agree_and_commit_what_any_of_them_accepts(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        responses = await asyncio.gather(
            *(
                member.submit(transfers(member.chain, sender=index, first_nonce=0, count=50))
                for index, member in enumerate(members)
            )
        )
        for response in responses:
            assert not response.refusals
            for member in members:
                await member.until_committed(response.hashes)
        assert await same_chain(members) >= 1
        status = await members[0].status()
        assert [(one.name, one.up) for one in status.members] == [(f"m{i}", True) for i in range(1, 5)]
        assert status.quorum == 3


async def test_member_that_stops_changes_nothing_and_catches_up_when_it_is_back(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        await members[3].stop()
        response = await members[0].submit(transfers(members[0].chain, sender=0, first_nonce=0, count=30))
        for member in members[:3]:
            await member.until_committed(response.hashes)
        status = await members[0].status()
        assert list(status.missing) == ["m4"]
        await members[3].start()
        await members[3].until_committed(response.hashes)
        await same_chain(members)


async def test_leader_that_stops_is_replaced(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s", request_timeout="1s") as members:
        await members[1].until_head(1)
        leader = (await members[1].status()).leader
        others = [member for index, member in enumerate(members) if index != leader]
        await members[leader].stop()
        response = await others[0].submit(transfers(others[0].chain, sender=0, first_nonce=0, count=10))
        for member in others:
            await member.until_committed(response.hashes)
        assert (await others[0].status()).view > 0
        await members[leader].start()
        await members[leader].until_committed(response.hashes)
        await same_chain(members)


async def test_half_of_the_members_make_no_block_and_say_whom_they_miss(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        for member in members[2:]:
            await member.stop()
        statuses: list[Any] = []

        async def asked() -> None:
            async with asyncio.timeout(20):
                while not statuses or len(statuses[-1].missing) < 2:
                    statuses.append(await members[0].status())
                    await asyncio.sleep(0.1)

        await asked()
        assert statuses[-1].waiting_for == "waiting for 3 of 4: no answer from m3, m4"
        height = await members[0].head()
        response = await members[0].submit(transfers(members[0].chain, sender=0, first_nonce=0, count=5))
        assert not response.refusals
        for member in members[2:]:
            await member.start()
        for member in members:
            await member.until_committed(response.hashes)
        assert await same_chain(members) > height


async def test_all_members_stopped_at_once_resume_and_keep_what_they_accepted(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        packed = transfers(members[0].chain, sender=0, first_nonce=0, count=40)
        response = await members[0].submit(packed)
        await asyncio.gather(*(member.stop() for member in members))
        await start_all(members)
        for member in members:
            await member.until_committed(response.hashes)
        await same_chain(members)
        assert len(unpack(packed)) == 40


async def test_executor_and_statedb_that_restart_stop_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        for name in ("executor", "statedb", "p2p"):
            await members[0].stop(name)
            response = await members[1].submit(
                transfers(members[1].chain, sender=0, first_nonce=_next(members[1]), count=5)
            )
            await members[1].until_committed(response.hashes)
            await members[0].start(name)
            await members[0].until_committed(response.hashes)
        await same_chain(members)


_nonces: dict[str, int] = {}


def _next(member: Member) -> int:
    """First nonce of five that no earlier call gave."""
    key = str(member.folder)
    _nonces[key] = _nonces.get(key, -5) + 5
    return _nonces[key]


async def test_burst_from_every_member_is_committed_once_each(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        count = 400
        responses = await asyncio.gather(
            *(
                member.submit(transfers(member.chain, sender=index, first_nonce=0, count=count))
                for index, member in enumerate(members)
            )
        )
        for response in responses:
            assert not response.refusals
            await members[0].until_committed(response.hashes)
        total = 0
        height = await members[0].head()
        for number in range(1, height + 1):
            request = statedb_pb2.GetBlocksRequest(
                count=1,
                parts=statedb_pb2.BlockParts(hashes=True),
                **{"from": number},  # type: ignore[arg-type]
            )
            total += len((await members[0].statedb.GetBlocks(request)).blocks[0].hashes) // 32
        assert total == 4 * count


async def test_wiped_member_gets_the_chain_back_and_votes_again(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="400ms") as members:
        response = await members[0].submit(transfers(members[0].chain, sender=0, first_nonce=0, count=10))
        for member in members:
            await member.until_committed(response.hashes)
        await members[3].stop()
        shutil.rmtree(members[3].folder / "statedb")
        shutil.rmtree(members[3].folder / "consensus")
        await members[3].start()
        await members[3].until_committed(response.hashes)
        height = await members[0].head()
        for member in members:
            await member.until_head(height + 7)  # beyond what it only watches (rule K4)
        await members[2].stop()  # from here on three are needed, and it is one of them
        again = await members[3].submit(transfers(members[3].chain, sender=1, first_nonce=0, count=3))
        await members[0].until_committed(again.hashes)
        await same_chain([members[0], members[1], members[3]])


async def test_second_executor_takes_over_when_the_first_dies(tmp_path: Path) -> None:
    async with running(tmp_path, 1, engine="poa", empty_block_time=0) as (member,):
        await member.stop("consensus")
        await member.add_executor()
        await member.start("consensus")
        first = await member.submit(transfers(member.chain, sender=0, first_nonce=0, count=2))
        await member.until_committed(first.hashes)
        await member.stop("executor")
        second = await member.submit(transfers(member.chain, sender=0, first_nonce=2, count=2))
        await member.until_committed(second.hashes)


async def test_bodies_that_never_arrived_are_fetched_from_the_proposer(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        leader = (await members[0].status()).leader
        # The leader's pushes are lost: its own p2p gets no message of the class of transactions.
        network = members[leader].services["consensus"]._network
        send = network.send
        network.send = lambda to, kind, payload: None if kind == 4 else send(to, kind, payload)
        response = await members[leader].submit(transfers(members[leader].chain, sender=0, first_nonce=0, count=25))
        for member in members:
            await member.until_committed(response.hashes)


async def test_member_that_talks_nonsense_is_scored_and_nobody_else_notices(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        await members[0].until_head(1)
        liar = members[3].services["consensus"]._network
        liar.send((), 1, b"\xff\xff\xff nonsense")
        liar.send((), 4, wire_pb2.WireMessage(transactions=b"\x00\x00\x00\x09short").SerializeToString())
        liar.send((), 1, wire_pb2.WireMessage(vote=wire_pb2.Vote(phase="prepare")).SerializeToString())
        async with asyncio.timeout(20):
            while "m4" not in (await members[0].status()).missing:  # noqa: ASYNC110 - a state of others
                await asyncio.sleep(0.05)
        response = await members[0].submit(transfers(members[0].chain, sender=0, first_nonce=0, count=5))
        for member in members[:3]:
            await member.until_committed(response.hashes)


async def test_consortium_that_lost_half_of_its_vote_logs_goes_on_when_operators_release_them(tmp_path: Path) -> None:
    async with running(tmp_path, 4, engine="pbft", empty_block_time="1s") as members:
        for member in members:
            await member.until_head(2)
        await asyncio.gather(*(member.stop() for member in members))
        for member in members[2:]:
            shutil.rmtree(member.folder / "consensus" / "votes")
        await start_all(members)
        async with asyncio.timeout(20):
            while (await members[2].status()).waiting_for != "waiting for heights to observe":  # noqa: ASYNC110 - theirs
                await asyncio.sleep(0.05)
        height = await same_chain(members)
        for member in members[2:]:
            await member.consensus.ReleaseVoting(consensus_pb2.ReleaseVotingRequest())
        for member in members:
            await member.until_head(height + 2)
        await same_chain(members)


async def test_transactions_below_the_base_fee_make_no_storm_of_empty_blocks(tmp_path: Path) -> None:
    async with running(tmp_path, 1, engine="poa", empty_block_time=0, zero_base_fee=False) as (member,):
        low = await member.submit(transfers(member.chain, sender=0, first_nonce=0, count=3, max_fee_wei=1))
        assert [refusal.refusal.code for refusal in low.refusals] in ([], ["fee_cap_too_low"] * 3)
        await asyncio.sleep(1.5)  # seven block times: nothing to wait for, nothing shall happen
        assert await member.head() <= 1
        good = transfers(member.chain, sender=1, first_nonce=0, count=2, max_fee_wei=10**10)
        response = await member.submit(good)
        assert not response.refusals
        await member.until_committed(response.hashes)
        assert await member.head() <= 3
