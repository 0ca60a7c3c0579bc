"""The consensus service of one member: opens its logs, waits for statedb, then runs the engine's shell."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import hansa_kernel
import structlog
from hansa.keys import load_member_keys
from hansa.rpc import add_health, bind, new_server, set_serving
from hansa.service import Check, Service, ServiceContext, StartRefused
from hansa.v1 import consensus_pb2_grpc, types_pb2
from hansa_kernel import ValidatorKeys

from . import metrics
from .blocks import BlockStore
from .clients import ExecutorClient, StateDbClient, pauses
from .config import consensus_config
from .core.engine import EngineConfig, create_engine
from .core.kernel_crypto import KernelCrypto
from .core.rules import ConsortiumRules
from .core.signer import WatermarkSigner
from .core.types import Head
from .errors import ForeignData, ServiceAway
from .journal import Journal
from .limits import POOL_EXPIRY_SECONDS
from .network import Network
from .pool import PoolKeeper
from .proposals import Proposals
from .queries import Queries
from .servicer import ConsensusServicer
from .shell import Shell
from .votelog import VoteLog, VoteLogDamaged, VoteLogFailed, VoteLogForeign, VoteLogInUse
from .wire import certificate_from_proto

_log = structlog.get_logger()

SERVICE = "hansa.v1.Consensus"
STOP_GRACE_SECONDS = 0.5


class _Members:
    """Passes members' messages on once there is a shell; before, they are dropped (they are repeated)."""

    def __init__(self) -> None:
        self.shell: Shell | None = None

    def peer_changed(self, member: int, *, up: bool) -> None:
        """See `network.Receiver`."""
        if self.shell is not None:
            self.shell.peer_changed(member, up=up)

    def message_received(self, sender: int, payload: bytes) -> None:
        """See `network.Receiver`."""
        if self.shell is not None:
            self.shell.message_received(sender, payload)


