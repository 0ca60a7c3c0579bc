"""What the p2p service needs to know, drawn from settings, chain spec and keys."""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from hansa import __version__
from hansa.chainspec import ChainSpec
from hansa.config import Settings
from hansa.keys import MemberKeys

from hansa_p2p.core.hello import Greeting
from hansa_p2p.errors import CertificateInvalid, OwnKeyMismatch
from hansa_p2p.identity import name_of, node_key_of, parse_certificate


@dataclass(frozen=True, slots=True)
class Member:
    """One member as the chain spec has it."""

    index: int
    name: str
    endpoint: str  # host:port
    node_key: bytes  # 32 bytes
    certificate_pem: bytes
    tls_name: str  # the name in the certificate


@dataclass(frozen=True, slots=True)
class P2pConfig:
    """Everything that stays fixed while the service runs."""

    own: int  # index of this member
    members: tuple[Member, ...]  # by index
    greeting: Greeting
    key_pem: bytes
    certificate_pem: bytes
    host: str
    port: int
    internal_host: str
    internal_port: int
    reconnect_ms_max: int

    @property
    def others(self) -> Sequence[Member]:
        """All members but this one."""
        return [member for member in self.members if member.index != self.own]


def read_certificate(name: str, pem: bytes, node_key: bytes) -> x509.Certificate:
    """The certificate, when it is that of `node_key` and names somebody. Raises `CertificateInvalid`."""
    try:
        certificate = parse_certificate(pem)
        name_of(certificate)
    except ValueError as error:
        raise CertificateInvalid(name, str(error)) from error
    if node_key_of(certificate) != node_key:
        raise CertificateInvalid(name, "its key is not the pinned node key")
    return certificate


def p2p_config(settings: Settings, chain: ChainSpec, keys: MemberKeys) -> P2pConfig:
    """Raises `CertificateInvalid` or `OwnKeyMismatch`."""
    own = chain.index_of(settings.member)
    members = tuple(
        Member(
            index=index,
            name=validator.name,
            endpoint=settings.p2p.endpoints.get(validator.name, validator.endpoint),
            node_key=validator.node_key,
            certificate_pem=validator.certificate.encode(),
            tls_name=name_of(read_certificate(validator.name, validator.certificate.encode(), validator.node_key)),
        )
        for index, validator in enumerate(chain.validators)
    )
    try:
        key = node_key_of(parse_certificate(keys.tls_certificate_pem))
    except ValueError as error:
        raise OwnKeyMismatch(settings.member) from error
    if key != members[own].node_key:
        raise OwnKeyMismatch(settings.member)
    return P2pConfig(
        own=own,
        members=members,
        greeting=Greeting(chain.genesis_hash, chain.transitions_digest, own, f"hansa/{__version__}"),
        key_pem=keys.tls_key_pem,
        certificate_pem=keys.tls_certificate_pem,
        host=settings.p2p.host,
        port=settings.p2p.port,
        internal_host=settings.p2p.internal_host,
        internal_port=settings.p2p.internal_port,
        reconnect_ms_max=settings.p2p.reconnect_ms_max,
    )
