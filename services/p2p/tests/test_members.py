"""Services with real TLS on ports of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from hansa.v1 import p2p_pb2, p2p_pb2_grpc
from hansa_p2p.core.inbox import Inbox
from hansa_p2p.core.queues import Kind, Message
from hansa_p2p.service import P2pService
from p2p_members import Attached, at, configs, eventually, start, start_all


@asynccontextmanager
async def running(services: list[P2pService]) -> AsyncIterator[list[Attached]]:
    """Attach to services and stop everything at the end."""
    attached = [await Attached.to(service) for service in services]
    try:
        yield attached
    finally:
        for one in attached:
            await one.close()
        for service in services:
            await service.stop()


async def test_four_members_form_a_full_mesh_and_know_who_speaks() -> None:
    services = await start_all(configs(4))
    async with running(services) as attached:
        for index, one in enumerate(attached):
            await one.until_up(*(other for other in range(4) if other != index))
        for index, one in enumerate(attached):
            await one.send(b"from %d" % index, kind=1)
        for index, one in enumerate(attached):
            got = sorted([await one.message() for _ in range(3)])
            assert got == [(other, 1, b"from %d" % other) for other in range(4) if other != index]
        peers = await p2p_pb2_grpc.P2pStub(attached[0].channel).GetPeers(p2p_pb2.GetPeersRequest())
        assert [(peer.name, peer.connected, peer.client_version) for peer in peers.peers] == [
            (name, True, "hansa/test") for name in ("m2", "m3", "m4")
        ]


async def test_message_to_one_member_reaches_only_it_in_order_and_whole() -> None:
    services = await start_all(configs(3))
    async with running(services) as attached:
        await attached[0].until_up(1, 2)
        large = bytes(20 << 20)
        await attached[0].send(large, 1, kind=5)
        assert await attached[1].message() == (0, 5, large)
        for number in range(100):
            await attached[0].send(b"%d" % number, 1, kind=4)
        assert [(await attached[1].message())[2] for _ in range(100)] == [b"%d" % number for number in range(100)]
        await attached[0].send(b"end", 2, kind=4)
        assert await attached[2].message() == (0, 4, b"end")


async def test_member_that_restarts_elsewhere_in_time_is_found_again() -> None:
    members = configs(2)
    services = await start_all(members)
    async with running(services[:1]) as attached:
        await attached[0].until_up(1)
        port = services[1].port
        await services[1].stop()
        await attached[0].until_down(1)
        await attached[0].send(b"lost")  # to a member that is away: dropped
        again = await start(replace(members[1], port=port))
        async with running([again]) as (other,):
            await attached[0].until_up(1)
            await attached[0].send(b"kept")
            assert (await other.message())[2] == b"kept"


async def test_second_attachment_ends_the_first() -> None:
    services = await start_all(configs(2))
    async with running(services) as attached:
        await attached[0].until_up(1)
        second = await Attached.to(services[0])
        await second.until_up(1)
        await attached[1].until_up(0)
        await attached[1].send(b"x")
        assert (await second.message())[2] == b"x"
        assert (await attached[0].call.code()).name == "ABORTED"
        await second.close()


async def test_bodies_pushed_before_consensus_attaches_wait_for_it_and_votes_do_not() -> None:
    services = await start_all(configs(2))
    async with running(services[:1]) as attached:
        await attached[0].until_up(1)
        for number in range(20):
            await attached[0].send(b"body %d" % number, kind=4)
            await attached[0].send(b"vote %d" % number, kind=1)
        mesh = services[1]._mesh
        assert mesh is not None
        await eventually(lambda: (mesh.peers[0].dropped, len(mesh._held)) == (20, 20))
        async with running(services[1:]) as (late,):
            await late.until_up(0)
            await attached[0].send(b"end", kind=4)
            got = [await late.message() for _ in range(21)]
            assert got == [(0, 4, payload) for payload in [*(b"body %d" % number for number in range(20)), b"end"]]


async def test_bodies_that_one_attachment_did_not_take_reach_the_next() -> None:
    services = await start_all(configs(2))
    async with running(services) as attached:
        await attached[0].until_up(1)
        await attached[1].until_up(0)
        mesh = services[1]._mesh
        assert mesh is not None
        first, second = Inbox(), Inbox()
        mesh.attach(first, lambda: None)
        await attached[0].send(b"body", kind=4)
        await attached[0].send(b"vote", kind=1)
        await eventually(lambda: sum(len(queue) for queue in first._queues.values()) == 2)
        mesh.attach(second, lambda: None)
        mesh.detach(first)  # it was replaced already: nothing more happens
        assert second.pop() == (0, Message(Kind.TRANSACTION, b"body"))
        assert second.pop() is None


async def test_chain_of_another_genesis_is_refused() -> None:
    one, two = configs(2)
    two = replace(two, greeting=replace(two.greeting, genesis_hash=b"\x09" * 32))
    right = await start(two)
    left = await start(at(one, {1: right.port}))
    async with running([left, right]) as attached:
        assert left._mesh is not None
        peer = left._mesh.peers[1]
        await eventually(lambda: peer.last_problem == "wrong_genesis")
        peers = await p2p_pb2_grpc.P2pStub(attached[0].channel).GetPeers(p2p_pb2.GetPeersRequest())
        assert not peers.peers[0].connected


async def test_member_with_three_faults_is_sent_away() -> None:
    services = await start_all(configs(3))
    async with running(services) as attached:
        await attached[0].until_up(1, 2)
        for _ in range(3):
            await attached[0].score(1, "bad_signature")
        await attached[0].until_down(1)
        peers = await p2p_pb2_grpc.P2pStub(attached[0].channel).GetPeers(p2p_pb2.GetPeersRequest())
        assert [(peer.connected, peer.score) for peer in peers.peers] == [(False, -3), (True, 0)]
