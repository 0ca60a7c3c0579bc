"""Measures in the kernel what the wish list gives figures for, and writes `results/wish_list.json`.

Blocks of 1,000 transactions: state roots per transaction and per block, rounds of state reads, signatures
and gas per second. One process for each number of threads, since the pool of threads is made once. Medians of `--runs`;
only time inside the kernel counts, not the making of answers in Python. `bench/figures.py` makes the page.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hansa_kernel as k

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "tests"))
from kernel_driver import State, env, genesis, packed
from kernel_exec import TOKEN_CODE, batch, run, world

RESULTS = Path(__file__).resolve().parent / "results"
COUNT = 1_000  # transactions of a block
ACCOUNTS = 100_000  # accounts of the state whose roots are made
SIGNATURES = 10_000
# Signatures of a batch by scheme; fewer where they are slow.
SCHEMES = {"ed25519": 2_000, "p256": 1_000, "sm2": 300, "ml-dsa-65": 1_000, "slh-dsa-sha2-128s": 100}
GAS_LIMIT = 1_000_000_000
EMPTY_CODE = k.keccak(b"")


def secrets(count: int) -> bytes:
    """So many keys, 32 bytes each."""
    return b"".join(k.keccak(b"key" + index.to_bytes(4, "big")) for index in range(count))


def addresses_of(keys: bytes) -> list[bytes]:
    """Accounts of the keys."""
    packed_addresses = k.address_of_secret_keys(keys)
    return [packed_addresses[at : at + 20] for at in range(0, len(packed_addresses), 20)]


def median(work: Callable[[], float], runs: int) -> float:
    """Median of so many measurements."""
    return statistics.median(work() for _ in range(runs))


def unpacked(data: bytes) -> list[bytes]:
    """Items of a packed list, however long."""
    items, at = [], 0
    while at < len(data):
        stop = at + 4 + int.from_bytes(data[at : at + 4], "big")
        items.append(data[at + 4 : stop])
        at = stop
    return items


@dataclass
class Trie:
    """Nodes by key, as statedb keeps them."""

    nodes: dict[bytes, bytes] = field(default_factory=dict)
    root: bytes = k.EMPTY_ROOT
    cache: k.TrieCache = field(default_factory=k.TrieCache)

    def update(self, write_set: bytes, before: bytes) -> float:
        """Fold in a write set; seconds inside the kernel. `before`: the accounts' records."""
        seconds, nodes = 0.0, None
        job = None
        while True:
            began = time.perf_counter()
            job = job or k.TrieJob(self.root, write_set, before, cache=self.cache)
            out = job.step(nodes)
            seconds += time.perf_counter() - began
            if isinstance(out, k.TrieResult):
                break
            nodes = [self.nodes.get(key) for key in unpacked(out.paths)]
        for key in unpacked(out.node_deletes):
            del self.nodes[key]
        writes = unpacked(out.node_writes)
        self.nodes.update(zip(writes[::2], writes[1::2], strict=True))
        self.root = out.root
        return seconds

    def copy(self) -> Trie:
        """The same trie, to be changed apart. What is learned of it stays common."""
        return Trie(dict(self.nodes), self.root, self.cache)


def account_writes(addresses: list[bytes]) -> bytes:
    """Write set that makes rich accounts."""
    entry = b"\0" + bytes(8) + (10**21).to_bytes(32, "big") + EMPTY_CODE + bytes(4)
    return len(addresses).to_bytes(4, "big") + b"".join(address + entry for address in sorted(addresses))


def records(state: State, write_set: bytes) -> bytes:
    """Records of the accounts of a write set, as they are before it."""
    addresses, _ = k.write_set_keys(write_set)
    return b"".join(state.accounts.get(addresses[at : at + 20], bytes(105)) for at in range(0, len(addresses), 20))


def measure_roots(runs: int) -> dict[str, float]:
    """Milliseconds of a block of transfers with one root at its end, and with a root after each transaction."""
    keys = secrets(COUNT)
    others = [k.keccak(b"other" + index.to_bytes(4, "big"))[:20] for index in range(ACCOUNTS - COUNT)]
    spec, state = k.Spec(genesis({})), State()
    trie, writes = Trie(), account_writes(addresses_of(keys) + others)
    trie.update(writes, bytes(105) * ACCOUNTS)
    state.apply(writes)
    transactions, block = batch(spec, keys, "transfer"), env(gas_limit=GAS_LIMIT)

    def executed(part: k.TxBatch, on: State) -> tuple[float, bytes]:
        _, wall, result = run(on, lambda: k.BlockJob(spec, block, part, system_calls=False))
        return wall, result.write_set

    def once() -> tuple[float, float, float, float]:
        seconds, write_set = executed(transactions, state)
        at_end = trie.copy()
        root_at_end = at_end.update(write_set, records(state, write_set))
        each, moving = trie.copy(), State(dict(state.accounts), {}, dict(state.codes))
        seconds_each = roots_each = 0.0
        for index in range(COUNT):
            wall, part = executed(transactions.slice(index, index + 1), moving)
            seconds_each += wall
            roots_each += each.update(part, records(moving, part))
            moving.apply(part)
        if each.root != at_end.root:
            raise AssertionError("the root does not depend on how often it is made")
        return seconds, root_at_end, seconds_each, roots_each

    found = [once() for _ in range(runs)]
    names = ("execute_block_ms", "root_per_block_ms", "execute_each_ms", "root_per_transaction_ms")
    return {name: 1_000 * statistics.median(run[at] for run in found) for at, name in enumerate(names)}


