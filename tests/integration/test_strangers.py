"""Strangers on every port: refused and counted, nothing else notices."""

import random
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from support.consortium import Consortium, wait_for


def ports_of(consortium: Consortium) -> set[int]:
    """Every loopback port that the consortium's processes listen on."""
    inodes = set()
    for member in consortium.members():
        for pid in member.pids.values():
            inodes |= _sockets(pid)
    found = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}") as table:
            for line in table.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    found.add(int(fields[1].rsplit(":", 1)[1], 16))
    return found


def _sockets(pid: int) -> set[str]:
    from os import listdir, readlink

    found = set()
    for descriptor in listdir(f"/proc/{pid}/fd"):
        try:
            target = readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


@pytest.mark.timeout(300)
def test_random_bytes_on_every_port_disturb_nobody(consortium: Consortium) -> None:
    generator = random.Random(4)
    before = {member.name: member.pids for member in consortium.members()}
    ports = sorted(ports_of(consortium))
    assert len(ports) >= 4 * 5
    for port in ports:
        for size in (1, 100, 70_000):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                stranger.settimeout(0.2)
                try:
                    stranger.sendall(generator.randbytes(size))
                    stranger.recv(1_000)
                except OSError:
                    pass  # refused: as it should be
    assert {member.name: member.pids for member in consortium.members()} == before, "a process died"
    height = max(member.height() for member in consortium.members())
    for member in consortium.members():
        wait_for(f"{member.name} goes on", lambda member=member: member.height() > height, 30)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_createAccessList","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0x12","latest"]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x01",false]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02c0"]}', -32003),
    ],
)
def test_bad_requests_get_typed_errors(consortium: Consortium, body: bytes, code: int) -> None:
    url = consortium.members()[0].rpc_url
    assert urlsplit(url).hostname in {"127.0.0.1", "localhost"}
    answer = httpx.post(url, content=body, headers={"content-type": "application/json"}).json()
    assert answer["error"]["code"] == code, answer
