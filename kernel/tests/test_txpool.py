"""The pool through the border, and what other threads can do meanwhile."""

import json
import struct
import threading
import time
from typing import Any

import hansa_kernel as kernel
import pytest

FORKS = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin"]
SPEC = kernel.Spec(
    json.dumps(
        {
            "config": {
                "chainId": 1337,
                **{f"{name}Block": 0 for name in [*FORKS, "london"]},
                "terminalTotalDifficulty": 0,
                **{f"{name}Time": 0 for name in ["shanghai", "cancun", "prague", "osaka"]},
                "zeroBaseFee": True,
                "hansa": {},
            },
            "alloc": {},
            "gasLimit": "0x1c9c380",
            "difficulty": "0x0",
        }
    ).encode()
)
NEXT: dict[str, Any] = {"number": 1, "gas_limit": 30_000_000, "base_fee": 0, "now_ms": 0}
ALL: dict[str, Any] = {"gas_limit": 10**12, "base_fee": 0, "bytes_max": 10**9, "count_max": 10**6}


def record(nonce: int, balance_wei: int) -> bytes:
    """A 105-byte account record."""
    return b"\x01" + struct.pack(">Q", nonce) + balance_wei.to_bytes(32, "big") + bytes(32) + kernel.EMPTY_CODE_HASH


def batch(wishes: list[tuple[int, int]], price: int = 0) -> kernel.TxBatch:
    """Transfers of 1 wei, one per (key, nonce)."""
    count = len(wishes)
    packed = kernel.sign_transactions(
        chain_id=1337, secret_keys=b"".join(key.to_bytes(32, "big") for key, _ in wishes),
        nonces=b"".join(struct.pack(">Q", nonce) for _, nonce in wishes), to=b"\x11" * 20 * count, data=bytes(4 * count),
        values_wei=(1).to_bytes(32, "big") * count, gas_limit=21_000, max_fee_per_gas=price, max_priority_fee_per_gas=price,
    )  # fmt: skip
    return kernel.decode_transactions(packed, spec=SPEC, number=1, timestamp=1)


