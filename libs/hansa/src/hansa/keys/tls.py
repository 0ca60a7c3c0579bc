"""TLS identity of a node: a P-256 key and a certificate that it signs itself.

Members pin the key (SHA-256 of its SubjectPublicKeyInfo, in the validator set); the certificate only carries it and
may be renewed under the same key at any time.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE_DAYS: Final = 3650
"""Life of a certificate: identity is the pinned key, so expiry only forces a renewal that operators plan."""


def new_tls_key() -> bytes:
    """A new P-256 key, PKCS#8 PEM, not encrypted (the file's mode protects it)."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def self_signed(key_pem: bytes, name: str) -> bytes:
    """PEM certificate for the member called `name` (also its DNS name), valid from yesterday on."""
    key = load_pem_private_key(key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("an elliptic curve key was expected")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of members differ
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def node_key(certificate_pem: bytes) -> bytes:
    """32 bytes: SHA-256 of the key's SubjectPublicKeyInfo (DER). Raises `ValueError` for anything but a certificate."""
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    return hashlib.sha256(
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def key_matches(key_pem: bytes, certificate_pem: bytes) -> bool:
    """Whether the certificate is over this key. Raises `ValueError` when one of them cannot be read."""
    key = load_pem_private_key(key_pem, None)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).digest() == node_key(certificate_pem)
