"""Log filters: what they find, and that their cost follows hits."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hansa_kernel
import orjson
import pytest
from hansa_statedb import limits
from hansa_statedb.chain import HEAD_KEY, Chain
from hansa_statedb.core.layout import ANY_LOG_TERM, u64
from hansa_statedb.core.postings import candidate_blocks, filter_groups
from hansa_statedb.errors import RequestInvalid
from hansa_statedb.queries import LogFilter, find_logs
from support.blocks import executed, header_after, open_chain, receipts_of
from support.execution import chain_of, secret_keys, transfers

KEYS = secret_keys(2)
BLOCKS = 100_000
RAREST = 5  # blocks with the rarest of the terms asked for: these bound what two that never meet cost
ADDRESSES = [hansa_kernel.keccak(b"a%d" % index)[:20] for index in range(4)]
TOPICS = [hansa_kernel.keccak(b"t%d" % index) for index in range(4)]

Log = tuple[bytes, list[bytes], bytes]


def wanted(start: int, end: int, addresses: list[bytes], topics: list[list[bytes]], results_max: int = 0) -> LogFilter:
    return LogFilter(start, end, b"".join(addresses), tuple(b"".join(position) for position in topics), results_max)


def matches(log: Log, addresses: list[bytes], topics: list[list[bytes]]) -> bool:
    if addresses and log[0] not in addresses:
        return False
    if len(topics) > len(log[1]):
        return False
    return all(not position or log[1][place] in position for place, position in enumerate(topics))


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    opened = open_chain(tmp_path / "statedb", chain_of(KEYS))
    yield opened
    opened.store.close()


def extend(chain: Chain, logs: list[Log]) -> None:
    number = chain.head.number
    batch = transfers(chain_of(KEYS), KEYS[:1], [number], [b"\x01" * 20]) if logs else None
    block, _ = chain.stage(executed(chain.head.header, {}, logs=logs, batch=batch))
    chain.commit(block.hash, b"")


def test_filters_find_what_a_scan_finds(chain: Chain) -> None:
    rng = random.Random(7)
    written: list[list[Log]] = [[]]
    for number in range(60):
        logs = [
            (rng.choice(ADDRESSES), rng.sample(TOPICS, rng.randint(0, 3)), b"%d" % number)
            for _ in range(rng.choice((0, 0, 1, 3)))
        ]
        written.append(logs)
        extend(chain, logs)
    for _ in range(120):
        start = rng.randint(0, 60)
        end = rng.randint(start, 70)
        addresses = rng.sample(ADDRESSES, rng.randint(0, 2))
        topics = [rng.sample(TOPICS, rng.randint(0, 2)) for _ in range(rng.randint(0, 3))]
        found = find_logs(chain, wanted(start, end, addresses, topics))
        expected = [
            (number, log[2].decode())
            for number in range(start, min(end, 60) + 1)
            for log in written[number]
            if matches(log, addresses, topics)
        ]
        rows = orjson.loads(found.json)
        assert [(int(row["blockNumber"], 16), bytes.fromhex(row["data"][2:]).decode()) for row in rows] == expected
        assert found.count == len(expected)


def test_too_many_results_say_how_far_they_would_fit(chain: Chain) -> None:
    for _ in range(5):
        extend(chain, [(ADDRESSES[0], [], b"x"), (ADDRESSES[0], [], b"y")])
    found = find_logs(chain, wanted(0, 10, [ADDRESSES[0]], [], results_max=7))
    assert (found.fits_to, found.json, found.count) == (3, b"", 0)
    assert find_logs(chain, wanted(0, 3, [ADDRESSES[0]], [], results_max=7)).count == 6
    assert find_logs(chain, wanted(0, 10, [ADDRESSES[0]], [], results_max=10)).count == 10


@pytest.fixture(scope="module")
def long_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """100,000 small blocks: ADDRESSES[0] logs in every second one, ADDRESSES[1] in five, with TOPICS[1]."""
    folder = tmp_path_factory.mktemp("long") / "statedb"
    chain = open_chain(folder, chain_of(KEYS))
    store = chain.store
    header = header_after(chain.head.header, has_logs=True)
    busy, rare = (receipts_of([(ADDRESSES[place], [TOPICS[place]], b"")]) for place in (0, 1))
    terms = [filter_groups([ADDRESSES[place]], [[TOPICS[place]]]) for place in (0, 1)]
    for first in range(1, BLOCKS + 1, 10_000):
        numbers = range(first, first + 10_000)
        batch = store.batch()
        batch.put_all("headers", ((u64(n), u64(n) * 4 + header) for n in numbers))
        batch.put_all("receipts", ((u64(n), rare if n % 20_000 == 777 else busy) for n in numbers if n % 2))
        for number in numbers:
            if number % 2:
                place = 1 if number % 20_000 == 777 else 0
                batch.post_all("logs", (t + u64(number) for group in terms[place] for t in group))
                batch.post_all("logs", [ANY_LOG_TERM + u64(number)])
        batch.put_all("meta", [(HEAD_KEY, u64(numbers[-1]) + u64(numbers[-1]) * 4)])
        store.write(batch)
    store.flush()
    store.close()
    chain = open_chain(folder, chain_of(KEYS))
    yield chain
    chain.store.close()


class Reads:
    """Counts what a query reads."""

    def __init__(self, chain: Chain, patch: pytest.MonkeyPatch) -> None:
        self.seeks = 0
        self.blocks = 0
        first_from, blocks = chain.store.first_from, chain.blocks

        def counted_seeks(family, keys):  # type: ignore[no-untyped-def]
            self.seeks += len(keys)
            return first_from(family, keys)

        def counted_blocks(numbers, parts):  # type: ignore[no-untyped-def]
            self.blocks += len(numbers)
            return blocks(numbers, parts)

        patch.setattr(chain.store, "first_from", counted_seeks)
        patch.setattr(chain, "blocks", counted_blocks)


@pytest.mark.parametrize(
    ("addresses", "topics", "hits"),
    [
        ([1], [], 5),
        ([], [[1]], 5),
        ([1], [[1]], 5),
        ([0, 1], [[1]], 5),
        ([1], [[0]], 0),
        ([2], [], 0),
        ([1, 2, 3], [[], [1]], 0),
    ],
)
def test_a_filter_over_100_000_blocks_touches_only_hits(
    long_chain: Chain, monkeypatch: pytest.MonkeyPatch, addresses: list[int], topics: list[list[int]], hits: int
) -> None:
    reads = Reads(long_chain, monkeypatch)
    asked = wanted(0, BLOCKS, [ADDRESSES[i] for i in addresses], [[TOPICS[i] for i in position] for position in topics])
    _fill_bodies(long_chain, monkeypatch)
    found = find_logs(long_chain, asked)
    assert found.count == hits
    assert reads.blocks == hits
    assert reads.seeks <= 4 * (RAREST + 1) * (len(addresses) + len(topics))


def _fill_bodies(chain: Chain, patch: pytest.MonkeyPatch) -> None:
    """The synthetic blocks have receipts without transactions: give each the hash that logs need."""
    blocks = chain.blocks
    patch.setattr(chain, "blocks", lambda n, p: [replace(block, hashes=bytes(32)) for block in blocks(n, p)])


def test_a_busy_filter_stops_reading_at_its_limit(long_chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = Reads(long_chain, monkeypatch)
    _fill_bodies(long_chain, monkeypatch)
    found = find_logs(long_chain, wanted(0, BLOCKS, [ADDRESSES[0]], [], results_max=100))
    assert found.fits_to is not None
    assert reads.blocks == 101


def test_candidates_of_random_postings_equal_a_scan() -> None:
    rng = random.Random(3)
    for _ in range(200):
        postings = {bytes((term,)) * 33: sorted(rng.sample(range(100), rng.randint(0, 40))) for term in range(5)}
        groups = [rng.sample(sorted(postings), rng.randint(1, 3)) for _ in range(rng.randint(1, 3))]
        start, end = sorted(rng.sample(range(110), 2))
        found = list(
            candidate_blocks(groups, start, end, lambda t, h, p=postings: next((n for n in p[t] if n >= h), None))  # type: ignore[misc]
        )
        scan = [n for n in range(start, end + 1) if all(any(n in postings[t] for t in group) for group in groups)]
        assert found == scan


@pytest.mark.parametrize(
    "bad",
    [
        LogFilter(5, 4, b"", (), 0),
        LogFilter(0, 1, b"x", (), 0),
        LogFilter(0, 1, b"", (b"x",), 0),
        LogFilter(0, 1, b"", (b"",) * 5, 0),
        LogFilter(0, 1, b"\x01" * 20 * 5_001, (), 0),
    ],
)
def test_broken_filters_are_refused(chain: Chain, bad: LogFilter) -> None:
    with pytest.raises(RequestInvalid):
        find_logs(chain, bad)


def test_a_filter_reads_a_bounded_number_of_blocks(long_chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOG_BLOCKS_MAX", 50)
    reads = Reads(long_chain, monkeypatch)
    _fill_bodies(long_chain, monkeypatch)
    found = find_logs(long_chain, wanted(0, BLOCKS, [ADDRESSES[0]], []))
    assert found.fits_to == 100  # blocks 1, 3, ... 99 were read
    assert reads.blocks == 50
