"""The border between Python and Hansa's Rust kernel: its whole contract.

The kernel computes and does no I/O. Where it lacks a value it returns a `Need`; the caller fetches all of it in one
round and steps the job again. Heavy calls release the interpreter lock and run on the kernel's own thread pool.

Byte layouts used throughout (all integers big-endian, fixed width, no padding):

- packed list: for each item `u32 length` then the bytes.
- transactions: packed list of EIP-2718 raw transactions. hashes: 32 bytes each. senders and addresses: 20 bytes each.
- account record, 105 bytes: `u8 exists (0|1), u64 nonce, u256 balance_wei, b256 storage_root, b256 code_hash`;
  an account that does not exist is 105 zero bytes.
- slot key, 52 bytes: address, b256 slot. Slot value: 32 bytes, zero when absent.
- write set, accounts ascending by address, slots ascending by slot: `u32 account count`, then per account
  `address, u8 flags (1 deleted, 2 storage wiped before the slots below, 4 code follows), u64 nonce, u256 balance_wei,
  b256 code_hash, [u32 code length, code], u32 slot count, (b256 slot, u256 value)*`. A zero value deletes the slot. A
  deleted account has zero nonce, balance and code_hash, the wiped flag, and no slots.
- receipts of a block: RLP list of `[type, status, cumulative_gas_used, [[address, [topic...], data]...]]` (no bloom: it
  follows from the logs). Before Byzantium `status` is the 32-byte post-state root.
- header: the RLP of the Ethereum header; its Keccak hash is the block hash.

Errors: `KernelInputError` for any bad input (never a panic), `KernelBug` if the kernel itself failed.
"""

from collections.abc import Sequence
from typing import Final, final

class KernelInputError(ValueError):
    """Bad input: `field` names what, `expected` and `got` say how (text, bounded to 200 characters each)."""

    field: str
    expected: str
    got: str

class KernelBug(Exception):
    """The kernel panicked. The call had no effect; the service should stop (assertions stay on)."""

VERSION: Final[str]
EMPTY_ROOT: Final[bytes]  # root of an empty Merkle-Patricia trie
EMPTY_CODE_HASH: Final[bytes]

def configure(kernel_threads: int) -> None:
    """Size of the kernel's thread pool (1..256); only before its first use, else `KernelInputError`."""

def keccak(data: bytes) -> bytes: ...
def keccak_batch(items: bytes) -> bytes:
    """Packed list -> 32 bytes per item."""

def quorum(validators: int) -> int:
    """q = n - f with f = (n - 1) // 3, for n >= 1 (rule P1: the only place that computes it)."""

# --- chain rules ----------------------------------------------------------------------------------------------------

@final
class Spec:
    """Rules of one chain, from its chain spec (geth's genesis.json with `config.hansa`). Frozen, cheap to share."""

    def __new__(cls, chain_spec: bytes) -> Spec:
        """Parse the JSON: geth's genesis with the keys that Besu and Quorum add, or OpenEthereum's chain specification
        (whose contracts of block 0 are made by running their constructors). Unknown keys of `config` are ignored here
        (the pydantic model checks them); forks of other networks are `KernelInputError` naming the key."""
    chain_id: int
    zero_base_fee: bool  # config.zeroBaseFee or config.hansa.fees.zeroBaseFee
    max_code_size: int  # bytes; 24576 unless config.contractSizeLimit says otherwise
    engine: str  # who makes blocks before the merge: "ethash", "clique", "authority" (IBFT, QBFT, Raft, Aura)
    terminal_total_difficulty: int | None  # proof of stake begins after it; 0: with the first block; None: never
    def fork(self, number: int, timestamp: int) -> str:
        """Name of the fork active in that block, as in the public tests ("Osaka", "Prague", ...)."""

    def genesis_write_set(self) -> bytes:
        """Write set of `alloc` on the empty state."""

    def genesis_header(self, state_root: bytes) -> bytes:
        """Header of block 0 as geth computes it for this file (which fields exist depends on the forks at 0)."""

    def genesis_hash(self, state_root: bytes) -> bytes:
        """Keccak of `genesis_header`. On Aura chains, whose seal is no mix hash and nonce, `Header.decode` refuses that."""
    genesis_gas_limit: int
    genesis_timestamp: int  # Unix seconds

    def next_base_fee(self, parent_header: bytes) -> int:
        """Base fee of the block after, wei (EIP-1559), or 0 with `zero_base_fee`, or before London."""

    def rewards(self, header: bytes, ommers: bytes = b"") -> list[tuple[bytes, int]]:
        """(account, wei) of what a block before the merge earns: its ommers' makers in their order, then its own.
        `ommers`: packed list of headers."""

    def blob_rules(self, timestamp: int) -> tuple[int, int, int] | None:
        """(target, maximum, update fraction of the price) of blobs per block at a time (EIP-7840); None before Cancun."""

    def blob_base_fees(self, header: bytes) -> tuple[int, int]:
        """Blob base fees in wei: of the block, and of the next one by the rules of its time; 0 before Cancun."""

