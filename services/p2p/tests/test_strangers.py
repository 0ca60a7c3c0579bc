"""What somebody who is no member gets: nothing, and nobody else notices."""

import asyncio
import contextlib
import os
import ssl
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import grpc
import grpc.aio
import pytest
from hansa.v1 import p2p_pb2_grpc
from hansa_p2p import handshakes, metrics
from hansa_p2p.config import P2pConfig
from hansa_p2p.errors import PeerRefused
from hansa_p2p.identity import node_key_of, parse_certificate, peer_of
from hansa_p2p.service import P2pService
from p2p_members import Attached, at, configs, eventually, start, start_all, tls_pair


def refused(reason: str) -> float:
    """Count of refusals so far."""
    return float(metrics.REFUSED.labels(reason=reason)._value.get())


async def exchange(port: int, root: bytes, key: bytes, certificate: bytes) -> grpc.StatusCode:
    """Dial a member's port with any key; returns how it ended."""
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    options = [("grpc.ssl_target_name_override", "m2.test"), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=options) as channel:
        call = p2p_pb2_grpc.PeerStub(channel).Exchange(timeout=10)
        code: grpc.StatusCode = await call.code()
        return code


async def stop(services: list[P2pService], attached: list[Attached]) -> None:
    """End all."""
    for one in attached:
        await one.close()
    for service in services:
        await service.stop()


async def test_strangers_and_random_bytes_are_refused_and_counted_and_members_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    members = configs(2)
    services = await start_all(members)
    attached = [await Attached.to(service) for service in services]
    await attached[0].until_up(1)
    port, before = services[1].port, refused("handshake")

    for _ in range(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(os.urandom(4_096))
        assert not await asyncio.wait_for(reader.read(1 << 16), 10) or True
        writer.close()
    key, certificate = tls_pair("m1.test")  # the right name, the wrong key
    code = await exchange(port, members[1].certificate_pem, key, certificate)
    assert code == grpc.StatusCode.UNAVAILABLE

    monkeypatch.setattr(handshakes, "HANDSHAKE_SECONDS_MAX", -2)  # all that is pending is overdue now
    await eventually(lambda: refused("handshake") >= before + 10)
    await attached[0].send(b"still here")
    assert (await attached[1].message())[2] == b"still here"
    await stop(services, attached)


async def test_silent_connection_is_closed_after_the_handshake_time() -> None:
    services = await start_all(configs(2))
    reader, writer = await asyncio.open_connection("127.0.0.1", services[1].port)
    assert await asyncio.wait_for(reader.read(1), 12) == b""
    writer.close()
    await stop(services, [])


def signed_by(member: P2pConfig) -> tuple[bytes, bytes]:
    """A key of somebody else with a certificate that a member signed."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key_pem, pem = tls_pair("other.test")
    key = serialization.load_pem_private_key(member.key_pem, None)
    own, issuer = parse_certificate(pem), parse_certificate(member.certificate_pem)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(7)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


async def test_key_that_a_member_vouches_for_is_still_no_member() -> None:
    members = configs(2)
    service = await start(members[1])
    code = await exchange(service.port, members[1].certificate_pem, *signed_by(members[0]))
    assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION)
    assert service._mesh is not None
    assert service._mesh.peers[0].link is None
    await stop([service], [])


async def test_server_with_a_wrong_key_is_not_talked_to() -> None:
    members = configs(2)
    key, certificate = tls_pair("m2.test")
    impostor = await start(replace(members[1], key_pem=key, certificate_pem=certificate))
    honest = await start(at(members[0], {1: impostor.port}))
    assert honest._mesh is not None
    peer = honest._mesh.peers[1]
    await eventually(lambda: bool(peer.last_problem))
    assert peer.last_problem == "no connection"
    assert peer.bytes_out == 0
    await stop([honest, impostor], [])


def test_identity_is_the_pinned_key_over_tls_1_3_and_nothing_else() -> None:
    _, pem = tls_pair("m1.test")
    key = node_key_of(parse_certificate(pem))
    context = {"x509_pem_cert": [pem], "ssl_tls_version": [b"TLSv1.3"], "x509_common_name": [b"m1.test"]}
    assert peer_of(context, {key: 3}) == 3
    wrong: list[tuple[dict[str, list[bytes]], dict[bytes, int], str]] = [
        ({**context, "ssl_tls_version": [b"TLSv1.2"]}, {key: 3}, "tls_version"),
        ({**context, "x509_pem_cert": []}, {key: 3}, "no_certificate"),
        ({**context, "x509_pem_cert": [b"junk"]}, {key: 3}, "bad_certificate"),
        (context, {b"\0" * 32: 3}, "wrong_key"),
    ]
    for auth, keys, reason in wrong:
        with pytest.raises(PeerRefused) as caught:
            peer_of(auth, keys)
        assert caught.value.reason == reason


def tls_client(config: P2pConfig, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client with a member's own key that speaks one version of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(config.key_pem + config.certificate_pem)
        path.chmod(0o600)
        context.load_cert_chain(path)
    return context


def headers_frame() -> bytes:
    """HTTP/2 preface, empty settings, and HEADERS of an Exchange call (literal fields, RFC 7541 6.2.2)."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/hansa.v1.Peer/Exchange"),
        (b":authority", b"m2.test"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    block = b"".join(b"\0" + bytes([len(k)]) + k + bytes([len(v)]) + v for k, v in fields)
    settings = struct.pack(">I", 0)[1:] + b"\x04\x00" + struct.pack(">I", 0)
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + settings
        + struct.pack(">I", len(block))[1:]
        + b"\x01\x04"
        + struct.pack(">I", 1)
        + block
    )


@pytest.mark.parametrize(
    ("version", "answered"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
async def test_stream_over_tls_1_2_is_refused_even_with_a_members_key(version: ssl.TLSVersion, answered: str) -> None:
    members = configs(2)
    service = await start(members[1])
    before = refused("tls_version")
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port, ssl=tls_client(members[0], version))
    # What grpcio accepts is written down in the README: it finishes handshakes of both versions.
    assert writer.get_extra_info("ssl_object").version() == answered
    writer.write(headers_frame())
    received = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while data := await reader.read(1 << 16):
                received += data
    assert (refused("tls_version") > before) == (version is ssl.TLSVersion.TLSv1_2)
    assert (b"PEER_TLS_VERSION" in received or b"tls_version" in received) == (version is ssl.TLSVersion.TLSv1_2)
    writer.close()
    await stop([service], [])


async def test_member_that_opens_streams_and_says_nothing_is_refused_the_fifth() -> None:
    members = configs(2)
    service = await start(members[1])
    before = refused("too_many_streams")
    credentials = grpc.ssl_channel_credentials(
        members[1].certificate_pem, members[0].key_pem, members[0].certificate_pem
    )
    options = [("grpc.ssl_target_name_override", "m2.test")]
    async with grpc.aio.secure_channel(f"127.0.0.1:{service.port}", credentials, options=options) as channel:
        calls = [p2p_pb2_grpc.PeerStub(channel).Exchange() for _ in range(5)]
        await eventually(lambda: refused("too_many_streams") == before + 1)
        for call in calls:
            call.cancel()
    assert service._mesh is not None
    peer = service._mesh.peers[0]
    await eventually(lambda: peer.greeting == 0)
    await stop([service], [])
