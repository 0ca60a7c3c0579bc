"""Accounts, storage, code and proofs at any committed height."""

import asyncio
from typing import Any

from hansa.v1 import statedb_pb2, types_pb2

from hansa_api.api import Api
from hansa_api.limits import Limits
from hansa_api.params import LATEST, At, Invalid, Param, Unplaced, address, block, list_of, slot
from hansa_api.registry import Method
from hansa_api.state import Account


async def get_balance(api: Api, who: bytes, at: At) -> str:
    """Wei."""
    block_hash, _ = await api.heads.state_at(at)
    return hex((await api.state.account(block_hash, who)).balance)


async def get_transaction_count(api: Api, who: bytes, at: At) -> str:
    """The account's nonce; `pending` adds the gapless run in the pool."""
    block_hash, _ = await api.heads.state_at(at)
    if at.is_pending:
        pooled, account = await asyncio.gather(api.backend.pending_nonces([who]), api.state.account(block_hash, who))
        return hex(max(pooled[0] or 0, account.nonce))
    return hex((await api.state.account(block_hash, who)).nonce)


async def get_code(api: Api, who: bytes, at: At) -> str:
    """Bytecode, 0x for none."""
    block_hash, _ = await api.heads.state_at(at)
    account = await api.state.account(block_hash, who)
    return "0x" + (await api.state.code(block_hash, account.code_hash)).hex()


async def get_storage_at(api: Api, who: bytes, key: bytes, at: At) -> str:
    """32 bytes."""
    block_hash, _ = await api.heads.state_at(at)
    return "0x" + (await api.state.slot(block_hash, who, key)).hex()


async def get_storage_values(api: Api, wanted: dict[str, list[bytes]], at: At) -> dict[str, list[str]]:
    """Values of many slots of many accounts, in one read."""
    block_hash, _ = await api.heads.state_at(at)
    reads = [(who, api.state.slot(block_hash, address(who), key)) for who, keys in wanted.items() for key in keys]
    values = await asyncio.gather(*(read for _, read in reads))
    found: dict[str, list[str]] = {who: [] for who in wanted}
    for (who, _), value in zip(reads, values, strict=True):
        found[who].append("0x" + value.hex())
    return found


async def get_account(api: Api, who: bytes, at: At) -> dict[str, str]:
    """geth's account object."""
    block_hash, _ = await api.heads.state_at(at)
    account = await api.state.account(block_hash, who)
    return {
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "codeHash": "0x" + account.code_hash.hex(),
        "storageRoot": "0x" + account.storage_root.hex(),
    }


async def get_account_info(api: Api, who: bytes, at: At) -> dict[str, str]:
    """Balance, nonce and code at once, as forge and cast ask for them."""
    block_hash, _ = await api.heads.state_at(at)
    account = await api.state.account(block_hash, who)
    code = await api.state.code(block_hash, account.code_hash)
    return {"balance": hex(account.balance), "nonce": hex(account.nonce), "code": "0x" + code.hex()}


async def get_proof(api: Api, who: bytes, keys: list[tuple[str, bytes]], at: At) -> dict[str, Any]:
    """Merkle proof of the account and slots (EIP-1186); keys are answered as they were asked."""
    block_hash, _ = await api.heads.state_at(at)
    request = statedb_pb2.GetProofRequest(
        block=types_pb2.BlockSelector(hash=block_hash), address=who, slots=b"".join(key for _, key in keys)
    )
    answer: statedb_pb2.GetProofResponse = await api.backend.ask(api.backend.statedb.GetProof, request, "statedb")
    account = Account.decode(answer.account)
    return {
        "address": "0x" + who.hex(),
        "accountProof": ["0x" + node.hex() for node in answer.account_proof],
        "balance": hex(account.balance),
        "codeHash": "0x" + account.code_hash.hex(),
        "nonce": hex(account.nonce),
        "storageHash": "0x" + account.storage_root.hex(),
        "storageProof": [
            {
                "key": asked,
                "value": hex(int.from_bytes(found.value, "big")),
                "proof": ["0x" + node.hex() for node in found.proof],
            }
            for (asked, _), found in zip(keys, answer.slots, strict=True)
        ],
    }


def _asked_slot(value: Any) -> tuple[str, bytes]:
    key = slot(value)
    # geth answers short keys as quantities and whole ones as 32 bytes.
    return (value if len(value) == 66 else hex(int.from_bytes(key, "big"))), key


def _storage_request(limits: Limits) -> Any:
    def parse(value: Any) -> dict[str, list[bytes]]:
        if type(value) is not dict:
            raise Invalid("expected an object of addresses and their slots")
        if not value:
            raise Unplaced("empty request")
        total = sum(len(keys) for keys in value.values() if type(keys) is list)
        if total > limits.storage_values:
            raise Invalid(f"too many slots: {total}, limit {limits.storage_values}")
        slots = list_of(slot, limits.storage_values, "slots")
        for who in value:
            address(who)
        return {who: slots(keys) for who, keys in value.items()}

    return parse


def methods(limits: Limits) -> list[Method]:
    """This file's part of the table."""
    who, at = Param("address", address), Param("block", block, LATEST)
    proof_keys = Param("storageKeys", list_of(_asked_slot, limits.proof_keys, "storage keys"), schema={"type": "array"})
    return [
        Method("eth_getBalance", get_balance, (who, at)),
        Method("eth_getTransactionCount", get_transaction_count, (who, at)),
        Method("eth_getCode", get_code, (who, at)),
        Method("eth_getStorageAt", get_storage_at, (who, Param("slot", slot), at)),
        Method(
            "eth_getStorageValues",
            get_storage_values,
            (Param("requests", _storage_request(limits), schema={"type": "object"}), at),
            cost=lambda arguments: 1 + sum(len(keys) for keys in arguments[0].values()) // 16,
        ),
        Method("eth_getAccount", get_account, (who, at)),
        Method("eth_getAccountInfo", get_account_info, (who, at)),
        Method("eth_getProof", get_proof, (who, proof_keys, at), cost=lambda arguments: 5 * (1 + len(arguments[1]))),
    ]