@final
class Header:
    """A decoded header. Absent optional fields are None."""

    @staticmethod
    def decode(rlp: bytes) -> Header: ...
    hash: bytes
    rlp: bytes
    parent_hash: bytes
    ommers_hash: bytes
    beneficiary: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    difficulty: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    nonce: bytes
    base_fee_per_gas: int | None
    withdrawals_root: bytes | None
    blob_gas_used: int | None
    excess_blob_gas: int | None
    parent_beacon_block_root: bytes | None
    requests_hash: bytes | None

@final
class BlockEnv:
    """What a block is executed in. All fields are consensus data."""

    def __new__(
        cls,
        *,
        parent_hash: bytes,
        number: int,
        timestamp: int,
        gas_limit: int,
        base_fee_per_gas: int,
        beneficiary: bytes,
        prev_randao: bytes,
        parent_beacon_block_root: bytes = ...,  # 32 zero bytes
        extra_data: bytes = b"",
        difficulty: int = 0,
        excess_blob_gas: int = 0,
        nonce: bytes = ...,  # 8 bytes; part of the seal before the merge, zero after it
    ) -> BlockEnv: ...
    @staticmethod
    def from_header(rlp: bytes) -> BlockEnv: ...

# --- transactions ---------------------------------------------------------------------------------------------------

@final
class TxError:
    """Why a transaction is refused. `code` is a stable snake_case name, `message` geth's text (spec/apis 2.3)."""

    code: str  # e.g. "nonce_too_low", "already_known", "invalid_signature", "intrinsic_gas_too_low"
    message: str
    expected: int | None
    got: int | None

@final
class TxBatch:
    """Decoded transactions with recovered senders; frozen. Slots with an error keep their place.

    Slicing and `select` share the decoded transactions (no copy of bodies).
    """

    def __len__(self) -> int: ...
    def slice(self, start: int, stop: int) -> TxBatch: ...
    def select(self, indices: Sequence[int]) -> TxBatch: ...
    @staticmethod
    def concat(batches: Sequence[TxBatch]) -> TxBatch: ...
    def hashes(self) -> bytes: ...
    def senders(self) -> bytes:
        """20 bytes each, zero where the slot has an error."""
    def packed(self) -> bytes:
        """The raw transactions again, as a packed list."""
    def errors(self) -> list[TxError | None]: ...
    def all_valid(self) -> bool: ...
    def nonces(self) -> bytes:
        """u64 each."""

def decode_transactions(packed: bytes, *, spec: Spec, number: int, timestamp: int) -> TxBatch:
    """Decode, check what needs no state, recover senders, in parallel.

    Checks: size <= 128 KiB, type allowed by the fork (type 3 never on Hansa chains: nobody keeps sidecars), chain id,
    low s (EIP-2), intrinsic gas and EIP-7623 floor, gas limit cap (EIP-7825), initcode size, fee fields, access list and
    authorisation limits. Raises `KernelInputError` only if `packed` itself is malformed or holds over 10,000 items.
    """

def attach_senders(packed: bytes, senders: bytes, *, spec: Spec, number: int, timestamp: int) -> TxBatch:
    """As `decode_transactions`, but with senders this member has already recovered (never a peer's claim)."""

def sign_transactions(
    *,
    chain_id: int,
    secret_keys: bytes,  # 32 each
    nonces: bytes,  # u64 each
    to: bytes,  # 20 each
    values_wei: bytes,  # u256 each
    data: bytes,  # packed list, one each
    gas_limit: int,
    max_fee_per_gas: int,
    max_priority_fee_per_gas: int,
) -> bytes:
    """Signed EIP-1559 transactions (packed list), in parallel; for load generators and the CLI. RFC 6979 nonces."""

def signature_schemes() -> list[tuple[str, int]]:
    """(name, gas beside 21,000 at the default prices) of every account signature scheme that is built in."""

def scheme_public_key(scheme: str, secret_key: bytes) -> bytes:
    """Public key of a 32-byte secret in that scheme; empty for `secp256k1`, whose key is recovered."""

def scheme_address(scheme: str, public_key: bytes) -> bytes:
    """The 20-byte account of a public key: the end of keccak(identifier || key). Not for `secp256k1`."""

def sign_account_transaction(
    *,
    scheme: str,  # a name of `signature_schemes`, or "secp256k1"
    secret_key: bytes,  # 32
    chain_id: int,
    nonce: int,
    to: bytes,  # 20, or empty to create a contract
    value_wei: bytes,  # u256
    data: bytes,
    gas_limit: int,
    max_fee_per_gas: int,
    max_priority_fee_per_gas: int,
    address_ranges: bytes,  # first and last address, 40 each, ascending; empty promises nothing
) -> bytes:
    """One transaction in the chain's envelope (type 0x48), signed. Takes seconds for SLH-DSA. Deterministic."""

def address_of_secret_keys(secret_keys: bytes) -> bytes:
    """20 bytes per 32-byte secp256k1 key."""

