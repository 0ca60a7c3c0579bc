"""Blocks at the border: transfers, tokens, hints, cache, hostile answers."""

from __future__ import annotations

from pathlib import Path

import hansa_kernel as k
import pytest
from kernel_driver import State, env, genesis, packed, unpacked

KEYS = b"".join((index + 1).to_bytes(32, "big") for index in range(20))
SENDERS = [k.address_of_secret_keys(KEYS)[i : i + 20] for i in range(0, 400, 20)]
RICH = {sender.hex(): {"balance": hex(10**21)} for sender in SENDERS}
# A token in a few instructions: balances[caller] -= 1, balances[calldata[0]] += 1, one event.
# if balance[caller] == 0 revert.
TOKEN_CODE = bytes.fromhex("33548015601e576001900333555f35805460010190555f3560015f5fa2005b5f5ffd")
TOKEN = b"\x70" * 20


def chain(alloc: dict[str, dict[str, object]] | None = None, **options: bool) -> tuple[k.Spec, State]:
    spec = k.Spec(genesis(RICH | (alloc or {}), **options))
    state = State()
    state.apply(spec.genesis_write_set())
    return spec, state


def transfers(spec: k.Spec, count: int = 20, nonce: int = 0, value: int = 7, data: list[bytes] | None = None,
              to: list[bytes] | None = None, keys: bytes = KEYS) -> k.TxBatch:  # fmt: skip
    raw = k.sign_transactions(
        chain_id=spec.chain_id,
        secret_keys=keys[: 32 * count],
        nonces=nonce.to_bytes(8, "big") * count,
        to=b"".join(to or [bytes([index + 1]) * 20 for index in range(count)]),
        values_wei=value.to_bytes(32, "big") * count,
        data=packed(data or [b""] * count),
        gas_limit=100_000,
        max_fee_per_gas=0,
        max_priority_fee_per_gas=0,
    )
    batch = k.decode_transactions(raw, spec=spec, number=1, timestamp=1)
    assert batch.all_valid()
    return batch


def test_transfers_move_value_and_raise_nonces() -> None:
    spec, state = chain()
    result = state.run(k.BlockJob(spec, env(), transfers(spec)))
    assert isinstance(result, k.BlockResult)
    assert result.gas_used == 20 * 21_000
    state.apply(result.write_set)
    assert int.from_bytes(state.accounts[SENDERS[0]][1:9], "big") == 1
    assert int.from_bytes(state.accounts[b"\x01" * 20][9:41], "big") == 7
    assert result.stats["rounds"] == 1
    assert len(result.account_updates) == 40 * 125


def test_a_key_is_never_asked_twice_and_withheld_advice_changes_nothing() -> None:
    spec, state = chain({TOKEN.hex(): token_account()})
    batch = token_calls(spec)
    results = []
    for advice in (True, False):
        state.asked.clear()
        results.append(state.run(k.BlockJob(spec, env(), batch), advice=advice))
        assert len(state.asked) == len(set(state.asked))
    assert results[0].write_set == results[1].write_set
    assert results[0].access_list == results[1].access_list


def token_account() -> dict[str, object]:
    storage = {"0x" + sender.rjust(32, b"\0").hex(): "0x" + (100).to_bytes(32, "big").hex() for sender in SENDERS}
    return {"balance": "0x0", "nonce": "0x1", "code": "0x" + TOKEN_CODE.hex(), "storage": storage}


def token_calls(spec: k.Spec, nonce: int = 0) -> k.TxBatch:
    data = [(bytes([index + 1]) * 20).rjust(32, b"\0") for index in range(20)]
    return transfers(spec, nonce=nonce, value=0, data=data, to=[TOKEN] * 20)


def test_tokens_take_at_most_three_rounds_without_and_one_with_hints() -> None:
    spec, state = chain({TOKEN.hex(): token_account()})
    batch = token_calls(spec)
    cold = state.run(k.BlockJob(spec, env(), batch))
    assert cold.stats["rounds"] <= 3
    assert len(unpacked(cold.access_list)) == 5
    hinted = state.run(k.BlockJob(spec, env(), batch, hints=cold.access_list))
    assert hinted.stats["rounds"] == 1
    assert hinted.stats["reexecutions"] == 0
    for name in ("gas_used", "receipts", "write_set", "receipts_root", "logs_bloom", "access_list", "account_updates"):
        assert getattr(hinted, name) == getattr(cold, name)
    state.apply(cold.write_set)
    assert int.from_bytes(state.slots[TOKEN + SENDERS[3].rjust(32, b"\0")], "big") == 99
    assert any(cold.logs_bloom)


def test_garbage_hints_are_ignored() -> None:
    spec, state = chain()
    result = state.run(k.BlockJob(spec, env(), transfers(spec), hints=b"\x00\x00\x00\x09garbage"))
    assert result.stats["hints_ignored"] == 1
    assert result.gas_used == 20 * 21_000


