"""Shapes of REST answers; OpenAPI is generated from them."""

from pydantic import BaseModel, Field


class BlockRef(BaseModel):
    """A block's name."""

    number: int
    hash: str
    timestamp: str = Field(description="RFC 3339")


class PoolCounts(BaseModel):
    """Transactions waiting."""

    pending: int = Field(description="Ready for the next blocks.")
    queued: int = Field(description="Earlier nonces of their senders are missing.")
    bytes: int


class Status(BaseModel):
    """One call for a dashboard."""

    version: str
    member: str
    chain_id: int
    engine: str
    head: BlockRef
    finalized: BlockRef
    view: int
    leader: str | None
    quorum: int
    members: int
    members_up: int
    missing: list[str]
    waiting_for: str | None
    syncing: bool
    blocks_behind: int
    pool: PoolCounts


class Chain(BaseModel):
    """What all members agree on."""

    chain_id: int
    genesis_hash: str
    engine: str
    block_time_ms: int
    empty_block_time_ms: int
    gas_limit: int
    zero_base_fee: bool
    shards: int
    validators: list[str]


class Member(BaseModel):
    """A member as this one sees it."""

    index: int
    name: str
    address: str
    vote_key: str
    endpoint: str
    up: bool
    is_self: bool
    is_leader: bool
    head: int


class Members(BaseModel):
    """All members in the order of their numbers."""

    items: list[Member]


class Block(BlockRef):
    """A committed block."""

    parent_hash: str
    proposer: str = Field(description="Beneficiary of the block.")
    state_root: str
    transactions_root: str
    receipts_root: str
    gas_used: int
    gas_limit: int
    base_fee_per_gas: str = Field(description="wei")
    size: int
    transaction_count: int


class Blocks(BaseModel):
    """A page of blocks, newest first."""

    items: list[Block]
    cursor: str | None = Field(description="Give it to get the next page; null at the end.")


class Certificate(BaseModel):
    """Group signature over a block."""

    phase: str
    view: int
    from_number: int
    from_hash: str
    to_number: int
    to_hash: str
    signers: list[str]
    bitmap: str
    signature: str
    signed_message: str


class Transaction(BaseModel):
    """A transaction; without block while it waits in the pool."""

    hash: str
    type: int
    sender: str
    to: str | None
    nonce: int
    value: str = Field(description="wei")
    gas: int
    gas_price: str | None = Field(description="wei")
    max_fee_per_gas: str | None = Field(description="wei")
    max_priority_fee_per_gas: str | None = Field(description="wei")
    input: str
    block_number: int | None
    block_hash: str | None
    index: int | None


class Transactions(BaseModel):
    """A page of transactions."""

    items: list[Transaction]
    cursor: str | None


class Log(BaseModel):
    """An event."""

    address: str
    topics: list[str]
    data: str
    log_index: int


class Logs(BaseModel):
    """Events of a transaction."""

    items: list[Log]


class Receipt(BaseModel):
    """What a committed transaction did."""

    transaction_hash: str
    index: int
    block_number: int
    block_hash: str
    sender: str
    to: str | None
    contract_address: str | None
    status: str = Field(description="success or failure")
    gas_used: int
    cumulative_gas_used: int
    effective_gas_price: str = Field(description="wei")
    logs: list[Log]


class Account(BaseModel):
    """An account at a block."""

    address: str
    balance: str = Field(description="wei")
    nonce: int
    is_contract: bool
    code_hash: str
    code_bytes: int
    storage_root: str
    at: int


class RawTransaction(BaseModel):
    """A signed transaction, EIP-2718 bytes as 0x text."""

    raw: str


class RawTransactions(BaseModel):
    """Signed transactions."""

    raw: list[str]


class Refusal(BaseModel):
    """Why a transaction was not taken."""

    code: str
    message: str
    expected: str | None = None
    got: str | None = None


class Accepted(BaseModel):
    """In the pool."""

    hash: str


class SubmitResult(BaseModel):
    """Accepted when `refusal` is null."""

    hash: str
    refusal: Refusal | None


class SubmitResults(BaseModel):
    """One per transaction, same order."""

    items: list[SubmitResult]


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