@final
class TxPool:
    """The transaction pool's order and bounds (spec/reliability 6.1), without I/O. Thread-safe.

    Per sender: an executable lane (gapless from the account's nonce) and a gapped rest. Payload order: by effective
    tip descending, then arrival; never against the nonce order of a sender. Total cost of a sender's executable lane is
    at most its balance. Replacement needs +10 % of both fee fields (or, at price 0, nothing replaces). A full pool
    refuses ("pool full") unless a cheaper gapped transaction can go; executable ones are never evicted for others.
    """

    def __new__(
        cls,
        spec: Spec,
        *,
        transactions_max: int = 100_000,
        executable_per_sender_max: int = 4_096,
        gapped_per_sender_max: int = 64,
        bytes_max: int = 536_870_912,
        life_ms: int = 10_800_000,
    ) -> TxPool: ...
    def unknown_senders(self, batch: TxBatch) -> bytes:
        """Distinct senders (ascending) whose account the pool does not hold yet: read them, then `add`."""
    def add(
        self,
        batch: TxBatch,
        *,
        addresses: bytes,
        accounts: bytes,
        number: int,
        gas_limit: int,
        base_fee: int,
        now_ms: int,
        local: bool,
    ) -> list[TxError | None]:
        """Admit; one verdict per transaction, None = accepted (also into the gapped rest).

        `addresses`/`accounts`: 20 bytes / 105-byte records of senders asked for. `number`, `gas_limit`, `base_fee` are
        those of the next block. `local`: this member promised it to a client (it re-sends it); a transaction known
        already and added as local becomes local, too. Accounts are ignored where the pool follows the sender already,
        and all of them when `on_block` has seen `number` or later since they were read: such senders, as all without
        an account, get the verdict `account_unknown` (read and add again).
        """
    def payload(
        self,
        *,
        gas_limit: int,
        base_fee: int,
        bytes_max: int,
        count_max: int,
        in_flight: bytes | None = None,
        sender_gas_max: int | None = None,
    ) -> TxBatch:
        """Next block's candidates in order; sum of gas limits <= gas_limit, of one sender's <= `sender_gas_max`.
        `in_flight`: hashes in staged, uncommitted blocks; they, and what precedes them in their senders' lanes, are
        passed over."""
    def get(self, hashes: bytes) -> tuple[TxBatch, bytes]:
        """Those held, in order asked, and the hashes missing."""
    def contains(self, hash: bytes) -> bool: ...
    def on_block(self, *, number: int, hashes: bytes, addresses: bytes, accounts: bytes, now_ms: int) -> bytes:
        """Remove committed ones, update accounts (105-byte records), promote and drop; returns hashes dropped as stale.

        `addresses`/`accounts` must hold every account whose nonce or balance the block changed (`account_updates`):
        the pool does not read accounts again of senders that it follows.
        """
    def drop(self, hashes: bytes) -> None:
        """Forget transactions that a build found invalid, with the sender's later ones moved to gapped. The sender is
        then named by `unknown_senders` again: the pool was wrong about its account."""
    def take_dropped(self) -> bytes:
        """Hashes dropped since the last call that no call returned: evicted for better ones, or found stale when an
        account was read again. Bounded; call it after `add`."""
    def expire(self, now_ms: int) -> bytes:
        """Drop what is older than `life_ms`; returns their hashes."""
    def local_older_than(self, number: int, limit: int) -> TxBatch:
        """Local transactions that have waited since before block `number` (to be sent again), oldest first."""
    def next_nonce(self, address: bytes) -> int | None:
        """Account nonce + gapless run, or None when the pool knows nothing of the sender."""
    def counts(self) -> tuple[int, int, int, int]:
        """(executable, gapped, bytes, local)."""
    def content_json(self, sender: bytes | None, limit: int) -> bytes:
        """`txpool_content` shape: {"pending": {address: {nonce: tx}}, "queued": ...}; at most `limit` transactions."""
    def transactions_json(self, hashes: bytes) -> bytes:
        """JSON array of pending transaction objects (blockHash null), null where unknown."""

# --- execution ------------------------------------------------------------------------------------------------------

@final
class Need:
    """Keys a job lacks: sorted, without duplicates, never asked before by the same job."""

    accounts: bytes  # 20 each
    slots: bytes  # 52 each
    codes: bytes  # 32-byte hashes
    blocks: bytes  # u64 numbers

@final
class Values:
    """The answer to a `Need`, same order. `account_codes`: packed list of bytecodes of accounts just read (advice)."""

    def __new__(
        cls, *, accounts: bytes, slots: bytes, codes: bytes, blocks: bytes, account_codes: bytes = b""
    ) -> Values:
        """accounts: 105 each; slots: 32 each; codes: packed list (hash is checked; empty: no such code); blocks: 32-byte
        hashes each. A record's storage_root tells that a storage is empty; zero there means not known."""