def measure_tokens(runs: int) -> dict[str, Any]:
    """Token transfers to new holders, some 50,000 gas each: microseconds per transaction, gas, rounds, keys."""
    keys = secrets(COUNT)
    spec, state = world(addresses_of(keys), TOKEN_CODE)
    transactions, block = batch(spec, keys, "erc20"), env(gas_limit=GAS_LIMIT)
    _, _, first = run(state, lambda: k.BlockJob(spec, block, transactions))
    found: dict[str, Any] = {"gas_per_transaction": first.gas_used / COUNT}
    for mode, hints in (("unhinted", b""), ("hinted", first.access_list)):
        stats: dict[str, int] = {}

        def once(hints: bytes = hints, stats: dict[str, int] = stats) -> float:
            _, wall, result = run(state, lambda: k.BlockJob(spec, block, transactions, hints=hints))
            stats.update(result.stats)
            return wall

        wall = median(once, runs)
        found[mode] = {"seconds": wall, "rounds": stats["rounds"], "keys": stats["misses"]}
    return found


def measure_signatures(runs: int) -> dict[str, float]:
    """Signatures checked per second by scheme: decoding and the sender's recovery, or the account signature."""
    schemes = [{"name": name} for name in SCHEMES]
    document = json.loads(genesis({}))
    document["config"]["hansa"]["vm"] = {"signatureSchemes": schemes}
    spec = k.Spec(json.dumps(document).encode())
    common = {"chain_id": spec.chain_id, "max_fee_per_gas": 0, "max_priority_fee_per_gas": 0}
    batches = {
        "secp256k1": k.sign_transactions(
            secret_keys=secrets(SIGNATURES),
            nonces=bytes(8 * SIGNATURES),
            to=b"\x11" * 20 * SIGNATURES,
            values_wei=bytes(32 * SIGNATURES),
            data=bytes(4 * SIGNATURES),
            gas_limit=21_000,
            **common,
        )
    }
    for name, count in SCHEMES.items():
        # Signing by SLH-DSA takes seconds, so its batch repeats one signature; checking does not know.
        distinct = 1 if name.startswith("slh") else count
        signed = [
            k.sign_account_transaction(
                scheme=name,
                secret_key=k.keccak(b"key" + index.to_bytes(4, "big")),
                nonce=0,
                to=b"\x11" * 20,
                value_wei=bytes(32),
                data=b"",
                gas_limit=1_000_000,
                address_ranges=b"",
                **common,
            )
            for index in range(distinct)
        ]
        batches[name] = packed(signed * (count // distinct))
    found = {}
    for name, raw in batches.items():
        count = SIGNATURES if name == "secp256k1" else SCHEMES[name]

        def once(raw: bytes = raw) -> float:
            began = time.perf_counter()
            decoded = k.decode_transactions(raw, spec=spec, number=1, timestamp=1)
            seconds = time.perf_counter() - began
            if not decoded.all_valid():
                raise AssertionError(next(filter(None, decoded.errors())))
            return seconds

        found[name] = count / median(once, runs)
    return found


def measure(runs: int) -> dict[str, Any]:
    """Everything, on the threads of this process."""
    return {
        "roots": measure_roots(max(1, runs // 3)),
        "tokens": measure_tokens(runs),
        "signatures": measure_signatures(max(1, runs // 3)),
    }


def main() -> None:
    """Measure with one thread and with all, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--threads", type=int, help="measure with so many threads and print JSON")
    arguments = parser.parse_args()
    if arguments.threads:
        k.configure(arguments.threads)
        print(json.dumps(measure(arguments.runs)))
        return
    cores = os.cpu_count() or 1
    found = {}
    for threads in sorted({1, cores}):
        command = [sys.executable, __file__, "--threads", str(threads), "--runs", str(arguments.runs)]
        found[str(threads)] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    report = {
        "machine": {"cores": cores, "architecture": platform.machine(), "python": platform.python_version()},
        "commit": commit.stdout.strip(),
        "date": time.strftime("%Y-%m-%d"),
        "transactions": COUNT,
        "accounts": ACCOUNTS,
        "threads": found,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "wish_list.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