def add(pool: kernel.TxPool, transactions: kernel.TxBatch, *, local: bool = False, **changes: int) -> list[str]:
    """Code names of the verdicts, empty when accepted; unknown senders own 10^18 wei."""
    addresses = pool.unknown_senders(transactions)
    accounts = record(0, 10**18) * (len(addresses) // 20)
    verdicts = pool.add(transactions, addresses=addresses, accounts=accounts, local=local, **{**NEXT, **changes})
    return [verdict.code if verdict else "" for verdict in verdicts]


def test_a_life_from_submission_to_commit() -> None:
    pool = kernel.TxPool(SPEC)
    transactions = batch([(1, 0), (1, 1), (2, 0), (1, 5)])
    assert add(pool, transactions, local=True) == [""] * 4
    assert pool.counts() == (3, 1, len(transactions.packed()) - 16, 4)
    payload = pool.payload(**ALL)
    assert payload.hashes() == transactions.slice(0, 3).hashes()
    sender = transactions.senders()[:20]
    assert pool.next_nonce(sender) == 2
    assert pool.next_nonce(bytes(20)) is None
    stale = pool.on_block(number=1, hashes=payload.hashes(), addresses=sender, accounts=record(2, 10**18), now_ms=1)
    assert stale == b""
    assert pool.counts()[:2] == (0, 1)
    assert not pool.contains(payload.hashes()[:32])
    found, missing = pool.get(transactions.hashes())
    assert (len(found), missing) == (1, transactions.hashes()[:96])


def test_price_zero_and_any_higher_price_are_welcome_without_base_fee() -> None:
    pool = kernel.TxPool(SPEC)
    assert add(pool, batch([(1, 0)])) == [""]
    assert add(pool, batch([(2, 0)], price=7)) == [""]
    assert list(pool.payload(**ALL).nonces()) == [0] * 16
    assert pool.payload(**ALL).senders() == kernel.address_of_secret_keys(
        (2).to_bytes(32, "big") + (1).to_bytes(32, "big")
    )


def test_refused_transactions_of_a_batch_keep_their_verdict() -> None:
    pool = kernel.TxPool(SPEC)
    broken = kernel.decode_transactions(b"\x00\x00\x00\x01\xc0", spec=SPEC, number=1, timestamp=1)
    mixed = kernel.TxBatch.concat([broken, batch([(1, 0)])])
    assert add(pool, mixed) == ["malformed_transaction", ""]
    assert add(pool, mixed) == ["malformed_transaction", "already_known"]


def test_messages_name_what_was_seen_and_what_was_wanted() -> None:
    pool = kernel.TxPool(SPEC)
    transactions = batch([(1, 4)])
    verdict = pool.add(transactions, addresses=transactions.senders(), accounts=record(7, 1), local=False, **NEXT)[0]
    assert verdict is not None
    assert (verdict.message, verdict.expected, verdict.got) == ("nonce too low: next nonce 7, tx nonce 4", 7, 4)


def test_evicted_transactions_are_reported() -> None:
    pool = kernel.TxPool(SPEC, transactions_max=1)
    waiting = batch([(1, 9)])
    assert add(pool, waiting) == [""]
    assert add(pool, batch([(2, 0)])) == [""]
    assert pool.take_dropped() == waiting.hashes()
    assert pool.take_dropped() == b""
    assert add(pool, batch([(3, 0)], price=5)) == ["pool_full"]


def test_expiry_and_sending_again() -> None:
    pool = kernel.TxPool(SPEC, life_ms=1_000)
    transactions = batch([(1, 0)])
    add(pool, transactions, local=True)
    assert pool.local_older_than(1, 10).hashes() == b""
    assert pool.local_older_than(2, 10).hashes() == transactions.hashes()
    assert pool.expire(999) == b""
    assert pool.expire(1_000) == transactions.hashes()


def test_content_has_geths_shape() -> None:
    pool = kernel.TxPool(SPEC)
    transactions = batch([(1, 0), (1, 2)])
    add(pool, transactions)
    content = json.loads(pool.content_json(transactions.senders()[:20], 10))
    [(address, pending)] = content["pending"].items()
    assert bytes.fromhex(address[2:]) == transactions.senders()[:20]
    assert pending["0"]["hash"] == "0x" + transactions.hashes()[:32].hex()
    assert content["queued"][address]["2"]["blockHash"] is None
    known, unknown = json.loads(pool.transactions_json(transactions.hashes()[:32] + bytes(32)))
    assert (known["nonce"], unknown) == ("0x0", None)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"addresses": b"x"}, "addresses"),
        ({"accounts": bytes(105)}, "accounts"),
        ({"accounts": b"\x02" * 104}, "accounts"),
    ],
)
def test_bad_arrays_are_input_errors(changes: dict[str, bytes], field: str) -> None:
    pool = kernel.TxPool(SPEC)
    arguments: dict[str, Any] = {"addresses": b"", "accounts": b"", "local": False, **NEXT, **changes}
    with pytest.raises(kernel.KernelInputError) as raised:
        pool.add(batch([(1, 0)]), **arguments)
    assert raised.value.field == field
    with pytest.raises(kernel.KernelInputError):
        pool.get(b"short")


def test_the_interpreter_runs_on_while_senders_are_recovered() -> None:
    """One thread recovers thousands of senders; another must keep its pace: asserted as a share of the job's time."""
    packed = batch([(1 + index % 50, index // 50) for index in range(5_000)]).packed()
    gaps: list[float] = []
    stop = threading.Event()

    def heartbeat() -> None:
        last = time.perf_counter()
        while not stop.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    thread = threading.Thread(target=heartbeat)
    thread.start()
    began = time.perf_counter()
    kernel.decode_transactions(packed, spec=SPEC, number=1, timestamp=1)
    job = time.perf_counter() - began
    stop.set()
    thread.join()
    assert max(gaps) < job / 2, f"a gap of {max(gaps) * 1000:.1f} ms in a job of {job * 1000:.1f} ms"


def test_threads_share_one_pool() -> None:
    pool = kernel.TxPool(SPEC)
    batches = [batch([(key, nonce) for nonce in range(100)]) for key in range(1, 5)]
    threads = [threading.Thread(target=add, args=(pool, transactions)) for transactions in batches]
    for thread in threads:
        thread.start()
    for _ in range(50):
        pool.payload(**ALL)
    for thread in threads:
        thread.join()
    assert pool.counts()[0] == 400
    assert len(pool.payload(**ALL)) == 400