@final
class StateCache:
    """Committed values (bounded LRU) under overlays of staged blocks, shared by all jobs of one executor."""

    def __new__(cls, *, entries_max: int = 500_000, overlays_max: int = 64) -> StateCache: ...
    def reset(self, head_hash: bytes) -> None:
        """Forget everything; committed values are from now on those of `head_hash`."""
    def stage(self, parent_hash: bytes, block_hash: bytes, result: BlockResult) -> None:
        """Keep the block's write set as an overlay on its parent."""
    def commit(self, block_hash: bytes) -> bool:
        """Fold the overlay (its parent must be the committed head) and drop siblings; False: unknown, call `reset`."""
    def holds(self, block_hash: bytes) -> bool:
        """Whether `block_hash` is the committed head here or a staged block on it."""

@final
class Progress:
    """The step's work limit was reached; step again with None."""

@final
class BlockResult:
    gas_used: int
    receipts: bytes
    write_set: bytes
    transactions_root: bytes
    receipts_root: bytes
    logs_bloom: bytes
    ommers_hash: bytes
    requests_hash: bytes | None
    withdrawals_root: bytes | None
    blob_gas_used: int | None
    included: bytes  # u32 indices into the batch, ascending; all of them when verifying
    dropped: list[tuple[int, TxError]]  # building only: found invalid on this state
    access_list: bytes  # what to give validators as `hints`: packed Need (4 packed-list items), then `links`, below
    account_updates: bytes  # (address, 105-byte record, storage_root zero)* of accounts whose nonce or balance changed
    # Beside the result, never in it: rounds, misses, reexecutions, steps, hints_ignored (malformed), hints_wrong (1: the
    # links are not those that execution gives, which cost time and is their maker's fault), and of what ran at once:
    # apart, conflicts (ran again in their place), repeated (by stm), windows.
    stats: dict[str, int]
    states: list[bytes]  # before Byzantium: write set from the parent block to after each transaction; else empty
    def with_state_roots(self, roots: bytes) -> BlockResult:
        """Before Byzantium a receipt holds the state root after its transaction: until they are given (32 bytes for each
        of `states`) `receipts` is empty and `receipts_root` zero. The result with both."""

@final
class BlockJob:
    """Executes one block behind the miss protocol. Result equals sequential execution bit for bit."""

    def __new__(
        cls,
        spec: Spec,
        env: BlockEnv,
        batch: TxBatch,
        *,
        ommers: bytes = b"",
        withdrawals: bytes | None = None,
        cache: StateCache | None = None,
        parent_hash: bytes = b"",
        building: bool = False,
        hints: bytes = b"",
        system_calls: bool = True,
        rounds_max: int = 64,
        runner: str = "auto",
    ) -> BlockJob:
        """`building`: an invalid transaction is dropped instead of failing the block; later ones of its sender are left
        out, too, but not listed as dropped. `hints`: an `access_list`; ignored when malformed.
        `system_calls`: False only for state tests. `rounds_max`: most needs of a block, else `BlockInvalid`
        (too_many_rounds); raise it where the block is certified already and comes without hints. While building, a
        transaction that takes more is dropped. `ommers` (packed headers) and `withdrawals` (RLP list) are what the block
        carries beside its transactions: rewards and balances follow from them. Of a block before Byzantium the result
        has no receipts before `BlockResult.with_state_roots`.
        `runner`: auto, sequential, window, stm, access-list or lanes; the result is the same. Auto goes by threads,
        promised ranges, list and conflicts: in order on one thread.

        Links, the fifth item of `access_list`: values that one transaction writes and a later one reads, where the later
        one would do something else without them (not balances that are only added to, not senders' nonces). u32
        accounts; for each its address, u32 writers, for each its u32 place in the block and a byte: 0, the account is
        gone, or 1, then u64 nonce, balance, 32-byte code hash. Then slots to the end: address, 32-byte slot, u32
        writers, for each its u32 place and value. Balances and values are a length byte and that many bytes; keys and
        places ascend."""
    def step(self, values: Values | None = None) -> Need | Progress | BlockResult:
        """Raises `BlockInvalid` when the block breaks a rule, `KernelInputError` for a hostile or short answer."""

class BlockInvalid(Exception):
    """The block breaks a rule. `index` is the transaction's, or None; `code` a stable snake_case name."""

    code: str
    index: int | None
    message: str

def build_header(env: BlockEnv, result: BlockResult, spec: Spec, state_root: bytes) -> bytes:
    """Header RLP of an executed block."""

def seal_header(template: bytes, state_root: bytes) -> tuple[bytes, bytes]:
    """(header RLP, hash) of a header RLP whose state root is replaced."""

@final
class RawBlock:
    """A block taken apart. Its form alone is checked; transactions are cut out as they are."""

    @staticmethod
    def decode(rlp: bytes) -> RawBlock: ...
    header: bytes  # RLP
    hash: bytes
    transactions: bytes  # packed list of EIP-2718 transactions
    ommers: bytes  # packed list of headers
    withdrawals: bytes | None  # RLP list, from Shanghai on

def check_header(
    spec: Spec, header: bytes, parent_header: bytes, *, parent_total_difficulty: int | None = None
) -> None:
    """Rules between a header and its parent, on every fork: number, time, gas limit, difficulty, base fee, blob gas, and
    which fields there are. Raises `BlockInvalid`. Seals (Ethash, signers, beacon votes) are not checked.

    Without `parent_total_difficulty` the merge of a chain that had one is taken to be where difficulties end."""

