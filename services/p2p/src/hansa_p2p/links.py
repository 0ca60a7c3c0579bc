"""One stream with one member: hello, then frames both ways, pings, and an end with a reason."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from hansa.stages import charged
from hansa.v1 import p2p_pb2

from hansa_p2p import metrics
from hansa_p2p.config import Member
from hansa_p2p.core.hello import Greeting, hello_refusal
from hansa_p2p.core.queues import ClassQueues, Kind, Message
from hansa_p2p.core.rate import ReceiveRate
from hansa_p2p.core.scores import PeerScore
from hansa_p2p.errors import LinkEnded, PeerRefused
from hansa_p2p.limits import HELLO_SECONDS_MAX, PING_SECONDS, SILENCE_SECONDS_MAX

_log = structlog.get_logger()

CONTROL_FRAMES_MAX = 16
"""Pings and pongs that wait behind a slow reader; more are left out."""

Frame = p2p_pb2.PeerFrame


@dataclass(slots=True)
class Peer:
    """What is kept of one other member while the service runs."""

    member: Member
    queues: ClassQueues = field(default_factory=ClassQueues)  # to the member; empty while it is away
    score: PeerScore = field(default_factory=PeerScore)
    rate: ReceiveRate = field(default_factory=ReceiveRate)
    link: "Link | None" = None
    greeting: int = 0  # streams whose hello is awaited
    rtt_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    client_version: str = ""
    last_problem: str = ""  # of a dialler, so that each change is logged once

    def drop(self, count: int, reason: str) -> None:
        """Count messages that were not delivered to or from this member."""
        if count:
            self.dropped += count
            metrics.DROPPED.labels(reason=reason).inc(count)


class Owner(Protocol):
    """Who is told of links."""

    def link_up(self, link: "Link") -> None:
        """The hello was right: messages may flow."""

    def received(self, peer: Peer, message: Message) -> None:
        """A member sent a message."""


class Link:
    """A stream, whichever side dialled it."""

    def __init__(
        self,
        peer: Peer,
        owner: Owner,
        read: Callable[[], Awaitable[Frame | None]],  # None at the end of the stream
        write: Callable[[Frame], Awaitable[None]],
    ) -> None:
        self.peer = peer
        self.is_up = False  # set once the hello was right
        self._owner = owner
        self._read = read
        self._write = write
        self._control: deque[Frame] = deque(maxlen=CONTROL_FRAMES_MAX)
        self._wake = asyncio.Event()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()

    def wake(self) -> None:
        """Something waits in the peer's queues."""
        self._wake.set()

    def end(self, reason: str) -> None:
        """Close the link from outside."""
        if not self._ended.done():
            self._ended.set_result(reason)

    async def run(self, greeting: Greeting) -> None:
        """Serve the link until it ends. Always raises: `PeerRefused`, `LinkEnded`, or gRPC's error."""
        hello = p2p_pb2.Hello(
            protocol_version=greeting.protocol_version,
            genesis_hash=greeting.genesis_hash,
            member=greeting.member,
            client_version=greeting.client_version,
            transitions_digest=greeting.transitions_digest,
        )
        await self._write(Frame(hello=hello))
        await self._check_hello(greeting)
        self._owner.link_up(self)
        work = [asyncio.create_task(task) for task in (self._receive(), self._send(), self._ping())]
        try:
            futures: list[asyncio.Future[Any]] = [*work, self._ended]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            for task in work:
                if task.done():
                    task.result()  # raises: these tasks have no other end
            raise LinkEnded(self._ended.result())
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _check_hello(self, greeting: Greeting) -> None:
        try:
            frame = await asyncio.wait_for(self._read(), HELLO_SECONDS_MAX)
        except TimeoutError as error:
            raise PeerRefused("no_hello") from error
        if frame is None:
            raise LinkEnded("closed_by_peer")
        if frame.WhichOneof("frame") != "hello":
            raise PeerRefused("no_hello")
        theirs = Greeting(
            genesis_hash=frame.hello.genesis_hash,
            transitions_digest=frame.hello.transitions_digest,
            member=frame.hello.member,
            client_version=frame.hello.client_version[:64],
            protocol_version=frame.hello.protocol_version,
        )
        if (reason := hello_refusal(greeting, theirs, self.peer.member.index)) is not None:
            raise PeerRefused(reason)
        self.peer.client_version = theirs.client_version

    @charged("gossip")
    async def _receive(self) -> None:
        while True:
            frame = await self._read()
            if frame is None:
                raise LinkEnded("closed_by_peer")
            self._heard = now = self._loop.time()
            size = frame.ByteSize()
            self.peer.bytes_in += size
            match frame.WhichOneof("frame"):
                case "carried":
                    self._carried(frame.carried)
                case "ping":
                    self._say(Frame(pong=frame.ping))
                case "pong":
                    self._measure(frame.pong)
                case _:
                    raise LinkEnded("unexpected_frame")
            if (pause := self.peer.rate.pause_seconds(size, now)) > 0:
                await asyncio.sleep(pause)
                self._heard = self._loop.time()  # we did not listen: this silence is ours

    def _carried(self, carried: p2p_pb2.Carried) -> None:
        try:
            kind = Kind(getattr(carried, "class"))
        except ValueError:
            self.peer.drop(1, "unknown_class")
            return
        metrics.BYTES.labels(direction="in", kind=kind.name.lower()).inc(len(carried.payload))
        metrics.MESSAGES.labels(direction="in", kind=kind.name.lower()).inc()
        self._owner.received(self.peer, Message(kind, carried.payload))

    def _measure(self, sent_us: int) -> None:
        rtt = self._loop.time() - sent_us / 1e6
        if 0 <= rtt <= SILENCE_SECONDS_MAX:
            self.peer.rtt_seconds = rtt
            metrics.RTT.labels(peer=self.peer.member.name).set(rtt)

    def _say(self, frame: Frame) -> None:
        self._control.append(frame)
        self._wake.set()

    @charged("gossip")
    async def _send(self) -> None:
        while True:
            while self._control:
                await self._write(self._control.popleft())
            message = self.peer.queues.pop()
            if message is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            carried = p2p_pb2.Carried(payload=message.payload, **{"class": int(message.kind)})
            await self._write(Frame(carried=carried))
            size = len(message.payload)
            self.peer.bytes_out += size
            metrics.BYTES.labels(direction="out", kind=message.kind.name.lower()).inc(size)
            metrics.MESSAGES.labels(direction="out", kind=message.kind.name.lower()).inc()

    async def _ping(self) -> None:
        while True:
            self._say(Frame(ping=int(self._loop.time() * 1e6)))
            await asyncio.sleep(PING_SECONDS)
            if self._loop.time() - self._heard > SILENCE_SECONDS_MAX:
                raise LinkEnded("silent")
