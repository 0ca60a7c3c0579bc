"""Fee suggestions and history. On a chain without fees every answer is zeros of full length, never null or short:
wallets lock up on those (spec apis 2.2)."""

from collections.abc import Sequence

import orjson
from hansa_kernel import Spec

from hansa_api.blocks import CommittedBlock, Lru
from hansa_api.heads import Heads
from hansa_api.params import At

SAMPLE_BLOCKS = 20
"""Newest blocks whose cheapest tips are looked at, as geth does."""
SAMPLE_TIPS = 3
"""Cheapest tips per block that count."""
SAMPLE_PERCENTILE = 60
DEFAULT_TIP_WEI = 1_000_000_000
"""Suggested while no block has transactions; geth's 1 gwei."""
TIPS_KEPT = 2_048
"""Blocks whose tips are remembered: two full fee histories."""

Tips = tuple[tuple[int, int], ...]  # (tip in wei, gas used), ascending by tip


class Fees:
    """Suggestions from committed blocks."""

    def __init__(self, heads: Heads, spec: Spec) -> None:
        self._heads = heads
        self._spec = spec
        self._tips = Lru(TIPS_KEPT)
        self._suggested: tuple[bytes, int] | None = None

    @property
    def free(self) -> bool:
        """Whether nobody needs to pay."""
        return self._spec.zero_base_fee

    def next_base_fee(self, block: CommittedBlock) -> int:
        """Base fee of the block after `block`, wei."""
        return 0 if self.free else self._spec.next_base_fee(block.header_rlp)

    def suggested_tip(self) -> int:
        """Tip in wei that gets into the next blocks."""
        if self.free:
            return 0
        head = self._heads.head
        if self._suggested is not None and self._suggested[0] == head.hash:
            return self._suggested[1]
        samples = sorted(
            tip for block in self._heads.recent(SAMPLE_BLOCKS) for tip, _ in self.tips(block)[:SAMPLE_TIPS]
        )
        found = samples[(len(samples) - 1) * SAMPLE_PERCENTILE // 100] if samples else DEFAULT_TIP_WEI
        self._suggested = (head.hash, found)
        return found

    def gas_price(self) -> int:
        """Legacy gas price in wei: next base fee and suggested tip."""
        return self.next_base_fee(self._heads.head) + self.suggested_tip()

    def tips(self, block: CommittedBlock) -> Tips:
        """Effective tips and gas of a block's transactions; `block` has receipts."""
        found: Tips | None = self._tips.get(block.hash)
        if found is None:
            base = block.header.base_fee_per_gas or 0
            found = tuple(
                sorted(
                    (int(receipt["effectiveGasPrice"], 16) - base, int(receipt["gasUsed"], 16))
                    for receipt in orjson.loads(block.receipts_json(None))
                )
            )
            self._tips.put(block.hash, found)
        return found

    async def rewards(self, block: CommittedBlock, percentiles: Sequence[float]) -> list[int]:
        """Tip at each percentile of the block's gas; zeros for an empty block."""
        if self.free or not len(block):
            return [0] * len(percentiles)
        if block.receipts is None and block.hash not in self._tips:
            whole = await self._heads.block(At(hash=block.hash), receipts=True)
            if whole is None:
                return [0] * len(percentiles)
            block = whole
        tips = self.tips(block)
        total = block.header.gas_used
        found: list[int] = []
        position, gas = 0, tips[0][1]
        for percentile in percentiles:
            threshold = int(total * percentile / 100)
            while gas < threshold and position < len(tips) - 1:
                position += 1
                gas += tips[position][1]
            found.append(tips[position][0])
        return found
