"""The stream to this member's p2p: messages out by class, messages and changes in, attached again when it ends."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import grpc.aio
import structlog
from hansa.rpc import channel
from hansa.stages import charged
from hansa.v1 import p2p_pb2, p2p_pb2_grpc, wire_pb2

from . import metrics
from .clients import pauses
from .core.types import MessageClass
from .limits import OUTBOX_BYTES_MAX, OUTBOX_MESSAGES_MAX

_log = structlog.get_logger()


class Receiver(Protocol):
    """Who gets what members send. Called on the event loop; must not block."""

    def peer_changed(self, member: int, *, up: bool) -> None:
        """A member can be reached (again), or not any more."""

    def message_received(self, sender: int, payload: bytes) -> None:
        """A `WireMessage` of a member."""


class Outbox:
    """What waits for our own p2p: votes before the rest, order kept within a class, bounded per class."""

    def __init__(self) -> None:
        self._queues: dict[MessageClass, deque[p2p_pb2.AttachRequest]] = {kind: deque() for kind in MessageClass}
        self._bytes = dict.fromkeys(MessageClass, 0)
        self._wake = asyncio.Event()

    def push(self, kind: MessageClass, request: p2p_pb2.AttachRequest) -> None:
        """Append; the oldest of the class goes when it is full."""
        queue, size = self._queues[kind], len(request.send.payload)
        while queue and (len(queue) >= OUTBOX_MESSAGES_MAX or self._bytes[kind] + size > OUTBOX_BYTES_MAX):
            self._bytes[kind] -= len(queue.popleft().send.payload)
            metrics.DROPPED.labels(queue="outbox").inc()
        queue.append(request)
        self._bytes[kind] += size
        self._wake.set()

    async def pop(self) -> p2p_pb2.AttachRequest:
        """The next one, when there is one."""
        while True:
            for kind, queue in self._queues.items():
                if queue:
                    request = queue.popleft()
                    self._bytes[kind] -= len(request.send.payload)
                    return request
            self._wake.clear()
            await self._wake.wait()

    def clear(self) -> None:
        """Forget all: p2p is away, and members with it."""
        for kind, queue in self._queues.items():
            queue.clear()
            self._bytes[kind] = 0


class Network:
    """Members' messages, through p2p."""

    def __init__(self, address: str, receiver: Receiver) -> None:
        self._channel = channel(address)
        self._stub = p2p_pb2_grpc.P2pStub(self._channel)
        self._receiver = receiver
        self._outbox = Outbox()
        self.up: dict[int, bool] = {}  # members that p2p has a link with
        self.attached = False

    def send(self, to: Sequence[int], kind: MessageClass, payload: bytes) -> None:
        """Queue a `WireMessage` for members `to`, all others when empty. Dropped while p2p is away."""
        if self.attached:
            fields: Any = {"to": to, "class": int(kind), "payload": payload}
            self._outbox.push(kind, p2p_pb2.AttachRequest(send=p2p_pb2.SendMessage(**fields)))

    def send_wire(self, to: Sequence[int], kind: MessageClass, message: wire_pb2.WireMessage) -> None:
        """As `send`."""
        self.send(to, kind, message.SerializeToString())

    def score(self, member: int, reason: str) -> None:
        """Report a member's fault."""
        metrics.FAULTS.labels(reason=reason).inc()
        if self.attached:
            request = p2p_pb2.AttachRequest(score=p2p_pb2.ScorePeer(member=member, reason=reason))
            self._outbox.push(MessageClass.CERTIFICATE, request)

    @charged("gossip")
    async def run(self) -> None:
        """Stay attached for as long as the service runs."""
        async for attempt in pauses():
            problem = await self._attach()
            self.attached = False
            self._outbox.clear()
            for member, up in list(self.up.items()):
                if up:
                    self.up[member] = False
                    self._receiver.peer_changed(member, up=False)
            if attempt % 20 == 0:
                _log.warning("p2p_away", problem=problem)

    async def _attach(self) -> str:
        """One attachment's life; returns why it is over."""
        call = self._stub.Attach(wait_for_ready=True)
        writer = asyncio.create_task(self._write(call), name="p2p writer")
        try:
            while isinstance(response := await call.read(), p2p_pb2.AttachResponse):
                self.attached = True
                if response.WhichOneof("response") == "change":
                    self.up[response.change.member] = response.change.up
                    self._receiver.peer_changed(response.change.member, up=response.change.up)
                else:
                    self._receiver.message_received(getattr(response.message, "from"), response.message.payload)
            return "the stream ended"
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name.lower()}: {error.details()}"
        finally:
            writer.cancel()
            call.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    @charged("gossip")
    async def _write(self, call: Any) -> None:
        while True:
            await call.write(await self._outbox.pop())

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(None)
