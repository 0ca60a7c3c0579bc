"""Members for p2p's tests: keys, certificates, configurations, services on port 0, and an attached consensus."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hansa import rpc
from hansa.service import ServiceContext
from hansa.v1 import p2p_pb2, p2p_pb2_grpc
from hansa_p2p.config import Member, P2pConfig
from hansa_p2p.core.hello import Greeting
from hansa_p2p.identity import node_key_of, parse_certificate
from hansa_p2p.service import P2pService

BOUND_SECONDS = 20


def tls_pair(name: str) -> tuple[bytes, bytes]:
    """(key PEM, self-signed certificate PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM)


def configs(count: int, *, genesis: bytes = b"\x01" * 32) -> list[P2pConfig]:
    """One configuration per member; endpoints are filled in as services get their ports."""
    pairs = [tls_pair(f"m{index + 1}.test") for index in range(count)]
    members = tuple(
        Member(index, f"m{index + 1}", "127.0.0.1:9", node_key_of(parse_certificate(pem)), pem, f"m{index + 1}.test")
        for index, (_, pem) in enumerate(pairs)
    )
    return [
        P2pConfig(
            own=index,
            members=members,
            greeting=Greeting(genesis, b"\x02" * 32, index, "hansa/test"),
            key_pem=pairs[index][0],
            certificate_pem=pairs[index][1],
            host="127.0.0.1",
            port=0,
            internal_host="127.0.0.1",
            internal_port=0,
            reconnect_ms_max=200,
        )
        for index in range(count)
    ]


def at(config: P2pConfig, ports: dict[int, int]) -> P2pConfig:
    """`config` that knows on which ports members listen."""
    members = tuple(
        replace(member, endpoint=f"127.0.0.1:{ports[member.index]}") if member.index in ports else member
        for member in config.members
    )
    return replace(config, members=members)


async def start(config: P2pConfig) -> P2pService:
    """A running service."""
    context = ServiceContext(None, None, asyncio.get_running_loop().create_future())  # type: ignore[arg-type]
    service = P2pService(context, config)
    await service.start()
    return service


async def start_all(members: list[P2pConfig]) -> list[P2pService]:
    """Running services, highest index first: a member dials those above it."""
    ports: dict[int, int] = {}
    services: list[P2pService] = []
    for config in reversed(members):
        service = await start(at(config, ports))
        ports[config.own] = service.port
        services.insert(0, service)
    return services


@dataclass
class Attached:
    """A consensus process's end of the stream."""

    channel: grpc.aio.Channel
    call: Any

    @classmethod
    async def to(cls, service: P2pService) -> "Attached":
        """Attach."""
        channel = rpc.channel(f"127.0.0.1:{service.internal_port}")
        call = p2p_pb2_grpc.P2pStub(channel).Attach()
        await call.wait_for_connection()
        return cls(channel, call)

    async def send(self, payload: bytes, *to: int, kind: int = 1) -> None:
        """Hand one message over."""
        send = p2p_pb2.SendMessage(to=to, payload=payload, **{"class": kind})
        await self.call.write(p2p_pb2.AttachRequest(send=send))

    async def score(self, member: int, reason: str) -> None:
        """Report a fault."""
        await self.call.write(p2p_pb2.AttachRequest(score=p2p_pb2.ScorePeer(member=member, reason=reason)))

    async def until(self, wanted: Callable[[p2p_pb2.AttachResponse], bool]) -> p2p_pb2.AttachResponse:
        """The next response that is wanted; others are passed over."""

        async def read() -> p2p_pb2.AttachResponse:
            while True:
                response = await self.call.read()
                assert isinstance(response, p2p_pb2.AttachResponse), "the stream ended"
                if wanted(response):
                    return response

        return await asyncio.wait_for(read(), BOUND_SECONDS)

    async def until_up(self, *members: int) -> None:
        """Wait until these members are connected."""
        missing = set(members)

        def seen(response: p2p_pb2.AttachResponse) -> bool:
            if response.WhichOneof("response") == "change":
                (missing.discard if response.change.up else missing.add)(response.change.member)
                missing.intersection_update(members)
            return not missing

        if missing:
            await self.until(seen)

    async def until_down(self, member: int) -> None:
        """Wait until this member is gone."""
        await self.until(
            lambda r: r.WhichOneof("response") == "change" and r.change.member == member and not r.change.up
        )

    async def message(self) -> tuple[int, int, bytes]:
        """(sender, class, payload) of the next message."""
        response = await self.until(lambda r: r.WhichOneof("response") == "message")
        return getattr(response.message, "from"), getattr(response.message, "class"), response.message.payload

    async def close(self) -> None:
        """Detach."""
        self.call.cancel()
        await self.channel.close(None)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait, with a bound, until `holds`."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not holds():  # noqa: ASYNC110 - what is waited for is another party's state
            await asyncio.sleep(0.05)
