"""From our objects and Ethereum's JSON to REST's shapes."""

from typing import Any

import orjson

from hansa_api.api import Api
from hansa_api.blocks import CommittedBlock
from hansa_api.rest import models
from hansa_api.rest.values import checksummed, checksummed_hex, decimal, hex_of, number, rfc3339


def block_ref(block: CommittedBlock) -> models.BlockRef:
    """Number, hash and time."""
    return models.BlockRef(number=block.number, hash=hex_of(block.hash), timestamp=rfc3339(block.header.timestamp))


def block_view(block: CommittedBlock) -> models.Block:
    """A block without its transactions."""
    header = block.header
    size = orjson.loads(block.block_json(full=False))["size"]
    return models.Block(
        number=block.number,
        hash=hex_of(block.hash),
        timestamp=rfc3339(header.timestamp),
        parent_hash=hex_of(header.parent_hash),
        proposer=checksummed(header.beneficiary),
        state_root=hex_of(header.state_root),
        transactions_root=hex_of(header.transactions_root),
        receipts_root=hex_of(header.receipts_root),
        gas_used=header.gas_used,
        gas_limit=header.gas_limit,
        base_fee_per_gas=str(header.base_fee_per_gas or 0),
        size=number(size),
        transaction_count=len(block),
    )


def transaction_view(found: dict[str, Any]) -> models.Transaction:
    """From `eth_getTransactionByHash`'s object."""
    place = found.get("blockNumber"), found.get("transactionIndex")
    return models.Transaction(
        hash=found["hash"],
        type=number(found["type"]),
        sender=checksummed_hex(found["from"]) or "",
        to=checksummed_hex(found["to"]),
        nonce=number(found["nonce"]),
        value=decimal(found["value"]),
        gas=number(found["gas"]),
        gas_price=_wei(found.get("gasPrice")),
        max_fee_per_gas=_wei(found.get("maxFeePerGas")),
        max_priority_fee_per_gas=_wei(found.get("maxPriorityFeePerGas")),
        input=found["input"],
        block_number=number(place[0]) if place[0] is not None else None,
        block_hash=found.get("blockHash"),
        index=number(place[1]) if place[1] is not None else None,
    )


def receipt_view(found: dict[str, Any]) -> models.Receipt:
    """From `eth_getTransactionReceipt`'s object."""
    return models.Receipt(
        transaction_hash=found["transactionHash"],
        index=number(found["transactionIndex"]),
        block_number=number(found["blockNumber"]),
        block_hash=found["blockHash"],
        sender=checksummed_hex(found["from"]) or "",
        to=checksummed_hex(found["to"]),
        contract_address=checksummed_hex(found.get("contractAddress")),
        status="success" if found.get("status") == "0x1" else "failure",
        gas_used=number(found["gasUsed"]),
        cumulative_gas_used=number(found["cumulativeGasUsed"]),
        effective_gas_price=decimal(found["effectiveGasPrice"]),
        logs=[log_view(item) for item in found["logs"]],
    )


def log_view(found: dict[str, Any]) -> models.Log:
    """From a JSON-RPC log."""
    return models.Log(
        address=checksummed_hex(found["address"]) or "",
        topics=found["topics"],
        data=found["data"],
        log_index=number(found["logIndex"]),
    )


def certificate_view(found: dict[str, Any]) -> models.Certificate:
    """From `hansa_getCertificate`'s object."""
    return models.Certificate(
        phase=found["phase"],
        view=number(found["view"]),
        from_number=number(found["fromHeight"]),
        from_hash=found["fromHash"],
        to_number=number(found["toHeight"]),
        to_hash=found["toHash"],
        signers=found["signerNames"],
        bitmap=found["signers"],
        signature=found["signature"],
        signed_message=found["signedMessage"],
    )


def chain_view(api: Api) -> models.Chain:
    """From the chain spec."""
    chain = api.chain
    return models.Chain(
        chain_id=chain.chain_id,
        genesis_hash=hex_of(chain.genesis_hash),
        engine=chain.consensus.engine,
        block_time_ms=chain.consensus.block_time_ms,
        empty_block_time_ms=chain.consensus.empty_block_time_ms,
        gas_limit=chain.gas_limit,
        zero_base_fee=chain.zero_base_fee,
        shards=1,
        validators=[validator.name for validator in chain.validators],
    )


def _wei(value: str | None) -> str | None:
    return None if value is None else decimal(value)