def check_block_body(spec: Spec, block: RawBlock, ancestors: Sequence[tuple[bytes, bytes]]) -> None:
    """Ommers, withdrawals and size against the header; transactions and receipts show by executing the block.
    `ancestors`: (header, 32-byte hashes of its ommers) of the parent and the six before it, newest first; only looked at
    when the block has ommers. Raises `BlockInvalid`."""

def next_difficulty(spec: Spec, parent_header: bytes, timestamp: int) -> int:
    """Difficulty of the proof-of-work block after, made at `timestamp`."""

def next_excess_blob_gas(spec: Spec, parent_header: bytes, timestamp: int) -> int | None:
    """`excess_blob_gas` of the block after (EIP-4844, EIP-7918); None before Cancun."""

@final
class CallResult:
    status: str  # "success", "revert", "halt"
    output: bytes
    gas_used: int
    error: str  # geth's text, empty on success; "execution reverted" without the reason, which is in `output`
    logs: bytes  # RLP list of logs
    estimate: int | None  # estimate only

@final
class CallJob:
    """eth_call or eth_estimateGas (geth's search), same protocol. No base fee, balance, nonce or EOA check for calls."""

    def __new__(
        cls,
        spec: Spec,
        env: BlockEnv,
        *,
        sender: bytes,
        to: bytes | None,
        gas: int,
        gas_price: int | None = None,
        max_fee_per_gas: int | None = None,
        max_priority_fee_per_gas: int | None = None,
        value_wei: int = 0,
        data: bytes = b"",
        nonce: int | None = None,
        access_list: Sequence[tuple[bytes, Sequence[bytes]]] = (),
        authorizations: bytes = b"",  # RLP list as in EIP-7702
        state_overrides: bytes = b"",  # JSON as in eth_call's third parameter
        block_overrides: bytes = b"",
        cache: StateCache | None = None,
        parent_hash: bytes = b"",
        estimate: bool = False,
        address_ranges: bytes = b"",  # first and last address, 40 each: leaving them fails with OUT_OF_RANGE
        signature_scheme: str = "",  # its price counts; empty: secp256k1
        blob_hashes: bytes | None = None,  # versioned hashes of a blob transaction, 32 each; None: no blob transaction
        max_fee_per_blob_gas: int | None = None,
    ) -> CallJob: ...
    def step(self, values: Values | None = None) -> Need | Progress | CallResult: ...
    def cancel(self) -> None:
        """Make the running or next step raise `Cancelled` soon (checked at least every 100k gas)."""

class Cancelled(Exception): ...

# --- tracing and simulation -----------------------------------------------------------------------------------------

class TraceRefused(Exception):
    """A transaction or call cannot be run, or its trace is too large. `code`: JSON-RPC's, `message`: geth's text."""

    code: int
    message: str

@final
class TraceResult:
    traces: list[bytes]  # JSON, one per traced transaction, then per call
    gas_used: list[int]

@final
class TraceJob:
    """Runs transactions of one block again behind the miss protocol; the wanted ones, and calls after them, are traced."""

    def __new__(
        cls,
        spec: Spec,
        env: BlockEnv,
        batch: TxBatch,
        *,
        first: int,
        config: bytes,
        calls: bytes = b"",
        gas_max: int,
        system_calls: bool,
        block_hash: bytes = b"",
        state_overrides: bytes = b"",
        block_overrides: bytes = b"",
        cache: StateCache | None = None,
        parent_hash: bytes = b"",
        output_bytes_max: int = ...,
    ) -> TraceJob:
        """`env`: of the block; `batch`: its transactions from the first on, as many as are needed; `first`: the first
        that is traced, those before are only run. `system_calls`: the block's own calls come before (they have not been
        made in the state that is read). `config`: geth's TraceConfig as JSON, or `{"parity": ["trace", "stateDiff",
        "vmTrace"]}`, `{"parity": "localized"}`, `{"tracer": "accessList"}` being ours; `calls`: JSON array of pairs
        (call object, config or null), each on the state that the one before left. `gas_max`: gas of a call that names
        none, and the most. Overrides are those of calls. Raises `KernelInputError`; `tracer` is its field for an unknown
        tracer."""
    def step(self, values: Values | None = None) -> Need | Progress | TraceResult:
        """Raises `TraceRefused`, `Cancelled`, and `KernelInputError` for a hostile or short answer."""
    def cancel(self) -> None:
        """As `CallJob.cancel`."""

@final
class Unsealed:
    """A simulated block without its state root."""

    write_set: bytes  # everything written since the base block, blocks before this one included

@final
class SimulateResult:
    json: bytes  # eth_simulateV1's result

