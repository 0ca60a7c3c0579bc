"""eth_call, eth_estimateGas, eth_fillTransaction."""

from typing import Any

from hansa.v1 import executor_pb2, types_pb2
from hansa_kernel import keccak

from hansa_api.api import Api
from hansa_api.errors import ExecutionReverted, InvalidParams, ServerError
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, CallArgs, Param, block, call_args, overrides
from hansa_api.registry import Method
from hansa_api.rlp import Item, encode

CALL_COST = 10
_ZERO_ADDRESS = bytes(20)


async def call(api: Api, args: CallArgs, at: At, state_overrides: bytes, block_overrides: bytes) -> str:
    """What the call returns. Raises `ExecutionReverted`, or `ServerError` when it halts."""
    answer = await run_call(api, args, at, state_overrides, block_overrides)
    return "0x" + answer.output.hex()


async def estimate_gas(api: Api, args: CallArgs, at: At, state_overrides: bytes, block_overrides: bytes) -> str:
    """The smallest gas limit with which the transaction succeeds, by geth's search."""
    answer = await run_call(api, args, at, state_overrides, block_overrides, estimate=True)
    return hex(answer.estimate)


async def run_call(
    api: Api,
    args: CallArgs,
    at: At,
    state_overrides: bytes = b"",
    block_overrides: bytes = b"",
    *,
    estimate: bool = False,
) -> executor_pb2.CallResponse:
    """Run a call or estimate; errors in geth's words."""
    _check_chain(api, args)
    if at.is_pending:
        selector = types_pb2.BlockSelector(tag=types_pb2.BLOCK_TAG_PENDING)
    else:
        block_hash, _ = await api.heads.state_at(at)
        selector = types_pb2.BlockSelector(hash=block_hash)
    request = executor_pb2.CallRequest(
        block=selector,
        to=args.to or b"",
        gas=None if args.gas is None else min(args.gas, api.limits.call_gas),
        gas_price=_wei(args.gas_price),
        max_fee_per_gas=_wei(args.max_fee_per_gas),
        max_priority_fee_per_gas=_wei(args.max_priority_fee_per_gas),
        max_fee_per_blob_gas=_wei(args.max_fee_per_blob_gas),
        value=_wei(args.value),
        data=args.data,
        access_list=[
            executor_pb2.AccessListEntry(address=address, slots=b"".join(keys))
            for address, keys in args.access_list or ()
        ],
        authorizations=encode([list(item) for item in args.authorizations]) if args.authorizations else b"",
        state_overrides=state_overrides,
        block_overrides=block_overrides,
        estimate=estimate,
        address_ranges=b"".join(first + last for first, last in args.address_ranges or ()),
        signature_scheme=args.signature_scheme or "",
    )
    setattr(request, "from", args.sender or _ZERO_ADDRESS)
    if args.nonce is not None:
        request.nonce = args.nonce
    if args.blob_hashes is not None:
        request.blob_hashes = b"".join(args.blob_hashes)
    answer = await api.backend.call(request)
    if answer.status == executor_pb2.CALL_STATUS_SUCCESS:
        return answer
    if answer.status == executor_pb2.CALL_STATUS_REVERT:
        raise ExecutionReverted(answer.output)
    raise ServerError(answer.error or "execution failed")


async def fill_transaction(api: Api, args: CallArgs) -> dict[str, Any]:
    """Fill nonce, gas, fees and chain id; the unsigned transaction as RLP and as JSON (geth)."""
    if args.sender is None:
        raise InvalidParams("missing from: whose nonce and balance are meant")
    if args.to is None and not args.data:
        raise InvalidParams("contract creation without any data provided")
    if args.blob_hashes is not None:
        raise InvalidParams("blob transactions are not supported on this chain")
    _check_chain(api, args)
    if args.nonce is None:
        pooled = (await api.backend.pending_nonces([args.sender]))[0]
        head = await api.heads.latest()
        nonce = max(pooled or 0, (await api.state.account(head.hash, args.sender)).nonce)
    else:
        nonce = args.nonce
    gas = args.gas if args.gas is not None else (await run_call(api, args, LATEST, estimate=True)).estimate
    return _filled(api, args, nonce, gas)