class ConsensusService:
    """Engine, pool and vote log of one member."""

    name = "consensus"

    def __init__(self, context: ServiceContext) -> None:
        """Raises `KeysInvalid`, `ChainSpecInvalid`."""
        self._context = context
        keys = load_member_keys(context.settings.keys_path, context.settings.profile)
        self._config = consensus_config(context.settings, context.chain, keys)
        self._server = new_server()
        self._tasks: list[asyncio.Task[Any]] = []
        self._vote_log: VoteLog | None = None
        self._journal: Journal | None = None
        self._statedb: StateDbClient | None = None
        self._executor: ExecutorClient | None = None
        self._network: Network | None = None
        self._queries: Queries | None = None
        self._pool: PoolKeeper | None = None
        self._shell: Shell | None = None
        self.port = 0  # bound port

    async def start(self) -> None:
        """Open logs and bind; the engine starts as soon as statedb answers.

        Raises `StartRefused` (the vote log or the journal is damaged, foreign or in use), `PortTaken`.
        """
        config = self._config
        try:
            self._vote_log = await asyncio.to_thread(
                VoteLog.open, config.vote_log_folder, genesis_hash=config.chain.genesis_hash, key_id=config.key_id
            )
        except (VoteLogDamaged, VoteLogForeign, VoteLogInUse, VoteLogFailed) as error:
            raise StartRefused(str(error)) from error
        self._journal = Journal(config.pool_folder, config.journal_sync_ms)
        records = await self._journal.open()
        consensus_pb2_grpc.add_ConsensusServicer_to_server(
            ConsensusServicer(config, self._running, self._context.fail), self._server
        )
        health = add_health(self._server, SERVICE)
        self.port = bind(self._server, config.host, config.port)
        await self._server.start()
        await set_serving(health, SERVICE)
        self._spawn(self._run(self._vote_log, self._journal, records), "consensus")

    def _running(self) -> tuple[PoolKeeper, Shell] | None:
        return (self._pool, self._shell) if self._pool is not None and self._shell is not None else None

    def _spawn(self, work: Any, name: str) -> "asyncio.Task[Any]":
        task = self._context.spawn(work, name)
        self._tasks.append(task)
        task.add_done_callback(self._tasks.remove)
        return task

    async def _run(self, vote_log: VoteLog, journal: Journal, records: list[bytes]) -> None:
        config, chain = self._config, self._config.chain
        statedb = self._statedb = StateDbClient(config.statedb)
        executor = self._executor = ExecutorClient(config.executors)
        head = await self._first_head(statedb)
        members = _Members()
        network = self._network = Network(config.p2p, members)
        blocks = BlockStore()
        pool = PoolKeeper(
            chain.kernel,
            transactions_max=config.pool_transactions,
            bytes_max=config.pool_bytes,
            journal=journal,
            statedb=statedb,
            network=network,
            pending_changed=lambda pending: shell.pending_changed(pending),
        )
        rules = self._rules()
        queries = self._queries = Queries(network=network, statedb=statedb, pool=pool.pool, blocks=blocks)
        engine = self._engine(vote_log, rules, head)
        proposals = Proposals(
            spec=chain.kernel,
            rules=rules,
            pool=pool,
            blocks=blocks,
            executor=executor,
            statedb=statedb,
            queries=queries,
            logged_bodies=vote_log.bodies,
        )
        shell = Shell(
            engine=engine,
            vote_log=vote_log,
            network=network,
            pool=pool,
            proposals=proposals,
            queries=queries,
            blocks=blocks,
            member_names=[validator.name for validator in chain.validators],
            own=config.own,
            empty_block_time_ms=chain.consensus.empty_block_time_ms,
            spawn=self._spawn,
        )
        pool.set_head(head.header)
        await self._replay(pool, records)
        metrics.ETHEREUM_HEIGHT.set(head.number)
        members.shell = shell
        self._pool, self._shell = pool, shell
        self._spawn(pool.run_submissions(), "submissions")
        self._spawn(pool.gossip.run(), "gossip")
        self._spawn(network.run(), "members")
        self._spawn(self._expire(pool), "pool expiry")
        await shell.run()

    async def _first_head(self, statedb: StateDbClient) -> Head:
        """statedb's head, as soon as it answers. Raises `ForeignData`."""
        async for attempt in pauses():
            try:
                head = await statedb.head()
                break
            except ServiceAway as error:
                if attempt % 20 == 0:
                    _log.info("waiting_for_statedb", problem=str(error))
        if head.genesis_hash != self._config.chain.genesis_hash:
            raise ForeignData(self._config.chain.genesis_hash, head.genesis_hash)
        return _core_head(head)

    async def _replay(self, pool: PoolKeeper, records: list[bytes]) -> None:
        async for _ in pauses():
            try:
                count = await pool.replay(records)
                break
            except ServiceAway as error:
                _log.warning("journal_replay_repeated", problem=str(error))
        if records:
            _log.info("journal_replayed", records=len(records), waiting=count)
        pool.count()

    def _rules(self) -> ConsortiumRules:
        chain = self._config.chain
        return ConsortiumRules(
            spec=chain.kernel,
            genesis_hash=chain.genesis_hash,
            gas_limit=chain.gas_limit,
            beneficiary=chain.beneficiary,
            accounts=tuple(validator.account for validator in chain.validators),
            strict_timestamps=chain.consensus.strict_timestamps,
        )

    def _engine(self, vote_log: VoteLog, rules: ConsortiumRules, head: Head) -> Any:
        chain, rule = self._config.chain, self._config.chain.consensus
        crypto = KernelCrypto(chain.genesis_hash)
        keys = ValidatorKeys([validator.vote_key for validator in chain.validators])
        recovered = vote_log.recovered
        return create_engine(
            EngineConfig(
                engine=rule.engine,
                genesis_hash=chain.genesis_hash,
                self_index=self._config.own,
                validator_set=lambda height: keys,
                block_time_ms=rule.block_time_ms,
                empty_block_time_ms=rule.empty_block_time_ms,
                request_timeout_ms=rule.request_timeout_ms,
                leader_term=rule.leader_term,
            ),
            head=head,
            recovered=recovered,
            signer=WatermarkSigner(
                sign=partial(hansa_kernel.bls_sign, self._config.vote_secret),
                message=crypto.vote_message,
                recovered=recovered,
            ),
            crypto=crypto,
            rules=rules,
        )

    async def _expire(self, pool: PoolKeeper) -> None:
        while True:
            await asyncio.sleep(POOL_EXPIRY_SECONDS)
            await pool.expire()

    async def stop(self) -> None:
        """Finish answers, close logs."""
        await self._server.stop(STOP_GRACE_SECONDS)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._shell is not None:
            await self._shell.close()
        if self._queries is not None:
            self._queries.close()
        if self._pool is not None:
            self._pool.close()
        for client in (self._network, self._statedb, self._executor):
            if client is not None:
                await client.close()
        if self._journal is not None:
            await self._journal.close()
        if self._vote_log is not None:
            await asyncio.to_thread(self._vote_log.close)

    def checks(self) -> Sequence[Check]:
        """Ready once the engine runs; a chain that stands still is told by status, not by readiness."""
        shell = self._shell
        if shell is None:
            return [Check("engine", ok=False, value="waiting for statedb", bound="running")]
        return [
            Check("engine", ok=True, value=shell.status.mode.value, bound="running"),
            Check("members", ok=True, value=shell.waiting_for or "all well", bound=f"quorum {shell.status.quorum}"),
        ]


def _core_head(head: types_pb2.Head) -> Head:
    has_certificate = head.number > 0 and head.HasField("certificate")
    return Head(
        number=head.number,
        hash=head.hash,
        header=head.header,
        certificate=certificate_from_proto(head.certificate) if has_certificate else None,
    )


def create(context: ServiceContext) -> Service:
    """Factory named in the entry-point group `hansa.services`."""
    return ConsensusService(context)
