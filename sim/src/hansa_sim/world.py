"""One simulated consortium: virtual time, the queue of what will happen, and everything that lives in it."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, Any, Final

from hansa_consensus.core import effects as fx
from hansa_consensus.core import events as ev
from hansa_consensus.core.buggify import arm, disarm
from hansa_consensus.core.engine import Mode, ValidatorSet
from hansa_consensus.core.types import Candidate

from .checkers import Checkers
from .network import Network, Quality
from .node import Node
from .oracles import OracleRules, genesis_head, oracle_keys, real_keys
from .points import Points
from .profiles import PROFILES

if TYPE_CHECKING:
    from .liars import Liar
    from .plan import Plan

EVENTS_KEPT: Final = 200
"""Events shown with a violation."""

_KINDS: Final = {kind: index for index, kind in enumerate(ev.Event.__args__)}


class Violation(Exception):
    """A promise is broken; the text says which."""


class World:
    """See the module's text."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.profile = PROFILES[plan.engine]
        self.members = plan.members
        # One source of randomness per use: another fault does not shift the workload.
        self.network_random = Random(f"{plan.seed} network")
        self.disk_random = Random(f"{plan.seed} disk")
        self.work_random = Random(f"{plan.seed} work")
        self.client_random = Random(f"{plan.seed} clients")
        self.fault_random = Random(f"{plan.seed} faults")
        self.buggify_random = Random(f"{plan.seed} buggify")
        self.genesis = genesis_head()
        self.keys = (real_keys if plan.real_signatures else oracle_keys)(plan.members, self.genesis.hash)
        self.rules = OracleRules()
        self.epoch_ms = 1_700_000_000_000
        self.now = 0
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self._nonce = 0
        self.points = Points()
        self.faulty = dict(plan.faulty)  # member -> how
        self.others = [
            tuple(other for other in range(plan.members) if other != member) for member in range(plan.members)
        ]
        self.nodes: list[Node] = []
        self.copies_of: list[list[Node]] = []
        for member in range(plan.members):
            count = 2 if self.faulty.get(member) == "twins" else 1
            copies = [Node(self, len(self.nodes) + at, member, f"{member}{'ab'[at]}") for at in range(count)]
            self.copies_of.append(copies)
            self.nodes += copies
        self.network = Network(len(self.nodes), self.network_random, plan.quality)
        self.liars: dict[int, Liar] = {}  # by index of the node
        self.checkers = Checkers(self)
        self.accepted: dict[bytes, tuple[Node, int]] = {}  # transaction -> by whom, when
        self.skewed: dict[int, None] = {}  # members whose clocks are off by more than proposals may be
        self.execution_failure = plan.execution_failure
        self.work_most_ms = plan.work_ms
        self.calm = False
        self.events = self.commits = self.view_changes = self.crashes = self.power_cuts = 0
        self.partitions = self.corruptions = self.transactions = 0
        self.kept: deque[tuple[int, Node, ev.Event | str, Sequence[fx.Effect]]] = deque(maxlen=EVENTS_KEPT)
        self._hash = blake2b(digest_size=16)
        self._armed: dict[str, float] = {}

    # --- time ---------------------------------------------------------------------------------------------------------

    def later(self, delay_ms: int, action: Callable[..., None], *arguments: Any) -> None:
        """Have `action` happen after `delay_ms`; in the order asked for when at the same time."""
        self._order += 1
        heapq.heappush(self._queue, (self.now + delay_ms, self._order, action, arguments))

    def run(self, until_ms: int, stop: Callable[[], bool] | None = None) -> bool:
        """Let time pass; True when `stop` became true."""
        queue, pop = self._queue, heapq.heappop
        arm(self._buggify)
        try:
            while queue and queue[0][0] <= until_ms:
                self.now, _, action, arguments = pop(queue)
                action(*arguments)
                if stop is not None and stop():
                    return True
        finally:
            disarm()
        self.now = max(self.now, until_ms)
        return False

    def _buggify(self, name: str) -> bool:
        """Per run a point is armed with 25 %, and then fires in 5 to 25 % of the cases."""
        if self.calm or not self.plan.buggify:
            return False
        chance = self._armed.get(name)
        if chance is None:
            draw = Random(f"{self.plan.seed} {name}")
            chance = draw.uniform(0.05, 0.25) if draw.random() < 0.25 else 0.0
            self._armed[name] = chance
        return chance > 0 and self.buggify_random.random() < chance

    def next_nonce(self) -> int:
        """Another number each time."""
        self._nonce += 1
        return self._nonce

    def work_ms(self) -> int:
        """How long our executor takes for the next thing."""
        return self.work_random.randrange(self.work_most_ms + 1)

    def executor_fails(self) -> bool:
        """Whether our executor is away just now."""
        return self.execution_failure > 0 and self.work_random.random() < self.execution_failure

    def validator_set(self, node: Node) -> Callable[[int], ValidatorSet]:
        """What a member's engine asks for the validators of a height."""
        validators = self.keys.validators

        def of_height(height: int) -> ValidatorSet:
            return validators

        return of_height

    # --- life ---------------------------------------------------------------------------------------------------------

    def started(self, node: Node) -> None:
        """A copy is up: connections are made as its links allow."""
        self.note(node, "starts")
        for other in self.nodes:
            if other.member != node.member and other.engine is not None:
                delay = 1 + int(self.network_random.random() * 200)
                self.later(delay, self._connect, node, other, node.life, other.life)

    def _connect(self, one: Node, other: Node, life: int, other_life: int) -> None:
        if (one.life, other.life) != (life, other_life) or one.engine is None or other.engine is None:
            return
        links = self.network.links
        if links[one.index][other.index].cut or links[other.index][one.index].cut:
            self.later(1_000, self._connect, one, other, life, other_life)
            return
        for near, far in ((one, other), (other, one)):
            near.reachable[far.member] = True
            near.feed(ev.PeerUp(near.now_ms(), far.member))
            near.push_own(far.member)

    def stopped(self, node: Node) -> None:
        """A copy ends: its peers notice, sooner or later."""
        self.note(node, "ends")
        silent = self.fault_random.random() < 0.5  # messages to it wait, rather than being lost
        for other in self.nodes:
            if other.member != node.member:
                if not silent:
                    self.network.reset(node.index, other.index)
                if other.engine is not None:
                    delay = 1 + int(self.network_random.random() * 3_000)
                    self.later(delay, self._disconnect, other, node, other.life)

    def _disconnect(self, near: Node, far: Node, life: int) -> None:
        if (
            near.life == life
            and near.engine is not None
            and far.engine is None
            and near.reachable.get(far.member, False)
        ):
            near.reachable[far.member] = False
            near.feed(ev.PeerDown(near.now_ms(), far.member))

    def reset(self, one: Node, other: Node) -> None:
        """Their connection breaks: what is in flight is lost, both are told, and it is made again."""
        self.points.sometimes("connection reset")
        self.network.reset(one.index, other.index)
        for near, far in ((one, other), (other, one)):
            if near.engine is not None and near.reachable.get(far.member, False):
                near.reachable[far.member] = False
                near.feed(ev.PeerDown(near.now_ms(), far.member))
        self.later(100, self._connect, one, other, one.life, other.life)

    def crash(self, node: Node, *, power: bool = False, restart_after_ms: int = 300) -> None:
        """End a copy, by kill -9 or by a power cut, and start it again later."""
        if node.engine is None:
            return
        self.crashes += 1
        node.stop(power=power)
        if sum(copies[0].engine is not None for copies in self.copies_of) < self.profile.quorum(self.members):
            self.points.sometimes("fewer members up than a quorum")
        self.later(restart_after_ms, node.start)

    # --- what copies tell ---------------------------------------------------------------------------------------------

    def handled(self, node: Node, event: ev.Event, effects: list[fx.Effect]) -> None:
        """An engine has taken an event."""
        self.events += 1
        self.kept.append((self.now, node, event, effects))
        self._hash.update(b"%d %d %d %d;" % (self.now, node.index, _KINDS[type(event)], len(effects)))
        self.checkers.handled(node, event)

    def note(self, node: Node, what: str) -> None:
        """Something that is not an event of an engine."""
        self.kept.append((self.now, node, what, ()))
        self._hash.update(b"%d %d %b;" % (self.now, node.index, what.encode()))

    def committed(self, node: Node, candidate: Candidate) -> None:
        """A copy has committed a block."""
        self.commits += 1
        self._hash.update(candidate.hash)

    @property
    def trace_hash(self) -> str:
        """Of everything that happened so far."""
        return self._hash.hexdigest()

    def violation(self, what: str) -> Violation:
        """To be raised."""
        return Violation(f"at {self.now} ms: {what}")

    # --- pictures -----------------------------------------------------------------------------------------------------

    def honest(self) -> list[Node]:
        """Copies of members that do as they should, disks included."""
        return [node for node in self.nodes if node.member not in self.faulty]

    def height(self) -> int:
        """The highest that an honest member has committed."""
        return max(len(node.chain.blocks) for node in self.honest())

    def leaders(self) -> list[int]:
        """Who leads, in the eyes of each copy that is up and votes."""
        found = [node.engine.status() for node in self.nodes if node.engine is not None]
        return [status.leader for status in found if status.mode is Mode.VOTING]

    def heal(self) -> None:
        """Every link works again, and well."""
        self.network.cut(lambda one, other: False)
        for row in self.network.links:
            for link in row:
                link.clogged_until = link.free_at = 0

    def good_network(self) -> None:
        """The calm's links."""
        self.network.quality = Quality()
        self.heal()


__all__ = ["Violation", "World"]