@final
class SimulateJob:
    """eth_simulateV1 on the block of `base_header`, as geth's simulator makes it."""

    def __new__(
        cls, spec: Spec, base_header: bytes, *, options: bytes, gas_max: int, cache: StateCache | None = None
    ) -> SimulateJob:
        """`options`: the method's first parameter as JSON. `gas_max`: most gas of all calls together. Raises
        `TraceRefused` for blocks out of order, `KernelInputError` for malformed options."""
    def step(self, values: Values | None = None) -> Need | Progress | Unsealed | SimulateResult:
        """After `Unsealed`, call `seal`, then step again. Raises as `TraceJob.step`."""
    def seal(self, state_root: bytes) -> None:
        """The root of the base block's state with the write set."""
    def cancel(self) -> None:
        """As `CallJob.cancel`."""

# --- public tests ---------------------------------------------------------------------------------------------------

CONFORMANCE_RUNNERS: list[str]  # every name that `runner` takes
CONFORMANCE_SKIPS: list[tuple[str, str]]  # the only reasons for skipping a case: name, meaning

@final
class CaseResult:
    name: str
    fork: str  # fork or network; empty where the case has none
    passed: bool
    skipped: str | None  # name of a reason of CONFORMANCE_SKIPS
    error: str  # expected and got, of a failed case
    trace: str  # of a state test, where it was asked for: a line a step (EIP-3155) and one at the end

def run_conformance(
    kind: str,
    name: str,
    json: bytes,
    *,
    fork: str | None = None,
    runner: str = "sequential",
    cold: bool = False,
    transactions_min: int = 0,
    trace: Sequence[str] | None = None,
) -> list[CaseResult]:
    """Decide the cases of one file of public tests.

    `kind`: "state", "block", "transaction", "rlp", "trie", "difficulty", "base-fee" or "precompile". `name`: the file's
    stem. `fork`: only cases of that fork or network. `runner`: who executes the transactions of a block. `cold`: nothing
    of the state is known before it is asked for. `transactions_min`: only cases with a block of at least so many
    transactions. `trace`: each state test step by step, as in `run_code`. A file of another kind is a
    `KernelInputError`; a case that is wrong in itself fails, with a text."""

def state_transition(
    alloc: bytes,
    env: bytes,
    txs: bytes,
    fork: str,
    chain_id: int,
    reward_wei: int | None,
    *,
    trace: Sequence[str] | None = None,
) -> bytes:
    """geth's `evm t8n`: JSON in, JSON out with `alloc`, `result`, `body` (RLP of the included transactions), and with
    `trace` (as in `run_code`) `traces`: a list of objects with the `hash` of a transaction and its `lines`.

    `txs`: a list of signed transactions or of ones with `secretKey`, or a text with the RLP of a list. `reward_wei`: of
    a block before the merge; None: the beneficiary is not even touched. Raises `KernelInputError`; its field is
    `json.*` where the input is no JSON, `txs.rlp` where the list is no RLP, `env.blockHashes` where code asks for a hash
    that is not given."""

@final
class Ran:
    summary: str  # the last line of an EIP-3155 trace: stateRoot, output, gasUsed, pass, fork, error
    trace: str  # its other lines
    output: bytes
    error: str  # why it failed; empty if it did not
    dump: str  # JSON: the accounts after it

def run_code(
    prestate: bytes,
    fork: str,
    code: bytes,
    input: bytes,
    gas: int,
    price_wei: int,
    value_wei: bytes,
    sender: bytes,
    receiver: bytes,
    *,
    create: bool = False,
    trace: Sequence[str] | None = None,
) -> Ran:
    """geth's `evm run`: `code` alone with all of `gas`, no nonce; without `create` it is put at `receiver` (unless empty).

    `prestate`: JSON of a genesis (block fields, `alloc`), or empty. `value_wei`: 32 bytes. `trace`: None for no trace,
    else how its lines differ from the usual: "memory", "no-stack", "return-data", "call-frames"."""

# --- views of blocks as Ethereum JSON -------------------------------------------------------------------------------

def block_json(
    header: bytes,
    transactions: bytes,
    senders: bytes,
    hashes: bytes,
    *,
    full: bool,
    ommers: bytes = b"",
    withdrawals: bytes = b"",
) -> bytes:
    """`eth_getBlockBy*` result (with size, uncles, and withdrawals where the header has them).

    `transactions`: packed list; `senders`: 20 each; `hashes`: 32 each; `ommers`: packed list of headers; `withdrawals`:
    RLP list, empty for none. Ommers or withdrawals that the header names and that are not given, or the other way round,
    are a `KernelInputError`. Hansa's own blocks have neither."""

def ommer_json(header: bytes) -> bytes:
    """`eth_getUncleBy*` result."""

def transaction_json(header: bytes, transactions: bytes, senders: bytes, index: int) -> bytes: ...
def receipts_json(
    header: bytes,
    transactions: bytes,
    senders: bytes,
    receipts: bytes,
    index: int | None,
    *,
    blob_gas_price: int | None = None,
) -> bytes:
    """One receipt object, or the array of all when `index` is None. `blob_gas_price` (wei) for blocks with blob
    transactions after Prague; None: by Cancun's or Prague's schedule."""

