"""One run: prepare, offer load, follow commits, check."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hansa.bench.limits import (
    CALLS_PER_BATCH,
    CONNECTIONS_PER_URL,
    CONNECTIONS_PER_URL_MAX,
    DRAIN_SECONDS_MAX,
    LARGE_REQUEST,
    PREPARED_PER_SECOND_MAX,
    REQUEST_SECONDS,
    RETRIES_MAX,
    RETRY_SECONDS,
    SAMPLE_SECONDS,
)
from hansa.bench.measure import Measured, cpu_seconds
from hansa.bench.prepare import Prepared, Setup, read_balances, set_up, sign_all
from hansa.bench.watch import Watcher
from hansa.bench.wire import AnswerInvalid, Connection
from hansa.jsonrpc import RpcClient, RpcError

Say = Callable[[str], None]

_PART = b'{"jsonrpc":"2.0","id":%d,"method":"eth_sendRawTransaction","params":["0x%b"]}'


@dataclass(frozen=True, slots=True)
class Load:
    """What is offered, and what is measured."""

    urls: list[str]
    workload: str  # transfer, erc20, mixed
    senders: int
    recipients: int
    rate: float | None  # per second; None: as many as are taken
    seconds: float
    batch: int
    funder: bytes
    pids: dict[str, int]
    metrics: list[str]
    data_dirs: list[Path]
    in_flight_max: int


@dataclass(slots=True)
class Result:
    """What became of a run. Times are monotonic seconds; `sent` and `refused` are by number of the transaction."""

    load: Load
    measured: Measured
    begun: float = 0.0
    sending_ended: float = 0.0
    sent: dict[int, float] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)
    retries: int = 0
    committed: dict[int, float] = field(default_factory=dict)
    failed: int = 0
    watcher: Watcher | None = None
    balances_right: bool = False
    wrong_balances: int = 0
    own_cpu_seconds: float = 0.0


class _Sender:
    """One connection: sends its transactions in order, one request under way."""

    def __init__(self, run: "_Run", prepared: Prepared, offset: int) -> None:
        self.run = run
        self.prepared = prepared
        self.offset = offset  # number of its first transaction
        self.connection = Connection(prepared.url)

    async def send_all(self, interval: float | None, size: int) -> None:
        """Send until the time is over or nothing is left; `interval` seconds between requests, None: at once."""
        run = self.run
        place = 0
        due = run.result.begun
        while place < len(self.prepared.raw):
            now = time.monotonic()
            if now >= run.ends:
                return
            if interval is not None:
                if due > now:
                    await asyncio.sleep(due - now)
                due += interval
            while run.in_flight() >= run.result.load.in_flight_max:
                run.watcher.changed.clear()
                try:
                    await asyncio.wait_for(run.watcher.changed.wait(), max(0.01, run.ends - time.monotonic()))
                except TimeoutError:
                    return
            end = min(place + size, len(self.prepared.raw))
            await self._offer(list(range(place, end)))
            place = end

    async def _offer(self, places: list[int]) -> None:
        """Send some until each is accepted, known, or refused for good."""
        result = self.run.result
        now = time.monotonic()
        for place in places:
            result.sent[self.offset + place] = now
        for attempt in range(RETRIES_MAX):
            refusals = await self._request(places)
            places = [place for place, _, temporary in refusals if temporary]
            for place, text, temporary in refusals:
                if not temporary or attempt == RETRIES_MAX - 1:
                    result.refused[self.offset + place] = text
            if not places:
                return
            result.retries += len(places)
            await asyncio.sleep(RETRY_SECONDS)

    async def _request(self, places: list[int]) -> list[tuple[int, str, bool]]:
        """One request; (place, why, whether a later attempt may do) of those that were not accepted."""
        raw = self.prepared.raw
        parts = [_PART % (place, raw[place]) for place in places]
        # A single call goes as one, not as a batch: some nodes take no batches.
        body = parts[0] if len(parts) == 1 else b"[" + b",".join(parts) + b"]"
        try:
            answers: Any = orjson.loads(await self.connection.post(body))
        except (OSError, AnswerInvalid, asyncio.IncompleteReadError, ValueError) as error:
            return [(place, f"no answer: {error}", True) for place in places]
        if isinstance(answers, dict):
            answers = [{**answers, "id": answers.get("id") if len(parts) == 1 else None}]
        accepted = self.run.result.accepted
        refusals: list[tuple[int, str, bool]] = []
        answered: set[int] = set()
        for answer in answers:
            place = answer.get("id")
            refusal = answer.get("error")
            if not isinstance(place, int):
                continue
            answered.add(place)
            text = str(refusal.get("message", "")) if refusal is not None else ""
            if refusal is None or "already known" in text.lower() or "already imported" in text.lower():
                accepted.add(self.offset + place)
            else:
                refusals.append((place, text, _is_temporary(refusal.get("code"), text)))
        refusals += [
            (place, f"no answer to it: {str(answers)[:200]}", True) for place in places if place not in answered
        ]
        return refusals


def _is_temporary(code: object, text: str) -> bool:
    """Whether a refusal may be over soon: a full pool, a rate limit, trouble inside."""
    lower = text.lower()
    return code in (-32005, -32603) or any(
        word in lower for word in ("full", "limit", "timeout", "unavailable", "later")
    )


class _Run:
    def __init__(self, result: Result, watcher: Watcher, ends: float) -> None:
        self.result = result
        self.watcher = watcher
        self.ends = ends

    def in_flight(self) -> int:
        """Accepted and not seen in a block."""
        return len(self.result.accepted) - len(self.watcher.committed)


async def run_load(load: Load, say: Say) -> Result:
    """Run once. Raises `SetupFailed`, `NodeUnreachable`, `RpcError`."""
    nodes = [RpcClient(url, 60.0) for url in load.urls]
    node = nodes[0]
    total = int(load.seconds * (load.rate if load.rate is not None else PREPARED_PER_SECOND_MAX)) or 1
    setup = set_up(
        node,
        funder=load.funder,
        senders=load.senders,
        recipients=load.recipients,
        each_max=total // load.senders + 2,
        workload=load.workload,
        say=say,
    )
    connections = CONNECTIONS_PER_URL
    if load.batch < LARGE_REQUEST:
        connections = min(CONNECTIONS_PER_URL_MAX, -(-LARGE_REQUEST * CONNECTIONS_PER_URL // load.batch))
    prepared = sign_all(setup, load.urls, connections=connections, total=total, workload=load.workload, say=say)
    measured = Measured(load.pids, load.data_dirs, load.metrics)
    result = Result(load, measured)
    numbers: dict[bytes, int] = {}
    offsets: list[int] = []
    for part in prepared:
        offsets.append(len(numbers))
        numbers.update({hash_: len(numbers) + i for i, hash_ in enumerate(part.hashes)})
    first = int(node.call("eth_blockNumber"), 16) + 1
    _wait_for_all(nodes, first - 1)
    watcher = Watcher(load.urls[0], numbers)
    result.watcher = watcher
    say(f"load for {load.seconds:g} s")
    own = cpu_seconds_self()
    measured.begin()
    await _offer_load(result, watcher, prepared, offsets, first, say)
    result.own_cpu_seconds = cpu_seconds_self() - own
    measured.end()
    result.committed = {number: seen for number, seen in watcher.committed.items() if number in result.sent}
    say("checking receipts and balances")
    result.failed = _failed(node, watcher)
    result.wrong_balances = _wrong_balances(node, setup, prepared, offsets, result)
    result.balances_right = result.wrong_balances == 0
    return result


async def _offer_load(
    result: Result, watcher: Watcher, prepared: list[Prepared], offsets: list[int], first: int, say: Say
) -> None:
    load = result.load
    result.begun = time.monotonic()
    run = _Run(result, watcher, result.begun + load.seconds)
    size, interval = load.batch, None
    if load.rate is not None:
        size = max(1, min(load.batch, int(load.rate * REQUEST_SECONDS / len(prepared))))
        interval = size * len(prepared) / load.rate
    following = asyncio.create_task(watcher.follow(first))
    sampling = asyncio.create_task(_sample(result, watcher, say))
    senders = [_Sender(run, part, offset) for part, offset in zip(prepared, offsets, strict=True)]
    try:
        await asyncio.gather(*(sender.send_all(interval, size) for sender in senders))
        result.sending_ended = time.monotonic()
        await _drain(result, watcher)
    finally:
        for task in (following, sampling):
            task.cancel()
        for sender in senders:
            sender.connection.close()


async def _drain(result: Result, watcher: Watcher) -> None:
    """Wait until all that was accepted is committed, or nothing has been for a while."""
    last = time.monotonic()
    count = len(watcher.committed)
    while any(number not in watcher.committed for number in result.accepted):
        await asyncio.sleep(0.1)
        if len(watcher.committed) != count:
            count, last = len(watcher.committed), time.monotonic()
        if time.monotonic() - last > DRAIN_SECONDS_MAX:
            return


async def _sample(result: Result, watcher: Watcher, say: Say) -> None:
    told = result.begun
    before = 0
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        result.measured.sample()
        now = time.monotonic()
        if now - told >= 5:
            count = len(watcher.committed)
            say(
                f"{now - result.begun:5.0f} s  accepted {len(result.accepted)}  committed {count}"
                f"  ({(count - before) / (now - told):.0f} per second)"
            )
            told, before = now, count


def cpu_seconds_self() -> float:
    """Processor time of this process."""
    import os

    return cpu_seconds(os.getpid()) or 0.0


def _wait_for_all(nodes: list[RpcClient], number: int) -> None:
    """Until every node has the block with our money in it; otherwise it would refuse the first transactions."""
    deadline = time.monotonic() + DRAIN_SECONDS_MAX
    for node in nodes:
        while int(node.call("eth_blockNumber"), 16) < number and time.monotonic() < deadline:
            time.sleep(0.05)


def _failed(node: RpcClient, watcher: Watcher) -> int:
    """Committed transactions of all noted blocks whose receipt says that they failed."""
    failed = 0
    numbers = [block.number for block in watcher.blocks if block.ours]
    for begin in range(0, len(numbers), 4):
        calls: list[tuple[str, list[Any]]] = [
            ("eth_getBlockReceipts", [hex(number)]) for number in numbers[begin : begin + 4]
        ]
        for number, receipts in zip(numbers[begin : begin + 4], node.batch(calls), strict=True):
            found = _receipts_singly(node, number) if isinstance(receipts, RpcError) else receipts
            failed += sum(int(receipt["status"], 16) != 1 for receipt in found)
    return failed


def _receipts_singly(node: RpcClient, number: int) -> list[Any]:
    block = node.call("eth_getBlockByNumber", hex(number), False)
    found: list[Any] = []
    for begin in range(0, len(block["transactions"]), CALLS_PER_BATCH):
        part = block["transactions"][begin : begin + CALLS_PER_BATCH]
        found += node.batch([("eth_getTransactionReceipt", [hash_]) for hash_ in part])
    return [receipt for receipt in found if isinstance(receipt, dict)]


def _wrong_balances(node: RpcClient, setup: Setup, prepared: list[Prepared], offsets: list[int], result: Result) -> int:
    """Recipients who do not have exactly one unit for each committed transaction to them."""
    coins: dict[int, int] = {}
    tokens: dict[int, int] = {}
    for part, offset in zip(prepared, offsets, strict=True):
        for place, recipient in enumerate(part.recipients):
            if offset + place in result.committed:
                counts = tokens if part.is_token[place] else coins
                counts[recipient] = counts.get(recipient, 0) + 1
    wrong = 0
    for counts, token in ((coins, None), (tokens, setup.token)):
        chosen = list(counts)
        found = read_balances(node, [setup.recipients[i] for i in chosen], token)
        wrong += sum(balance != counts[i] for i, balance in zip(chosen, found, strict=True))
    # Coins lie nowhere but with recipients; with failed token transfers the counts cannot be right, and that is said.
    return wrong
