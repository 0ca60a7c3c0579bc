"""What executing a block costs in the kernel: transfers and token transfers, cold, hinted and warm.

Prints microseconds of CPU per transaction (all threads of this process) and rounds of state reads: the median of
`--runs` blocks. Nothing is asserted: machines differ.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import hansa_kernel as k

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "tests"))
from kernel_driver import State, env, genesis, packed

# balances[caller] -= 1, balances[word 0] += 1, one event, as a token's transfer does with fewer instructions.
TOKEN_CODE = "33548015601e576001900333555f35805460010190555f3560015f5fa2005b5f5ffd"
TOKEN = b"\x70" * 20
HEAD = b"\x01" * 32


def world(senders: list[bytes], token_code: str) -> tuple[k.Spec, State]:
    """Rich senders, and a token that each of them has units of."""
    alloc: dict[str, dict[str, object]] = {sender.hex(): {"balance": hex(10**21)} for sender in senders}
    storage = {"0x" + sender.rjust(32, b"\0").hex(): "0x" + (10**6).to_bytes(32, "big").hex() for sender in senders}
    alloc[TOKEN.hex()] = {"balance": "0x0", "nonce": "0x1", "code": "0x" + token_code, "storage": storage}
    spec = k.Spec(genesis(alloc))
    state = State()
    state.apply(spec.genesis_write_set())
    return spec, state


def batch(spec: k.Spec, keys: bytes, kind: str) -> k.TxBatch:
    """One transaction per key to recipients of their own."""
    count = len(keys) // 32
    recipients = [k.keccak(b"recipient" + key.to_bytes(4, "big"))[:20] for key in range(count)]
    token = kind == "erc20"
    raw = k.sign_transactions(
        chain_id=spec.chain_id,
        secret_keys=keys,
        nonces=bytes(8) * count,
        to=TOKEN * count if token else b"".join(recipients),
        values_wei=(0 if token else 1).to_bytes(32, "big") * count,
        data=packed([recipient.rjust(32, b"\0") if token else b"" for recipient in recipients]),
        gas_limit=100_000 if token else 21_000,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
    )
    decoded = k.decode_transactions(raw, spec=spec, number=1, timestamp=1)
    assert decoded.all_valid()
    return decoded


def run(state: State, make: Callable[[], k.BlockJob]) -> tuple[float, float, k.BlockResult]:
    """CPU and wall seconds in the kernel, without the answers' making, and the result."""
    cpu = wall = 0.0
    values: k.Values | None = None
    job: k.BlockJob | None = None
    while True:
        began, at = time.process_time(), time.perf_counter()
        if job is None:
            job = make()
        out = job.step(values)
        cpu += time.process_time() - began
        wall += time.perf_counter() - at
        if isinstance(out, k.BlockResult):
            return cpu, wall, out
        values = state.answer(out) if isinstance(out, k.Need) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="transactions per block")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    k.configure(arguments.threads)
    keys = b"".join(k.keccak(b"key" + index.to_bytes(4, "big")) for index in range(arguments.count))
    addresses = k.address_of_secret_keys(keys)
    senders = [addresses[at : at + 20] for at in range(0, len(addresses), 20)]
    spec, state = world(senders, TOKEN_CODE)
    report: dict[str, object] = {"machine": platform.processor() or platform.machine(), "count": arguments.count}
    for kind in ("transfer", "erc20"):
        transactions = batch(spec, keys, kind)
        block = env(HEAD, gas_limit=1_000_000_000)
        _, _, first = run(state, lambda: k.BlockJob(spec, block, transactions))  # noqa: B023
        cache = k.StateCache()
        cache.reset(HEAD)
        run(state, lambda: k.BlockJob(spec, block, transactions, cache=cache, parent_hash=HEAD))  # noqa: B023
        modes: dict[str, Callable[[], k.BlockJob]] = {
            "cold": lambda: k.BlockJob(spec, block, transactions),  # noqa: B023
            "hinted": lambda: k.BlockJob(spec, block, transactions, hints=first.access_list),  # noqa: B023
            "warm": lambda: k.BlockJob(spec, block, transactions, cache=cache, parent_hash=HEAD),  # noqa: B023
        }
        for mode, make in modes.items():
            runs = [run(state, make) for _ in range(arguments.runs)]
            assert all(result.write_set == first.write_set for _, _, result in runs)
            cpu = statistics.median(cpu for cpu, _, _ in runs) / arguments.count * 1e6
            wall = statistics.median(wall for _, wall, _ in runs) / arguments.count * 1e6
            rounds = runs[0][2].stats["rounds"]
            print(f"{kind:9} {mode:7} {cpu:6.2f} us CPU, {wall:6.2f} us per transaction, {rounds} rounds")
            report[f"{kind}_{mode}"] = {"cpu_us": round(cpu, 2), "wall_us": round(wall, 2), "rounds": rounds}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
