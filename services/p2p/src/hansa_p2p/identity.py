"""Who a certificate belongs to: a member is the SHA-256 of its TLS key's SPKI, nothing else."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hansa_p2p.errors import PeerRefused

TLS_VERSION = b"TLSv1.3"


def parse_certificate(pem: bytes) -> x509.Certificate:
    """Raises `ValueError` when `pem` holds no certificate."""
    return x509.load_pem_x509_certificate(pem)


def node_key_of(certificate: x509.Certificate) -> bytes:
    """32 bytes: SHA-256 of the DER SubjectPublicKeyInfo."""
    return hashlib.sha256(
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def name_of(certificate: x509.Certificate) -> str:
    """The name that TLS is told to expect: first DNS name, else common name. Raises `ValueError` when it has none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = names.get_values_for_type(x509.DNSName)
        if dns:
            return dns[0]
    except x509.ExtensionNotFound:
        pass
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not common:
        raise ValueError("it names nobody")
    return str(common[0].value)


def expires_in_seconds(certificate: x509.Certificate) -> float:
    """Seconds until the certificate is no longer valid; negative when it is not."""
    return (certificate.not_valid_after_utc - datetime.now(UTC)).total_seconds()


def peer_of(auth_context: Mapping[str, Iterable[bytes]], node_keys: Mapping[bytes, int]) -> int:
    """Index of the member at the other end, from gRPC's auth context of the connection.

    Raises `PeerRefused`. The handshake has proven possession of the key and that the certificate chains to some
    member's; here the key itself must be pinned, since a member could sign certificates for other keys.
    """
    pems = list(auth_context.get("x509_pem_cert", ()))
    if not pems:
        raise PeerRefused("no_certificate")
    # grpcio cannot be told to refuse TLS 1.2 handshakes; a connection that came about by one carries no stream.
    if list(auth_context.get("ssl_tls_version", ())) != [TLS_VERSION]:
        raise PeerRefused("tls_version")
    try:
        key = node_key_of(parse_certificate(pems[0]))
    except ValueError as error:
        raise PeerRefused("bad_certificate") from error
    if key not in node_keys:
        raise PeerRefused("wrong_key")
    return node_keys[key]
