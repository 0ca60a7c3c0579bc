"""Gas prices and their history."""

from typing import Any

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.errors import HeaderNotFound
from hansa_api.limits import Limits
from hansa_api.params import At, Param, block_number, count_or_number, percentiles
from hansa_api.registry import Method

GAS_PER_BLOB = 131_072
"""EIP-4844."""


def gas_price(api: Api) -> str:
    """Wei per gas that a legacy transaction should offer."""
    return hex(api.fees.gas_price())


def max_priority_fee(api: Api) -> str:
    """Wei per gas on top of the base fee."""
    return hex(api.fees.suggested_tip())


def base_fee(api: Api) -> str:
    """Base fee of the next block, wei."""
    return hex(api.fees.next_base_fee(api.heads.head))


async def blob_base_fee(api: Api) -> str:
    """Blob base fee of the newest block, wei. It rises only on imported chains: elsewhere blob transactions are refused."""
    head = await api.heads.latest()
    return hex(api.chain.kernel.blob_base_fees(head.header_rlp)[0])


async def fee_history(api: Api, count: int, newest: At, wanted: list[float]) -> dict[str, Any]:
    """Base fees, gas use and tips of a range of blocks, and the base fee after it."""
    last = await api.heads.block(newest)
    if last is None:
        raise HeaderNotFound(str(newest))
    count = min(count, api.limits.fee_history_blocks, last.number - api.heads.earliest + 1)
    blocks = []
    for number in range(last.number - count + 1, last.number + 1):
        block = await api.heads.block(At(number=number))
        if block is None:
            raise HeaderNotFound(f"block {number}")
        blocks.append(block)
    kernel = api.chain.kernel
    blob_fees = [kernel.blob_base_fees(block.header_rlp) for block in (*blocks, last)]
    fees = [hex(0 if api.fees.free else (block.header.base_fee_per_gas or 0)) for block in blocks]
    found: dict[str, Any] = {
        "oldestBlock": hex(last.number - count + 1 if count else 0),
        "baseFeePerGas": [*fees, hex(api.fees.next_base_fee(last))] if count else [],
        "gasUsedRatio": [block.header.gas_used / block.header.gas_limit for block in blocks],
        "baseFeePerBlobGas": [*(hex(fee) for fee, _ in blob_fees[:-1]), hex(blob_fees[-1][1])] if count else [],
        "blobGasUsedRatio": [_blob_ratio(api, block) for block in blocks],
    }
    if wanted:
        found["reward"] = [[hex(tip) for tip in await api.fees.rewards(block, wanted)] for block in blocks]
    return found


def _blob_ratio(api: Api, block: CommittedBlock) -> float:
    """Part of the block's room for blobs that it used."""
    rules = api.chain.kernel.blob_rules(block.header.timestamp)
    if rules is None or not rules[1]:
        return 0.0
    return (block.header.blob_gas_used or 0) / (rules[1] * GAS_PER_BLOB)


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    return [
        Method("eth_gasPrice", gas_price),
        Method("eth_maxPriorityFeePerGas", max_priority_fee),
        Method("eth_baseFee", base_fee),
        Method("eth_blobBaseFee", blob_base_fee),
        Method(
            "eth_feeHistory",
            fee_history,
            (
                Param("blockCount", count_or_number),
                Param("newestBlock", block_number),
                Param("rewardPercentiles", percentiles(limits), [], {"type": "array", "items": {"type": "number"}}),
            ),
            cost=lambda arguments: 1 + min(arguments[0], limits.fee_history_blocks) // 16,
        ),
    ]
