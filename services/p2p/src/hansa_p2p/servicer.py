"""The gRPC borders: `Peer` for members, `P2p` for this member's consensus."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import structlog
from hansa.rpc import abort
from hansa.stages import charged
from hansa.v1 import p2p_pb2, p2p_pb2_grpc

from hansa_p2p import metrics
from hansa_p2p.config import P2pConfig
from hansa_p2p.core.inbox import Inbox
from hansa_p2p.core.queues import Kind, Message
from hansa_p2p.errors import LinkEnded, PeerRefused
from hansa_p2p.handshakes import Handshakes
from hansa_p2p.identity import peer_of
from hansa_p2p.links import Frame, Link
from hansa_p2p.mesh import Mesh

_log = structlog.get_logger()


class PeerServicer(p2p_pb2_grpc.PeerServicer):
    """Streams that other members dialled."""

    def __init__(self, config: P2pConfig, mesh: Mesh, handshakes: Handshakes) -> None:
        self._node_keys = {member.node_key: member.index for member in config.others}
        self._mesh = mesh
        self._handshakes = handshakes

    async def Exchange(self, request_iterator: Any, context: Any) -> None:
        """Serve one stream to its end."""
        self._handshakes.ended()
        try:
            peer = self._mesh.peers[peer_of(context.auth_context(), self._node_keys)]

            async def read() -> Frame | None:
                request = await context.read()
                return request.frame if isinstance(request, p2p_pb2.ExchangeRequest) else None

            async def write(frame: Frame) -> None:
                await context.write(p2p_pb2.ExchangeResponse(frame=frame))

            await self._mesh.serve(Link(peer, self._mesh, read, write))
        except PeerRefused as error:
            metrics.REFUSED.labels(reason=error.reason).inc()
            code = grpc.StatusCode.UNAVAILABLE if error.reason == "away" else grpc.StatusCode.FAILED_PRECONDITION
            await abort(context, code, f"PEER_{error.reason.upper()}", str(error))
        except LinkEnded as error:
            await abort(context, grpc.StatusCode.UNAVAILABLE, f"LINK_{error.reason.upper()}", str(error))


class P2pServicer(p2p_pb2_grpc.P2pServicer):
    """What consensus uses."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._current: asyncio.Future[None] | None = None

    async def Attach(self, request_iterator: Any, context: Any) -> None:
        """Carry messages for one consensus process until it leaves or another comes."""
        if self._current is not None and not self._current.done():
            self._current.set_result(None)
        replaced = self._current = asyncio.get_running_loop().create_future()
        inbox, wake = Inbox(), asyncio.Event()
        self._mesh.attach(inbox, wake.set)
        _log.info("consensus_attached")
        work = [asyncio.ensure_future(self._take(context)), asyncio.ensure_future(self._give(context, inbox, wake))]
        try:
            await asyncio.wait([*work, replaced], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._mesh.detach(inbox)
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            _log.info("consensus_detached", replaced=replaced.done())
        if replaced.done():
            await abort(context, grpc.StatusCode.ABORTED, "ATTACHMENT_REPLACED", "another consensus attached")

    @charged("gossip")
    async def _take(self, context: Any) -> None:
        while isinstance(request := await context.read(), p2p_pb2.AttachRequest):
            match request.WhichOneof("request"):
                case "send":
                    send = request.send
                    try:
                        kind = Kind(getattr(send, "class"))
                    except ValueError:
                        metrics.DROPPED.labels(reason="unknown_class").inc()
                        continue
                    self._mesh.send(send.to, Message(kind, send.payload))
                case "score":
                    self._mesh.fault(request.score.member, request.score.reason)

    @charged("gossip")
    async def _give(self, context: Any, inbox: Inbox, wake: asyncio.Event) -> None:
        while True:
            if (change := inbox.pop_change()) is not None:
                response = p2p_pb2.AttachResponse(change=p2p_pb2.PeerChange(member=change[0], up=change[1]))
            elif (item := inbox.pop()) is not None:
                sender, message = item
                # `from` and `class` are Python's words, so they go in by name.
                fields: Any = {"from": sender, "class": int(message.kind), "payload": message.payload}
                response = p2p_pb2.AttachResponse(message=p2p_pb2.PeerMessage(**fields))
            else:
                wake.clear()
                await wake.wait()
                continue
            await context.write(response)

    async def GetPeers(self, request: p2p_pb2.GetPeersRequest, context: Any) -> p2p_pb2.GetPeersResponse:
        """All other members, by index."""
        now = asyncio.get_running_loop().time()
        return p2p_pb2.GetPeersResponse(
            peers=[
                p2p_pb2.PeerInfo(
                    member=index,
                    name=peer.member.name,
                    endpoint=peer.member.endpoint,
                    connected=peer.link is not None,
                    rtt_us=int(peer.rtt_seconds * 1e6),
                    score=peer.score.score(now),
                    bytes_in=peer.bytes_in,
                    bytes_out=peer.bytes_out,
                    dropped=peer.dropped,
                    client_version=peer.client_version,
                )
                for index, peer in self._mesh.peers.items()
            ]
        )
