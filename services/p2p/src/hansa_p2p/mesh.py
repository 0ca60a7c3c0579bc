"""The full mesh: one link per other member, dialled by the lower index; sends, receives, scores."""

import asyncio
from collections.abc import Callable, Sequence

import grpc
import grpc.aio
import structlog
from hansa.rpc import server_options
from hansa.v1 import p2p_pb2, p2p_pb2_grpc

from hansa_p2p import metrics
from hansa_p2p.config import Member, P2pConfig
from hansa_p2p.core.dial import DialSchedule, dials
from hansa_p2p.core.held import Held
from hansa_p2p.core.inbox import Inbox
from hansa_p2p.core.queues import Message
from hansa_p2p.errors import LinkEnded, PeerRefused
from hansa_p2p.limits import (
    CONNECT_SECONDS_MAX,
    CONNECTIONS_PER_MEMBER,
    HANDSHAKE_SECONDS_MAX,
    MEMBER_MESSAGE_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    REASON_CHARACTERS_MAX,
)
from hansa_p2p.links import Frame, Link, Peer

_log = structlog.get_logger()


def member_options() -> list[tuple[str, int | str]]:
    """gRPC options of the members' side: its own message bound and handshake time."""
    options: dict[str, int | str] = dict(server_options())
    options["grpc.max_send_message_length"] = MEMBER_MESSAGE_BYTES_MAX
    options["grpc.max_receive_message_length"] = MEMBER_MESSAGE_BYTES_MAX
    options["grpc.server_handshake_timeout_ms"] = HANDSHAKE_SECONDS_MAX * 1_000
    options["grpc.use_local_subchannel_pool"] = 1  # each attempt resolves and connects anew
    return list(options.items())


