"""The load generator: what it signs, sends, sees and computes."""

import asyncio
from pathlib import Path

import hansa_kernel
import pytest
from eth_account import Account
from hansa.bench.measure import Measured, cpu_seconds, disk_bytes, rss_bytes, scrape
from hansa.bench.prepare import Fees, Setup, make_keys, sign_all
from hansa.bench.report import percentile, steady_rate, summary
from hansa.bench.run import Load, Result
from hansa.bench.watch import SeenBlock, Watcher
from hansa.bench.wire import AnswerInvalid, Connection
from hansa.packing import chunks


def quiet(_: str) -> None:
    pass


@pytest.fixture
def setup() -> Setup:
    keys = make_keys(b"seed", 10)
    addresses = tuple(chunks(hansa_kernel.address_of_secret_keys(b"".join(keys)), 20))
    return Setup(1337, keys, addresses, tuple(bytes([i]) * 20 for i in range(7)), Fees(0, 0), b"\x77" * 20)


def load(workload: str = "transfer") -> Load:
    return Load(["http://a", "http://b"], workload, 10, 7, None, 10.0, 100, bytes(32), {}, [], [], 1000)


def test_each_sender_belongs_to_one_connection_with_nonces_in_order(setup: Setup) -> None:
    prepared = sign_all(setup, ["http://a", "http://b"], connections=2, total=101, workload="transfer", say=quiet)
    assert sum(len(part.raw) for part in prepared) == 101
    home: dict[str, int] = {}
    nonces: dict[str, list[int]] = {}
    for number, part in enumerate(prepared):
        for raw in part.raw:
            sender = Account.recover_transaction("0x" + raw.decode())
            assert home.setdefault(sender, number) == number
            transaction = hansa_kernel.keccak(bytes.fromhex(raw.decode()))
            assert transaction in part.hashes
            nonces.setdefault(sender, []).append(len(nonces.get(sender, [])))
    assert {part.url for part in prepared} == {"http://a", "http://b"}
    assert len(home) == 10


def test_mixed_load_is_half_tokens(setup: Setup) -> None:
    prepared = sign_all(setup, ["http://a"], connections=1, total=100, workload="mixed", say=quiet)
    assert sum(prepared[0].is_token) == 50
    assert len(set(prepared[0].hashes)) == 100


def result_of(blocks: list[SeenBlock]) -> Result:
    result = Result(load(), Measured({}, [], []), begun=0.0, sending_ended=10.0)
    result.watcher = Watcher("http://a", {}, blocks=blocks)
    return result


def test_steady_rate_leaves_out_warm_up_and_drain() -> None:
    blocks = [SeenBlock(n, float(n), 100, 100, 0) for n in range(1, 15)]
    # Blocks seen at 2 .. 10 s count; the one at 2 s only marks the beginning.
    assert steady_rate(result_of(blocks)) == pytest.approx(100.0)


def test_rate_of_a_single_block_is_not_made_up() -> None:
    assert steady_rate(result_of([SeenBlock(1, 5.0, 100, 100, 0)])) == 0.0


def test_lost_transactions_are_counted() -> None:
    result = result_of([])
    result.sent = {0: 0.0, 1: 0.0, 2: 1.0}
    result.accepted = {0, 1, 2}
    result.committed = {0: 0.5, 2: 1.25}
    report = summary(result)
    assert (report["offered"], report["accepted"], report["committed"], report["lost"]) == (3, 3, 2, 1)
    assert report["latency_ms"] == {"p50": 250.0, "p90": 500.0, "p99": 500.0}
    assert report["cpu_seconds_per_1000_tx"] is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50.0), (0.9, 90.0), (0.99, 99.0)])
def test_percentiles_are_nearest_rank(share: float, expected: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 0.5) == 0.0


def test_own_process_is_measured(tmp_path: Path) -> None:
    import os

    (tmp_path / "a").write_bytes(bytes(100_000))
    assert (cpu_seconds(os.getpid()) or 0) > 0
    assert rss_bytes(os.getpid()) > 1 << 20
    assert disk_bytes(tmp_path) >= 100_000


def test_process_that_is_gone_has_no_figures() -> None:
    measured = Measured({"gone": 2**22 - 1}, [], ["http://127.0.0.1:9/metrics"])
    measured.begin()
    measured.end()
    assert measured.processes["gone"].cpu_seconds is None
    assert measured.counter_rises() == {}


def test_what_no_stage_explains_is_the_rest() -> None:
    measured = Measured({}, [], [])
    measured.counters_begin = {"process_cpu_seconds_total": 2.0, 'hansa_cpu_seconds_total{stage="vote"}': 0.5}
    measured.counters_end = {
        "process_cpu_seconds_total": 12.0,
        'hansa_cpu_seconds_total{stage="vote"}': 1.5,
        'hansa_cpu_seconds_total{stage="root"}': 6.0,
        "hansa_pool_admitted_total": 7.0,
    }
    assert measured.stage_seconds() == {"vote": 1.0, "root": 6.0, "rest": 3.0}


def test_a_node_without_metrics_has_no_stages() -> None:
    assert Measured({}, [], []).stage_seconds() == {}


def test_stages_of_this_process_are_scraped() -> None:
    from hansa.stages import charge
    from prometheus_client import start_http_server

    with charge("vote"):
        sum(range(100_000))
    server, thread = start_http_server(0, "127.0.0.1")
    try:
        found = scrape(f"http://127.0.0.1:{server.server_port}/metrics")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert found["process_cpu_seconds_total"] > 0
    assert found['hansa_cpu_seconds_total{stage="vote"}'] > 0


async def answering(answer: bytes) -> tuple[asyncio.Server, str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(answer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
    ],
)
async def test_answers_are_read_on_a_kept_connection(answer: bytes) -> None:
    server, url = await answering(answer)
    connection = Connection(url)
    assert [await connection.post(b"{}") for _ in range(3)] == [b"ok"] * 3
    connection.close()
    server.close()


async def test_answer_of_unknown_length_is_refused() -> None:
    server, url = await answering(b"HTTP/1.1 200 OK\r\n\r\nhello")
    with pytest.raises(AnswerInvalid):
        await Connection(url).post(b"{}")
    server.close()


def test_other_schemes_are_refused() -> None:
    with pytest.raises(AnswerInvalid):
        Connection("https://example.org")
