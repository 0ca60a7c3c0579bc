"""Running a case: a state in memory that answers the kernel's questions, and the time that the kernel takes."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import hansa_kernel

from hansa.worst.case import SENDERS, Account, Case, batch, sender

NUMBER = 1_000_000
TIMESTAMP = 1_000_000_000
"""The block that a case is: any whose forks are all in the past."""

ROUNDS_MAX = 1 << 20
"""Rounds of reads: a case may need as many as it likes."""

_EMPTY = bytes(105)
_UNKNOWN_ROOT = bytes(32)  # of a storage: there may be slots, so that the kernel asks


def _packed(items: list[bytes]) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def unpacked(packed: bytes) -> list[bytes]:
    """Items of a packed list."""
    items, at = [], 0
    while at < len(packed):
        length = int.from_bytes(packed[at : at + 4], "big")
        items.append(packed[at + 4 : at + 4 + length])
        at += 4 + length
    return items


@dataclass(slots=True)
class MemoryState:
    """The state before a case's block, and its trie after nothing."""

    case: Case
    codes: dict[bytes, bytes] = field(default_factory=dict)
    senders: frozenset[bytes] = frozenset(sender(number) for number in range(SENDERS))

    def account(self, address: bytes) -> Account | None:
        """What is at an address."""
        if address in self.senders:
            return Account(balance=1 << 100)
        return self.case.accounts.get(address) or self.case.made(address)

    def record(self, address: bytes) -> bytes:
        """The 105-byte record of an account; its code can be read from then on."""
        account = self.account(address)
        if account is None:
            return _EMPTY
        code_hash = hansa_kernel.keccak(account.code) if account.code else hansa_kernel.EMPTY_CODE_HASH
        if account.code:
            self.codes[code_hash] = account.code
        root = _UNKNOWN_ROOT if account.code else hansa_kernel.EMPTY_ROOT
        return b"\1" + account.nonce.to_bytes(8, "big") + account.balance.to_bytes(32, "big") + root + code_hash

    def slot(self, key: bytes) -> bytes:
        """The value of a slot (address, slot)."""
        account = self.account(key[:20])
        value = account.slots.get(int.from_bytes(key[20:], "big"), 0) if account else 0
        return value.to_bytes(32, "big")

    def answer(self, need: hansa_kernel.Need) -> hansa_kernel.Values:
        """Everything that is asked for, with the codes of the accounts."""
        addresses = [need.accounts[at : at + 20] for at in range(0, len(need.accounts), 20)]
        slots = [need.slots[at : at + 52] for at in range(0, len(need.slots), 52)]
        hashes = [need.codes[at : at + 32] for at in range(0, len(need.codes), 32)]
        blocks = [need.blocks[at : at + 8] for at in range(0, len(need.blocks), 8)]
        records = [self.record(address) for address in addresses]
        advice = {record[73:]: self.codes[record[73:]] for record in records if record[73:] in self.codes}
        return hansa_kernel.Values(
            accounts=b"".join(records),
            slots=b"".join(map(self.slot, slots)),
            codes=_packed([self.codes.get(code, b"") for code in hashes]),
            blocks=b"".join(map(hansa_kernel.keccak, blocks)),
            account_codes=_packed(list(advice.values())),
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a case."""

    gas: int
    execution_s: float  # in the kernel, all threads' wall time
    root_s: float  # of the trie's update, 0 where nothing is written beside the protocol's own
    reads: int  # keys asked for
    rounds: int
    result: hansa_kernel.BlockResult

    @property
    def seconds(self) -> float:
        """What the block keeps a member busy."""
        return self.execution_s + self.root_s


def hints(case: Case) -> bytes:
    """The keys that a case will read, as a proposer sends them."""
    accounts, slots = case.reads()
    known = [sender(number) for number in {transaction.sender for transaction in case.transactions}]
    packed_slots = b"".join(address + slot.to_bytes(32, "big") for address, slot in slots)
    return _packed([b"".join([*case.accounts, *known, *accounts]), packed_slots, b"", b""])


def environment(case: Case, gas_limit: int | None = None) -> hansa_kernel.BlockEnv:
    """The block's environment. A difficulty of 0 would make old rules those after the merge."""
    return hansa_kernel.BlockEnv(
        parent_hash=bytes(32),
        number=NUMBER,
        timestamp=TIMESTAMP,
        gas_limit=gas_limit or case.gas,
        base_fee_per_gas=0,
        beneficiary=b"\xbe" * 20,
        prev_randao=bytes(32),
    )


def allowed(case: Case, spec: hansa_kernel.Spec) -> bool:
    """Whether a chain takes the case's transactions: it may bound their gas."""
    return batch(case, spec, NUMBER, TIMESTAMP).all_valid()


def run(
    case: Case,
    spec: hansa_kernel.Spec,
    *,
    hinted: bytes = b"",
    building: bool = False,
    runner: str = "sequential",
    rounds_max: int = ROUNDS_MAX,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Execute the case's block once. Time is that of the kernel alone: answers are made while the clock stands."""
    state = MemoryState(case)
    decoded = batch(case, spec, NUMBER, TIMESTAMP)
    env = environment(case)
    began = clock()
    job = hansa_kernel.BlockJob(
        spec, env, decoded, hints=hinted, building=building, runner=runner, rounds_max=rounds_max, system_calls=False
    )
    out = job.step()
    spent = clock() - began
    while not isinstance(out, hansa_kernel.BlockResult):
        values = state.answer(out) if isinstance(out, hansa_kernel.Need) else None
        began = clock()
        out = job.step(values)
        spent += clock() - began
    root_s = update(state, out.write_set, clock)
    return Measured(out.gas_used, spent, root_s, out.stats["misses"], out.stats["rounds"], out)


def update(state: MemoryState, write_set: bytes, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that the root of an empty trie after a write set takes."""
    addresses, _ = hansa_kernel.write_set_keys(write_set)
    job = hansa_kernel.TrieJob(hansa_kernel.EMPTY_ROOT, write_set, _EMPTY * (len(addresses) // 20))
    spent, nodes, wiped = 0.0, None, None
    while True:
        began = clock()
        out = job.step(nodes, wiped)
        spent += clock() - began
        if isinstance(out, hansa_kernel.TrieResult):
            return spent
        nodes = [None] * len(unpacked(out.paths))
        wiped = [b""] * (len(out.wiped) // 32)
