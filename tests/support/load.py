"""Steady signed transfers while faults happen, and what must hold of them afterwards."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from eth_account import Account

from support.consortium import Member, RpcFailed, wait_for
from support.transactions import signed

BATCH = 10
PAUSE_SECONDS = 0.2

RECEIPTS_CHECKED = 100
"""Of the last accepted transactions; that all are in blocks is checked of each."""

TRY_AGAIN = (-32_002, -32_005)
"""Refusals that say nothing about the transaction: a service is away, or too much waits."""


@dataclass
class Load:
    """One sender per member, bound to that member; a request without an answer stays ambiguous and is sent again."""

    members: list[Member]
    keys: list[str]
    chain_id: int
    recipient: str = field(default_factory=lambda: Account.create().address)
    accepted: list[str] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        for member, key in zip(self.members, self.keys, strict=False):
            thread = threading.Thread(target=self._send, args=(member, key), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """No further requests."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _send(self, member: Member, key: str) -> None:
        sender = Account.from_key(key).address
        nonce: int | None = None
        pending: list[tuple[str, str]] = []
        while not self._stop.is_set():
            try:
                if nonce is None:
                    nonce = int(member.rpc("eth_getTransactionCount", sender, "pending", timeout=5), 16)
                if not pending:
                    pending = [signed(key, self.chain_id, nonce + i, to=self.recipient, value=1) for i in range(BATCH)]
                    nonce += BATCH
                answers = member.rpc_batch([("eth_sendRawTransaction", [raw]) for raw, _ in pending], timeout=5)
            except (httpx.HTTPError, RpcFailed, ValueError):
                time.sleep(PAUSE_SECONDS)
                continue
            pending = self._judge(pending, answers)
            time.sleep(PAUSE_SECONDS)

    def _judge(self, sent: list[tuple[str, str]], answers: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """What has to be sent again: later nonces wait for it."""
        again = []
        with self._lock:
            for (raw, hash), answer in zip(sent, answers, strict=True):
                message = answer.get("error", {}).get("message", "")
                if "result" in answer or message.startswith(("already known", "nonce too low")):
                    # The two refusals follow an unanswered request: it had been accepted.
                    self.accepted.append(hash)
                    continue
                again.append((raw, hash))
                if answer["error"]["code"] not in TRY_AGAIN:
                    self.refused.append(answer["error"])
        return again


def check_agreement(members: list[Member], first: int = 0) -> list[str]:
    """Blocks equal on all members, hash-linked, no transaction twice; returns all transaction hashes."""
    return _Blocks(members, first).read()


def check_committed(members: list[Member], accepted: list[str], seconds: float, first: int = 0) -> None:
    """As `check_agreement`, and every accepted transaction is there, exactly once, with its receipt on every member."""
    blocks = _Blocks(members, first)
    waiting: list[str] = []

    def committed() -> bool:
        waiting[:] = set(accepted).difference(blocks.read())
        return not waiting

    try:
        wait_for(f"all {len(accepted)} accepted transactions committed", committed, seconds, pause=0.5)
    except AssertionError as error:
        raise AssertionError(f"{error}\n" + "\n".join(_report(members, waiting))) from None
    for member in members:
        calls = [("eth_getTransactionReceipt", [hash]) for hash in accepted[-RECEIPTS_CHECKED:]]
        for answer in member.rpc_batch(calls):
            assert answer["result"] is not None, f"no receipt on {member.name}"
            assert answer["result"]["status"] == "0x1"


class _Blocks:
    """The common part of all members' chains, read once and then only what is new."""

    def __init__(self, members: list[Member], first: int) -> None:
        self._members = members
        self._next = first
        self._previous = ""
        self._hashes: list[str] = []

    def read(self) -> list[str]:
        """All transaction hashes so far. Raises `AssertionError`, `httpx.HTTPError`."""
        top = min(member.height() for member in self._members)
        while self._next <= top:
            numbers = range(self._next, min(self._next + 200, top + 1))
            calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
            answers = [[entry["result"] for entry in member.rpc_batch(calls)] for member in self._members]
            for number, *blocks in zip(numbers, *answers, strict=True):
                self._take(number, blocks)
        assert len(set(self._hashes)) == len(self._hashes), "a transaction was committed twice"
        return self._hashes

    def _take(self, number: int, blocks: list[dict[str, Any]]) -> None:
        assert all(block == blocks[0] for block in blocks), f"members differ at {number}"
        assert self._previous in ("", blocks[0]["parentHash"]), f"block {number} is not the child of its parent"
        self._previous = blocks[0]["hash"]
        self._hashes += blocks[0]["transactions"]
        self._next = number + 1


def _report(members: list[Member], lost: list[str]) -> Iterator[str]:
    """Which member still knows of what is missing."""
    senders: set[str] = set()
    for member in members:
        pool: Any = member.rpc("txpool_status")
        answers = member.rpc_batch([("eth_getTransactionByHash", [hash]) for hash in lost[:1000]])
        known = [answer["result"] for answer in answers if answer.get("result") is not None]
        nonces = sorted((entry["from"], int(entry["nonce"], 16)) for entry in known if entry["blockNumber"] is None)
        senders.update(entry["from"] for entry in known)
        yield (
            f"{member.name}: height {member.height()}, pool {pool}, knows {len(known)} of {len(lost)} missing, "
            f"pending {nonces[:1]} .. {nonces[-1:]}"
        )
    for sender in sorted(senders):
        counts = [int(member.rpc("eth_getTransactionCount", sender, "latest"), 16) for member in members]
        yield f"nonces of {sender} on the members: {counts}"
