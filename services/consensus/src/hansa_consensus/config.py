"""What the consensus service needs to know, drawn from settings, chain spec and keys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hansa_kernel
from hansa.chainspec import ChainSpec
from hansa.config import Settings
from hansa.keys import MemberKeys, check_against

KEY_ID_BYTES = 8


@dataclass(frozen=True, slots=True)
class ConsensusConfig:
    """Everything that stays fixed while the service runs."""

    chain: ChainSpec
    own: int  # index of this member
    vote_secret: bytes = field(repr=False)
    host: str
    port: int
    statedb: str
    p2p: str
    executors: Sequence[str]
    folder: Path
    pool_transactions: int
    pool_bytes: int
    journal_sync_ms: int

    @property
    def vote_log_folder(self) -> Path:
        """Where the vote log lives."""
        return self.folder / "votes"

    @property
    def pool_folder(self) -> Path:
        """Where the pool journal lives."""
        return self.folder / "pool"

    @property
    def key_id(self) -> bytes:
        """Names our vote key in the vote log."""
        key = self.chain.validators[self.own].vote_key
        return hansa_kernel.keccak(key)[:KEY_ID_BYTES]


def consensus_config(settings: Settings, chain: ChainSpec, keys: MemberKeys) -> ConsensusConfig:
    """Raises `KeysInvalid` when the keys are not those of the member in the chain spec, `ChainSpecInvalid`."""
    own = chain.index_of(settings.member)
    check_against(keys, chain.validators[own], settings.keys_path)
    return ConsensusConfig(
        chain=chain,
        own=own,
        vote_secret=keys.vote_secret,
        host=settings.consensus.host,
        port=settings.consensus.port,
        statedb=settings.addresses.statedb,
        p2p=settings.addresses.p2p,
        executors=settings.addresses.executors,
        folder=settings.data_dir / "consensus",
        pool_transactions=settings.consensus.pool_transactions,
        pool_bytes=settings.consensus.pool_bytes,
        journal_sync_ms=settings.consensus.journal_sync_ms,
    )