def logs_json(
    header: bytes, hashes: bytes, receipts: bytes, *, addresses: bytes, topics: Sequence[bytes], limit: int
) -> tuple[int, bytes]:
    """Logs of a block that match: (how many, JSON array of the first `limit` of them). `addresses`: 20 each, empty = any.
    `topics[i]`: 32-byte alternatives concatenated, empty = any (but the log must have a topic there); at most 4."""

def raw_receipts(transactions: bytes, receipts: bytes) -> bytes:
    """Packed list of EIP-2718 consensus receipts (with bloom), as `debug_getRawReceipts` and proofs need them."""

def bloom_matches(bloom: bytes, addresses: bytes, topics: Sequence[bytes]) -> bool: ...
def log_terms(receipts: bytes) -> bytes:
    """Distinct index terms of a block's logs, ascending, 33 bytes each: `u8 place (0 address, 1..4 topic), 32 bytes`
    (address left-padded with zeros)."""

# --- write sets and tries -------------------------------------------------------------------------------------------

def write_set_keys(write_set: bytes) -> tuple[bytes, bytes]:
    """(addresses, slot keys) in write-set order: what to read for change sets and storage roots. A wiped account's
    slots are not listed (statedb knows them by prefix)."""

@final
class TrieNeed:
    """Node keys to read: packed list of `owner (0 or 32 bytes) || u8 nibble count || nibbles packed two per byte`
    (odd: low nibble of the last byte zero). The same bytes are statedb's node keys."""

    paths: bytes
    wiped: bytes  # 32-byte owners (hashed addresses) whose whole storage trie must be listed for history; may be empty.
    # The answer goes back in the next step's `wiped`: per owner, same order, a packed list of node key and RLP,
    # alternating, of all stored nodes whose key starts with the owner and is at least 33 bytes long. The trie is checked
    # against the account's storage root; a missing node is `CorruptState`. Asked at most once a job, in the first round.

@final
class TrieResult:
    root: bytes
    node_writes: bytes  # packed list, key then node RLP, alternating, ascending by key; the root always has a key
    node_deletes: bytes  # packed list of keys, ascending
    node_old: bytes  # packed list, key then previous RLP (empty: did not exist), for every write and delete
    storage_roots: bytes  # 32 per account of the write set, same order; `EMPTY_ROOT` for a deleted one
    stats: dict[str, int]

@final
class TrieCache:
    """Learned depths and revealed top nodes of committed tries, bounded; makes the first `TrieNeed` small."""

    def __new__(cls, *, nodes_max: int = 200_000) -> TrieCache:
        """At most `nodes_max` nodes (some 600 bytes each); 0 learns nothing. Safe with blocks that are staged and never
        committed: a node is used only when its hash is the one that its parent names."""
    def __len__(self) -> int: ...

@final
class TrieJob:
    """Root of a state after a write set (Merkle-Patricia, path-keyed)."""

    def __new__(
        cls, parent_root: bytes, write_set: bytes, accounts: bytes, *, cache: TrieCache | None = None
    ) -> TrieJob:
        """`accounts`: prior 105-byte records, one per account of the write set, same order."""
    def step(
        self, nodes: Sequence[bytes | None] | None = None, wiped: Sequence[bytes] | None = None
    ) -> TrieNeed | TrieResult:
        """`nodes`: one per asked path, same order, None = absent. `wiped`: one listing per owner of `TrieNeed.wiped`.

        Predicted paths that do not exist are asked for as well: answer None. Raises `CorruptState` when a node's hash is
        not what its parent says (or it is absent), `KernelInputError` when the answer does not fit the question; after
        either, and after the result, the job is used up."""

class CorruptState(Exception):
    """A stored trie node does not match its parent's reference; `path` is its node key."""

    path: bytes

@final
class ProofJob:
    """Merkle proof of one account and some slots under a root; reads through the same path keys."""

    def __new__(cls, root: bytes, address: bytes, slots: bytes, *, storage_root: bytes) -> ProofJob:
        """`slots`: 32 bytes each. `storage_root`: of the account's record at that root (32 zero bytes when the account
        does not exist); one that is not the leaf's raises `KernelInputError` in `step`."""
    def step(self, nodes: Sequence[bytes | None] | None = None) -> TrieNeed | ProofResult: ...

@final
class ProofResult:
    account_proof: list[bytes]  # RLP nodes from the root down
    storage_proofs: list[list[bytes]]  # one per slot, same order

def verify_proof(root: bytes, key: bytes, value: bytes | None, nodes: Sequence[bytes]) -> bool:
    """`key` is the hashed key (at most 32 bytes); `value` the RLP in the leaf, None proves absence. `nodes`: from the
    root down, none to spare. False for anything malformed."""

# --- block witnesses (layout: docs/internals/witness.md) ------------------------------------------------------------------

