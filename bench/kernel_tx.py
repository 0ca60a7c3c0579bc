"""The kernel's transaction parts on their own: medians per operation (`python bench/kernel_tx.py`).

`one` and `all` are runs with one and with all kernel threads (a process each, since the pool of threads is made once).
Pool operations run on one thread. coincurve's recovery stands beside for scale when it is installed.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import hansa_kernel as kernel
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent / "results"
FORKS = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin"]
BATCH = 10_000  # transactions of one call, the border's bound
POOL = 100_000  # the pool's bound
PAYLOAD = 2_000
GAS = 21_000


def chain_spec() -> kernel.Spec:
    """Every fork up to Osaka from the start, no fees needed."""
    config = {
        "chainId": 1337,
        **{f"{name}Block": 0 for name in [*FORKS, "london"]},
        "terminalTotalDifficulty": 0,
        **{f"{name}Time": 0 for name in ["shanghai", "cancun", "prague", "osaka"]},
        "zeroBaseFee": True,
        "hansa": {},
    }
    document = {"config": config, "alloc": {}, "gasLimit": "0x1c9c380", "difficulty": "0x0"}
    return kernel.Spec(json.dumps(document).encode())


def sign(keys: list[int], nonces: list[int]) -> bytes:
    """Transfers whose prices vary, so that payloads have something to order."""
    count = len(keys)
    return kernel.sign_transactions(
        chain_id=1337,
        secret_keys=b"".join(key.to_bytes(32, "big") for key in keys),
        nonces=struct.pack(f">{count}Q", *nonces),
        to=b"\x11" * 20 * count,
        values_wei=(1).to_bytes(32, "big") * count,
        data=bytes(4 * count),
        gas_limit=GAS,
        max_fee_per_gas=10**9 + keys[0] * 7919 % 1_000,
        max_priority_fee_per_gas=keys[0] * 7919 % 1_000,
    )


class Clock:
    """Durations by name, in microseconds per item."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    @contextlib.contextmanager
    def time(self, name: str, items: int) -> Iterator[None]:
        """Note how long the block takes, divided by `items`."""
        began = time.perf_counter()
        yield
        self.found.setdefault(name, []).append((time.perf_counter() - began) * 1e6 / items)

    def medians(self) -> dict[str, float]:
        """One figure per name."""
        return {name: statistics.median(values) for name, values in self.found.items()}


def accounts(addresses: bytes) -> bytes:
    """Rich account records."""
    return (b"\x01" + bytes(8) + (10**24).to_bytes(32, "big") + bytes(64)) * (len(addresses) // 20)


def measure(rounds: int) -> dict[str, float]:
    """Microseconds per transaction, or milliseconds per call where the name says so."""
    spec = chain_spec()
    clock = Clock()
    packed: list[bytes] = []
    for chunk in range(POOL // BATCH):  # 50,000 senders with two transactions each
        keys = [1 + chunk * BATCH // 2 + index // 2 for index in range(BATCH)]
        nonces = [index % 2 for index in range(BATCH)]
        with clock.time("sign, us", BATCH):
            packed.append(sign(keys, nonces))
    batches: list[kernel.TxBatch] = []
    for raws in packed:
        with clock.time("decode and recover, us", BATCH):
            batches.append(kernel.decode_transactions(raws, spec=spec, number=1, timestamp=1))
    for raws, batch in zip(packed, batches, strict=True):
        senders = batch.senders()
        with clock.time("decode (senders known), us", BATCH):
            kernel.attach_senders(raws, senders, spec=spec, number=1, timestamp=1)
    for _ in range(rounds):
        measure_pool(kernel.TxPool(spec), batches, clock)
    return clock.medians()


def measure_pool(pool: kernel.TxPool, batches: list[kernel.TxBatch], clock: Clock) -> None:
    """Fill one pool, take a block out of it, and let the rest expire."""
    for batch in batches:
        with clock.time("pool unknown_senders, us", BATCH):
            addresses = pool.unknown_senders(batch)
        records = accounts(addresses)
        with clock.time("pool add, us", BATCH):
            verdicts = pool.add(
                batch, addresses=addresses, accounts=records, local=True, number=1, gas_limit=GAS, base_fee=0, now_ms=0
            )
        if any(verdicts):
            raise AssertionError(next(filter(None, verdicts)))

    def payload(in_flight: bytes) -> kernel.TxBatch:
        return pool.payload(
            gas_limit=PAYLOAD * GAS, base_fee=0, bytes_max=1 << 30, count_max=PAYLOAD, in_flight=in_flight
        )

    with clock.time(f"pool payload of {PAYLOAD:,} from {POOL:,}, ms", 1_000):
        block = payload(b"")
    with clock.time(f"pool payload with {PAYLOAD:,} in flight, ms", 1_000):
        payload(block.hashes())
    with clock.time("pool get, us", PAYLOAD):
        pool.get(block.hashes())
    senders = block.senders()
    records = accounts(senders)
    with clock.time(f"pool on_block of {PAYLOAD:,}, ms", 1_000):
        pool.on_block(number=1, hashes=block.hashes(), addresses=senders, accounts=records, now_ms=0)
    with clock.time(f"pool content_json of {PAYLOAD:,}, ms", 1_000):
        pool.content_json(None, PAYLOAD)
    with clock.time(f"pool expire of {POOL - PAYLOAD:,}, ms", 1_000):
        pool.expire(1 << 40)


def coincurve_recovery() -> float | None:
    """Microseconds of one recovery from Python, one core."""
    try:
        import coincurve
    except ImportError:
        return None
    signature = coincurve.PrivateKey(b"\x01" * 32).sign_recoverable(bytes(32), hasher=None)

    def once() -> float:
        began = time.perf_counter()
        for _ in range(500):
            coincurve.PublicKey.from_signature_and_message(signature, bytes(32), hasher=None)
        return (time.perf_counter() - began) * 2_000

    return statistics.median(once() for _ in range(9))


def run(threads: int, rounds: int) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--threads", str(threads), "--rounds", str(rounds)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def main() -> None:
    """Print the table and write `results/kernel_tx.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="measure with so many threads and print JSON")
    arguments = parser.parse_args()
    if arguments.threads:
        kernel.configure(arguments.threads)
        print(json.dumps(measure(arguments.rounds)))
        return
    cores = os.cpu_count() or 1
    one, every = run(1, arguments.rounds), run(cores, arguments.rounds)
    scale = coincurve_recovery()
    if scale is not None:
        one["coincurve recovery, us"] = scale
    table = Table(title=f"kernel transactions, {cores} cores, {platform.processor() or platform.machine()}")
    table.add_column("operation", style="cyan")
    table.add_column("one thread", justify="right", style="green")
    table.add_column("all threads", justify="right", style="bold green")
    for name, value in one.items():
        table.add_row(name, f"{value:.2f}", f"{every[name]:.2f}" if name in every else "")
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": cores, "machine": platform.machine(), "system": platform.platform()}
    (RESULTS / "kernel_tx.json").write_text(json.dumps({"machine": machine, "one": one, "all": every}, indent=1))


if __name__ == "__main__":
    main()