def test_the_cache_answers_the_next_block_and_follows_commits() -> None:
    spec, state = chain({TOKEN.hex(): token_account()})
    cache = k.StateCache()
    head, one, other, two = (bytes([index]) * 32 for index in range(4))
    cache.reset(head)
    first = state.run(k.BlockJob(spec, env(head), token_calls(spec), cache=cache, parent_hash=head))
    cache.stage(head, one, first)
    assert cache.holds(one)
    state.apply(first.write_set)
    warm = k.BlockJob(spec, env(one, 2), token_calls(spec, 1), cache=cache, parent_hash=one)
    state.asked.clear()
    second = state.run(warm)
    # Only ring slots of the system contracts are new.
    assert all(kind == "slot" for kind, _ in state.asked)
    plain = state.run(k.BlockJob(spec, env(one, 2), token_calls(spec, 1)))
    assert second.write_set == plain.write_set
    cache.stage(head, other, first)
    assert cache.commit(one)
    assert not cache.holds(other)
    cache.stage(one, two, second)
    assert cache.commit(two)
    assert not cache.commit(other)
    state.apply(second.write_set)
    cached = state.run(k.BlockJob(spec, env(two, 3), token_calls(spec, 2), cache=cache, parent_hash=two))
    assert cached.write_set == state.run(k.BlockJob(spec, env(two, 3), token_calls(spec, 2))).write_set


def test_building_drops_invalid_transactions_and_verifying_names_them() -> None:
    spec, state = chain()
    good, gapped = transfers(spec, 3), transfers(spec, 3, nonce=5)
    batch = k.TxBatch.concat([good.slice(0, 1), gapped.slice(1, 2), good.slice(1, 3)])
    built = state.run(k.BlockJob(spec, env(), batch, building=True))
    # The second sender's nonce 5 is refused, and its nonce 0 after it is left out, too.
    assert [index for index, _ in built.dropped] == [1]
    assert built.dropped[0][1].code == "nonce_too_high"
    assert built.included == b"".join(index.to_bytes(4, "big") for index in (0, 3))
    with pytest.raises(k.BlockInvalid) as caught:
        state.run(k.BlockJob(spec, env(), batch))
    assert (caught.value.index, caught.value.code) == (1, "nonce_too_high")


def test_hostile_answers_name_the_field_and_the_right_answer_still_works() -> None:
    spec, state = chain()
    job = k.BlockJob(spec, env(), transfers(spec))
    need = job.step()
    assert isinstance(need, k.Need)
    with pytest.raises(k.KernelInputError) as caught:
        job.step()
    assert caught.value.field == "values"
    good = {"accounts": bytes(105) * (len(need.accounts) // 20), "slots": bytes(32) * (len(need.slots) // 52)}
    for field, wrong in (("accounts", bytes(104)), ("slots", b""), ("codes", b"\0\0\0\1a"), ("blocks", bytes(32))):
        with pytest.raises(k.KernelInputError) as caught:
            job.step(k.Values(**({"codes": b"", "blocks": b""} | good | {field: wrong})))
        assert caught.value.field == field
    out = job.step(state.answer(need))
    while isinstance(out, k.Need | k.Progress):
        out = job.step(state.answer(out) if isinstance(out, k.Need) else None)
    assert isinstance(out, k.BlockResult)
    with pytest.raises(k.KernelInputError):
        job.step()


def test_a_header_is_built_sealed_and_decoded() -> None:
    spec, state = chain()
    result = state.run(k.BlockJob(spec, env(), transfers(spec)))
    template = k.build_header(env(), result, spec, bytes(32))
    rlp, block_hash = k.seal_header(template, b"\x11" * 32)
    header = k.Header.decode(rlp)
    assert header.hash == block_hash == k.keccak(rlp)
    assert header.state_root == b"\x11" * 32
    assert header.gas_used == 20 * 21_000
    assert (header.base_fee_per_gas, header.blob_gas_used) == (0, 0)
    assert spec.next_base_fee(rlp) == 0
    again = state.run(k.BlockJob(spec, k.BlockEnv.from_header(rlp), transfers(spec)))
    assert again.receipts_root == header.receipts_root


def test_the_system_contracts_keep_the_parent_hash_and_beacon_root() -> None:
    spec, state = chain()
    block = env(b"\x55" * 32, 9, parent_beacon_block_root=b"\x66" * 32)
    state.apply(state.run(k.BlockJob(spec, block, transfers(spec, 1))).write_set)
    history = bytes.fromhex("0000f90827f1c53a10cb7a02335b175320002935")
    beacon = bytes.fromhex("000f3df6d732807ef1319fb7b8bb8522d0beac02")
    assert state.slots[history + (8).to_bytes(32, "big")] == b"\x55" * 32
    assert state.slots[beacon + (8191 + 9).to_bytes(32, "big")] == b"\x66" * 32


def test_a_public_chain_spec_gives_its_known_genesis_hash() -> None:
    """Sepolia's, whose hash is in geth's params; the state root is the one of its header."""
    spec = k.Spec(Path(__file__).with_name("sepolia.json").read_bytes())
    root = bytes.fromhex("5eb6e371a698b8d68f665192350ffcecbbbf322916f4b51bd79bb6887da3f494")
    header = spec.genesis_header(root)
    assert k.keccak(header).hex() == "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"