@final
class WitnessJob:
    """Makes the witness of a block from its execution: the nodes of its reads and of its trie update, codes, headers."""

    def __new__(
        cls,
        spec: Spec,
        header: bytes,
        batch: TxBatch,
        result: BlockResult,
        *,
        genesis_hash: bytes,
        ommers: bytes = b"",  # packed list of headers
        withdrawals: bytes | None = None,  # RLP list
    ) -> WitnessJob:
        """`result` is that of executing `batch` on the header's parent, with these ommers and withdrawals."""
    need: Need  # accounts and codes of the parent state that `begin` wants
    headers_from: int  # `begin` wants the headers from this height to the parent's
    def begin(self, values: Values, headers: Sequence[bytes]) -> TrieNeed | bytes:
        """Answer `need` (with true storage roots), and give the headers (RLP, ascending)."""
    def step(self, nodes: Sequence[bytes | None]) -> TrieNeed | bytes:
        """`nodes`: one per asked path, same order, None = absent. In the end the witness's bytes, which `verify_block`
        accepts. Raises `WitnessIncomplete` for a node that is not what its parent says, and `WitnessDiffers` when the
        header is not what the result says; after either, and after the end, the job is used up."""

@final
class VerifiedBlock:
    """A block that is what its header says, given that its parent's header is."""

    header: Header
    parent: Header
    receipts: bytes
    transactions: int  # how many of each the witness holds
    headers: int
    codes: int
    nodes: int

def verify_block(
    spec: Spec,
    witness: bytes,
    *,
    genesis_hash: bytes,
    trusted_header_hash: bytes | None = None,
    trusted_parent_hash: bytes | None = None,
) -> VerifiedBlock:
    """Execute a block on its witness, and compare everything that its header says. Asks for nothing.

    `genesis_hash` names the chain of `spec`. Raises `KernelInputError` for a malformed witness, one of another chain or of
    another block or parent than the trusted ones, or one with anything to spare; `WitnessIncomplete`; `BlockInvalid`;
    `WitnessDiffers`.
    """

class WitnessIncomplete(Exception):
    """A witness lacks something."""

    kind: str  # "node", "code", "header"
    path: bytes  # the node's key, the code's hash, or the header's height as u64

class WitnessDiffers(Exception):
    """Execution does not give the header's field of this name."""

    field: str
    expected: str
    got: str

def trie_root(items: bytes) -> bytes:
    """Root of a trie built from scratch: packed list key, value alternating (keys 32 bytes, ascending); the reference."""

def ordered_root(items: bytes) -> bytes:
    """Root of the trie of a packed list keyed by RLP(index): transactions and receipts roots."""

# --- group signatures (BLS12-381, signatures in G1, keys in G2) -----------------------------------------------------

VOTE_DST: Final[bytes]  # BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_
POSSESSION_DST: Final[bytes]  # BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_

def bls_secret_key(seed: bytes) -> bytes:
    """KeyGen of the IETF draft from at least 32 bytes of seed -> 32-byte scalar."""

def bls_public_key(secret_key: bytes) -> bytes:
    """96 bytes."""

def bls_sign(secret_key: bytes, message: bytes) -> bytes:
    """48 bytes, under `VOTE_DST`."""

def bls_verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """False for any malformed, out-of-subgroup or infinity point."""

def bls_prove_possession(secret_key: bytes) -> bytes: ...
def bls_verify_possession(public_key: bytes, proof: bytes) -> bool: ...
def bls_aggregate(signatures: Sequence[bytes]) -> bytes:
    """Plain sum; each one checked (`KernelInputError` for a bad one, infinity, or an empty list)."""

@final
class ValidatorKeys:
    """The ordered keys of a validator set, checked once; verification by index."""

    def __new__(cls, public_keys: Sequence[bytes]) -> ValidatorKeys:
        """`KernelInputError` for none, a bad key, or one that stands there twice. Possession is checked elsewhere."""
    def __len__(self) -> int: ...
    def verify_votes(self, signers: Sequence[int], message: bytes, signatures: Sequence[bytes]) -> list[bool]:
        """Same message: one check of the sum (with coefficients from a hash, so that bad votes cannot cancel each other
        out) first, one by one only when it fails. A bad signature is False; a signer out of range is an input error."""
    def verify_certificate(self, bitmap: bytes, message: bytes, signature: bytes) -> bool:
        """Aggregate of the signers of `bitmap` (little-endian bits, ceil(n/8) bytes, no bit >= n). False for
        anything malformed or without signers. Does not check quorum."""
    def verify_certificates(self, items: Sequence[tuple[bytes, bytes, bytes]]) -> bool:
        """Many (bitmap, message, signature): one random-linear-combination batch with coefficients from a hash.
        True when there are none."""

def bitmap_of(signers: Sequence[int], validators: int) -> bytes: ...
def signers_of(bitmap: bytes, validators: int) -> list[int]:
    """Ascending; `KernelInputError` when a bit >= validators is set or the length is wrong."""

def vote_message(
    *,
    genesis_hash: bytes,
    shard: int,
    epoch: int,
    level: int,
    phase: str,  # "prepare", "commit", "view-change"
    from_hash: bytes,
    from_height: int,
    to_hash: bytes,
    to_height: int,
    view: int,
    next_set_hash: bytes = b"",
) -> bytes:
    """RLP["hansa/vote/v1", genesis_hash, ...] in this order: the bytes every vote signs (design, "Certificates")."""
