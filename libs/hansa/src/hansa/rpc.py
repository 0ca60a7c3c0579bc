"""gRPC between services: servers, channels, limits and errors, in one way for all.

Channels are kept for life. Errors carry `google.rpc.ErrorInfo` with a stable reason; `reason_of` reads it back.
"""

import os
from collections.abc import Mapping
from typing import Any, NoReturn

# gRPC's core writes a line per failed handshake to standard error: a stranger could fill our logs. Refusals are counted.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import _async as async_health
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

ERROR_DOMAIN = "hansa"

MESSAGE_BYTES_MAX = 64 << 20
"""Largest message between services of one member: a full block with its write set."""

KEEPALIVE_MS = 20_000

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 2),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # This is the time that one attempt to connect may take, not a pause: on a busy machine 100 ms is too short.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.so_reuseport", 0),
)


class PortTaken(OSError):
    """A configured port cannot be bound."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"{address} cannot be bound: it is taken or not an address of this machine; choose another port"
        )
        self.address = address


def server_options() -> list[tuple[str, int]]:
    """Options of every gRPC server and channel of Hansa."""
    return list(_OPTIONS)


def new_server(*, concurrent_max: int | None = None) -> grpc.aio.Server:
    """An asyncio gRPC server with our limits; `concurrent_max` RPCs at once, more get RESOURCE_EXHAUSTED."""
    return grpc.aio.server(options=server_options(), maximum_concurrent_rpcs=concurrent_max)


def bind(server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None) -> int:
    """Bind and return the port (chosen when `port` is 0). Raises `PortTaken`."""
    address = f"{host}:{port}"
    try:
        bound = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError as error:
        raise PortTaken(address) from error
    if bound == 0:
        raise PortTaken(address)
    return bound


def add_health(server: grpc.aio.Server, *services: str, with_reflection: bool = False) -> async_health.HealthServicer:
    """Serve `grpc.health.v1.Health` (empty name = all) and, when asked, reflection of `services`."""
    servicer = async_health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if with_reflection:
        from grpc_reflection.v1alpha import reflection  # most servers have none, and it takes time to load

        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    return servicer


async def set_serving(servicer: async_health.HealthServicer, *services: str, serving: bool = True) -> None:
    """Report `services` and the server as a whole as serving or not."""
    state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", *services):
        await servicer.set(name, state)


def channel(address: str, credentials: grpc.ChannelCredentials | None = None, **options: int | str) -> grpc.aio.Channel:
    """A channel to `host:port`; DNS names are resolved again on every reconnect."""
    merged: list[tuple[str, int | str]] = [*_OPTIONS, *((f"grpc.{key}", value) for key, value in options.items())]
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=merged)
    return grpc.aio.secure_channel(address, credentials, options=merged)


async def abort(
    context: "grpc.aio.ServicerContext[object, object]",
    code: grpc.StatusCode,
    reason: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
) -> NoReturn:
    """End an RPC with `code` and an `ErrorInfo` of UPPER_SNAKE `reason`."""
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=ERROR_DOMAIN, metadata=dict(metadata or {})))
    status = status_pb2.Status(code=getattr(code_pb2, code.name), message=message, details=[info])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    await context.abort(code, message)
    raise AssertionError("abort returns never")


def error_info(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo | None:
    """The `ErrorInfo` of a failed RPC, if it carries one."""
    metadata: Any = error.trailing_metadata() or ()  # pairs, whatever the stubs say
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            status = status_pb2.Status.FromString(value)
            for detail in status.details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return info
    return None


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The stable reason of a failed RPC, empty when it has none (then the world is at fault: retry)."""
    info = error_info(error)
    return info.reason if info else ""