class Mesh:
    """Links with all other members. What they send goes into the attached inbox; bodies wait until there is one."""

    def __init__(self, config: P2pConfig) -> None:
        self._config = config
        self._loop = asyncio.get_running_loop()
        self.peers = {member.index: Peer(member) for member in config.others}
        self._inbox: Inbox | None = None
        self._held = Held()  # empty while an inbox is attached
        self._notify: Callable[[], None] = lambda: None

    # --- consensus' side ---------------------------------------------------------------------------------------------

    def attach(self, inbox: Inbox, notify: Callable[[], None]) -> None:
        """From now on messages go to `inbox`; `notify` is called after each.

        It begins with who is up, then what was pushed while nobody was attached, or what the attachment before did
        not take.
        """
        if self._inbox is not None:
            self.detach(self._inbox)
        self._inbox, self._notify = inbox, notify
        for index, peer in self.peers.items():
            inbox.change(index, up=peer.link is not None)
        for sender, message in self._held.take():
            inbox.push(sender, message)
        notify()

    def detach(self, inbox: Inbox) -> None:
        """Until the next `attach` pushed transactions wait and other messages are dropped.

        Does nothing when `inbox` is no longer the attached one.
        """
        if self._inbox is inbox:
            self._inbox, self._notify = None, lambda: None
            for sender, message in inbox.take_transactions():
                self._hold(self.peers[sender], message)

    def _hold(self, peer: Peer, message: Message) -> None:
        peer.drop(len(self._held.push(peer.member.index, message)), "not_attached")

    def send(self, to: Sequence[int], message: Message) -> None:
        """Queue for members `to`, all when empty. Never blocks; what cannot go is dropped and counted."""
        if len(message.payload) > PAYLOAD_BYTES_MAX:
            metrics.DROPPED.labels(reason="too_large").inc()
            return
        for index in to or self.peers:
            peer = self.peers.get(index)
            if peer is None:
                metrics.DROPPED.labels(reason="unknown_member").inc()
            elif peer.link is None:
                peer.drop(1, "peer_away")
            else:
                peer.drop(len(peer.queues.push(message)), "queue_full")
                peer.link.wake()

    def fault(self, index: int, reason: str) -> None:
        """A fault of a member; too many within a minute end its link for ten."""
        peer = self.peers.get(index)
        if peer is None:
            return
        metrics.FAULTS.labels(peer=peer.member.name).inc()
        disconnect = peer.score.fault(self._loop.time())
        _log.warning("peer_fault", peer=peer.member.name, reason=reason[:REASON_CHARACTERS_MAX], disconnect=disconnect)
        if disconnect and peer.link is not None:
            peer.link.end("scored")

    # --- links -------------------------------------------------------------------------------------------------------

    def link_up(self, link: Link) -> None:
        """A hello was right. An older link with the same member ends: its other side knows that it is dead."""
        peer = link.peer
        link.is_up = True
        peer.greeting -= 1
        if peer.link is not None:
            peer.link.end("replaced")
            peer.drop(len(peer.queues.clear()), "peer_away")
        peer.link = link
        peer.last_problem = ""
        self._count_peers()
        _log.info("peer_up", peer=peer.member.name, version=peer.client_version)
        if self._inbox is not None:
            self._inbox.change(peer.member.index, up=True)
            self._notify()

    def received(self, peer: Peer, message: Message) -> None:
        """Hand a message on to consensus, or keep it until one attaches."""
        if self._inbox is None:
            self._hold(peer, message)
            return
        peer.drop(len(self._inbox.push(peer.member.index, message)), "queue_full")
        self._notify()

    async def serve(self, link: Link) -> None:
        """Run a link to its end and clean up behind it. Raises as `Link.run`, and `PeerRefused` for one sent away."""
        peer = link.peer
        if peer.score.is_away(self._loop.time()):
            raise PeerRefused("away")
        if peer.greeting >= CONNECTIONS_PER_MEMBER:
            raise PeerRefused("too_many_streams")
        reason = "failed"
        peer.greeting += 1
        try:
            await link.run(self._config.greeting)
        except (LinkEnded, PeerRefused) as error:
            reason = error.reason
            raise
        except (grpc.RpcError, asyncio.CancelledError):
            reason = "connection_lost"
            raise
        finally:
            peer.greeting -= not link.is_up
            if peer.link is link:
                peer.link = None
                peer.drop(len(peer.queues.clear()), "peer_away")
                self._count_peers()
                metrics.DISCONNECTS.labels(reason=reason).inc()
                _log.info("peer_down", peer=peer.member.name, reason=reason)
                if self._inbox is not None:
                    self._inbox.change(peer.member.index, up=False)
                    self._notify()

    def end_all(self, reason: str) -> None:
        """End every link."""
        for peer in self.peers.values():
            if peer.link is not None:
                peer.link.end(reason)

    def _count_peers(self) -> None:
        up = sum(peer.link is not None for peer in self.peers.values())
        metrics.PEERS.set(up)
        metrics.ETHEREUM_PEER_COUNT.set(up)

    # --- dialling ----------------------------------------------------------------------------------------------------

    def dialled(self) -> list[Member]:
        """The members that it is our task to dial."""
        return [member for member in self._config.others if dials(self._config.own, member.index)]

    async def keep_dialling(self, member: Member) -> None:
        """Hold a link with `member` for as long as the service runs."""
        peer = self.peers[member.index]
        schedule = DialSchedule(self._config.own, member.index, self._config.reconnect_ms_max)
        while True:
            away_seconds = peer.score.away_until - self._loop.time()
            if away_seconds > 0:
                await asyncio.sleep(away_seconds)
            began = self._loop.time()
            problem = await self._dial(peer)
            if peer.last_problem != problem:
                peer.last_problem = problem
                _log.info("peer_unreachable", peer=member.name, endpoint=member.endpoint, problem=problem)
            if self._loop.time() - began > CONNECT_SECONDS_MAX + 1:
                schedule.connected()  # the link stood for a while
            await asyncio.sleep(schedule.failed() / 1_000)

    async def _dial(self, peer: Peer) -> str:
        """One attempt, and the link's whole life when it succeeds; returns why it is over."""
        member = peer.member
        credentials = grpc.ssl_channel_credentials(
            member.certificate_pem, self._config.key_pem, self._config.certificate_pem
        )
        options = [*member_options(), ("grpc.ssl_target_name_override", member.tls_name)]
        channel = grpc.aio.secure_channel(member.endpoint, credentials, options=options)
        try:
            await asyncio.wait_for(channel.channel_ready(), CONNECT_SECONDS_MAX)
            call = p2p_pb2_grpc.PeerStub(channel).Exchange()

            async def read() -> Frame | None:
                response = await call.read()
                return response.frame if isinstance(response, p2p_pb2.ExchangeResponse) else None

            async def write(frame: Frame) -> None:
                await call.write(p2p_pb2.ExchangeRequest(frame=frame))

            await self.serve(Link(peer, self, read, write))
        except TimeoutError:
            return "no connection"
        except (LinkEnded, PeerRefused) as error:
            return str(error.reason)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name.lower()}: {error.details()}"
        except (asyncio.InvalidStateError, grpc.aio.UsageError) as error:
            return f"closed: {error}"  # the call ended between two operations
        finally:
            await channel.close(None)
        raise AssertionError("a link always ends with an exception")
