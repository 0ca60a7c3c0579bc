"""The p2p service of one member: starts and stops what the other modules do."""

import asyncio
from collections.abc import Sequence

import grpc.aio
from hansa.keys import load_member_keys
from hansa.rpc import add_health, bind, new_server, set_serving
from hansa.service import Check, Service, ServiceContext
from hansa.v1 import p2p_pb2_grpc

from hansa_p2p import metrics
from hansa_p2p.config import P2pConfig, p2p_config
from hansa_p2p.handshakes import Handshakes
from hansa_p2p.identity import expires_in_seconds, parse_certificate
from hansa_p2p.mesh import Mesh, member_options
from hansa_p2p.servicer import P2pServicer, PeerServicer

SERVICE = "hansa.v1.P2p"
SWEEP_SECONDS = 1
STOP_GRACE_SECONDS = 0.5


class P2pService:
    """One member's connections."""

    name = "p2p"

    def __init__(self, context: ServiceContext, config: P2pConfig | None = None) -> None:
        """Raises `CertificateInvalid`, `OwnKeyMismatch` or `KeysInvalid`."""
        self._context = context
        self._config = config or p2p_config(
            context.settings,
            context.chain,
            load_member_keys(context.settings.keys_path, context.settings.profile),
        )
        self._mesh: Mesh | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._servers: list[grpc.aio.Server] = []
        self.port = 0  # bound port for members
        self.internal_port = 0  # bound port for this member's consensus

    async def start(self) -> None:
        """Bind both ports and begin to dial. Raises `PortTaken`."""
        config = self._config
        mesh = self._mesh = Mesh(config)
        handshakes = Handshakes()
        trusted = b"\n".join(member.certificate_pem for member in config.others)
        outer = grpc.aio.server(options=member_options())
        p2p_pb2_grpc.add_PeerServicer_to_server(PeerServicer(config, mesh, handshakes), outer)
        inner = new_server()
        p2p_pb2_grpc.add_P2pServicer_to_server(P2pServicer(mesh), inner)
        health = add_health(inner, SERVICE)
        self._servers = [outer, inner]
        if trusted:
            credentials = handshakes.credentials(config.key_pem, config.certificate_pem, trusted)
            self.port = bind(outer, config.host, config.port, credentials)
        self.internal_port = bind(inner, config.internal_host, config.internal_port)
        for server in self._servers:
            await server.start()
        await set_serving(health, SERVICE)
        for member in mesh.dialled():
            self._tasks.append(self._context.spawn(mesh.keep_dialling(member), f"dial {member.name}"))
        self._tasks.append(self._context.spawn(self._sweep(handshakes), "p2p sweep"))

    async def stop(self) -> None:
        """End links and close both ports."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._mesh is not None:
            self._mesh.end_all("stopping")
        await asyncio.gather(*(server.stop(STOP_GRACE_SECONDS) for server in self._servers))

    def checks(self) -> Sequence[Check]:
        """Peers are told, not demanded: a member that is alone still serves reads."""
        peers = self._mesh.peers.values() if self._mesh else ()
        up = sum(peer.link is not None for peer in peers)
        return [Check("peers", self._mesh is not None, str(up), f"of {len(peers)}")]

    async def _sweep(self, handshakes: Handshakes) -> None:
        certificate = parse_certificate(self._config.certificate_pem)
        while True:
            handshakes.sweep()
            metrics.CERTIFICATE_EXPIRY.set(expires_in_seconds(certificate))
            await asyncio.sleep(SWEEP_SECONDS)


def create(context: ServiceContext) -> Service:
    """Factory named in the entry-point group `hansa.services`."""
    return P2pService(context)