def _filled(api: Api, args: CallArgs, nonce: int, gas: int) -> dict[str, Any]:
    chain_id, to, value = api.chain.chain_id, args.to or b"", args.value or 0
    access: list[Item] = [[address, list(keys)] for address, keys in args.access_list or ()]
    common: dict[str, Any] = {
        "nonce": hex(nonce),
        "to": "0x" + to.hex() if to else None,
        "gas": hex(gas),
        "value": hex(value),
        "input": "0x" + args.data.hex(),
        "v": "0x0",
        "r": "0x0",
        "s": "0x0",
        "chainId": hex(chain_id),
    }
    access_json = [
        {"address": "0x" + address.hex(), "storageKeys": ["0x" + key.hex() for key in keys]}
        for address, keys in args.access_list or ()
    ]
    if args.gas_price is not None:
        price: dict[str, Any] = {"gasPrice": hex(args.gas_price), "maxFeePerGas": None, "maxPriorityFeePerGas": None}
        if args.access_list is None:
            fields: list[Item] = [nonce, args.gas_price, gas, to, value, args.data, 0, 0, 0]
            return _result(b"", fields, {"type": "0x0", **common, **price})
        fields = [chain_id, nonce, args.gas_price, gas, to, value, args.data, access, 0, 0, 0]
        return _result(b"\x01", fields, {"type": "0x1", **common, **price, "accessList": access_json, "yParity": "0x0"})
    tip, fee_cap = _fees(api, args)
    price = {"gasPrice": None, "maxFeePerGas": hex(fee_cap), "maxPriorityFeePerGas": hex(tip)}
    fields = [chain_id, nonce, tip, fee_cap, gas, to, value, args.data, access, 0, 0, 0]
    body = {**common, **price, "accessList": access_json, "yParity": "0x0"}
    if args.authorizations is None:
        return _result(b"\x02", fields, {"type": "0x2", **body})
    if not to:
        raise InvalidParams("a transaction with an authorizationList cannot create a contract")
    fields[9:9] = [[list(item) for item in args.authorizations]]
    body["authorizationList"] = [
        {
            "chainId": hex(chain),
            "address": "0x" + address.hex(),
            "nonce": hex(number),
            "yParity": hex(parity),
            "r": hex(r),
            "s": hex(s),
        }
        for chain, address, number, parity, r, s in args.authorizations
    ]
    return _result(b"\x04", fields, {"type": "0x4", **body})


def _fees(api: Api, args: CallArgs) -> tuple[int, int]:
    """(tip, fee cap) in wei; a cap that nobody named is twice the base fee and the tip (geth)."""
    tip = args.max_priority_fee_per_gas
    cap = args.max_fee_per_gas
    if tip is None:
        tip = api.fees.suggested_tip()
        if cap is not None:
            tip = min(tip, cap)
    if cap is None:
        cap = 2 * api.fees.next_base_fee(api.heads.head) + tip
    if cap < tip:
        raise InvalidParams(f"maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})")
    return tip, cap


def _result(prefix: bytes, fields: list[Item], transaction: dict[str, Any]) -> dict[str, Any]:
    raw = prefix + encode(fields)
    return {"raw": "0x" + raw.hex(), "tx": {**transaction, "hash": "0x" + keccak(raw).hex()}}


def _check_chain(api: Api, args: CallArgs) -> None:
    if args.chain_id is not None and args.chain_id != api.chain.chain_id:
        raise InvalidParams(f"chainId does not match node's (have={args.chain_id}, want={api.chain.chain_id})")


def _wei(value: int | None) -> bytes:
    return b"" if value is None else value.to_bytes(32, "big")


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    transaction = Param("transaction", call_args)
    parameters = (
        transaction,
        Param("block", block, LATEST),
        Param("stateOverrides", overrides(limits), b"", {"type": "object"}),
        Param("blockOverrides", overrides(limits), b"", {"type": "object"}),
    )
    return [
        Method("eth_call", call, parameters, cost=CALL_COST),
        Method("eth_estimateGas", estimate_gas, parameters, cost=CALL_COST),
        Method("eth_fillTransaction", fill_transaction, (transaction,), cost=CALL_COST),
    ]
