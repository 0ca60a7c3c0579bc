"""Account signature schemes and address ranges through the border: signed, decoded, executed and shown."""

from __future__ import annotations

import json
from typing import Any

import hansa_kernel as k
import pytest
from codec import Item, pack, rlp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from kernel_driver import State, env, genesis

SECRET = bytes([7]) * 32
QUICK = ["ed25519", "p256", "sm2", "ml-dsa-65"]
TO = b"\x70" * 20
CONTRACT = b"\x71" * 20
# BALANCE of 0x50…50.
READS_OUTSIDE = "73" + "50" * 20 + "31"


def chain(**vm: object) -> k.Spec:
    """A chain with every scheme and with ranges, and money for their accounts."""
    alloc: dict[str, dict[str, object]] = {"0x" + account(name).hex(): {"balance": "0xffffffff"} for name in QUICK}
    alloc["0x" + CONTRACT.hex()] = {"balance": "0x0", "code": "0x" + READS_OUTSIDE}
    document = json.loads(genesis(alloc))
    rules = {"addressRanges": True, "signatureSchemes": [{"name": name} for name, _ in k.signature_schemes()]}
    document["config"]["hansa"]["vm"] = rules | vm
    return k.Spec(json.dumps(document).encode())


def account(scheme: str) -> bytes:
    """The account of the test's secret."""
    return k.scheme_address(scheme, k.scheme_public_key(scheme, SECRET))


def signed(scheme: str, **changes: Any) -> bytes:
    """A transfer of 5 wei."""
    fields: dict[str, Any] = {
        "scheme": scheme,
        "secret_key": SECRET,
        "chain_id": 4242,
        "nonce": 0,
        "to": TO,
        "value_wei": (5).to_bytes(32, "big"),
        "data": b"",
        "gas_limit": 400_000,
        "max_fee_per_gas": 0,
        "max_priority_fee_per_gas": 0,
        "address_ranges": b"",
    }
    return k.sign_account_transaction(**(fields | changes))


def executed(spec: k.Spec, *raws: bytes) -> tuple[k.BlockResult, k.TxBatch]:
    """Run a block of these transactions on the genesis state."""
    state = State()
    state.apply(spec.genesis_write_set())
    batch = k.decode_transactions(pack(*raws), spec=spec, number=1, timestamp=1)
    assert batch.all_valid(), batch.errors()
    result = state.run(k.BlockJob(spec, env(), batch))
    assert isinstance(result, k.BlockResult)
    return result, batch


def shown(spec: k.Spec, result: k.BlockResult, batch: k.TxBatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first transaction and its receipt as JSON-RPC shows them."""
    header = spec.genesis_header(b"\5" * 32)
    packed, senders = batch.packed(), batch.senders()
    receipt = receipts(header, packed, senders, result.receipts)
    return json.loads(k.transaction_json(header, packed, senders, 0)), receipt


def receipts(header: bytes, packed: bytes, senders: bytes, stored: bytes) -> dict[str, Any]:
    """The first receipt."""
    found: dict[str, Any] = json.loads(k.receipts_json(header, packed, senders, stored, 0))
    return found


@pytest.mark.parametrize("scheme", QUICK)
def test_transfer_of_every_scheme_is_executed_for_its_price(scheme: str) -> None:
    spec = chain()
    result, batch = executed(spec, signed(scheme))
    transaction, receipt = shown(spec, result, batch)
    assert batch.senders() == account(scheme)
    assert int(receipt["gasUsed"], 16) == 21_000 + dict(k.signature_schemes())[scheme]
    assert (receipt["status"], receipt["type"], "failureReason" in receipt) == ("0x1", "0x48", False)
    assert transaction["signatureScheme"] == scheme
    assert transaction["from"] == "0x" + account(scheme).hex()
    assert transaction["publicKey"] == "0x" + k.scheme_public_key(scheme, SECRET).hex()
    assert (transaction["type"], transaction["v"], transaction["r"]) == ("0x48", "0x0", "0x0")
    assert transaction["hash"] == "0x" + k.keccak(signed(scheme)).hex()


def test_signing_hash_and_signatures_are_those_of_other_software() -> None:
    """Type byte and RLP list of all fields but the signature, encoded a second time here."""
    for scheme, number in (("ed25519", 1), ("p256", 2)):
        key = k.scheme_public_key(scheme, SECRET)
        fields: list[Item] = [4242, 0, 0, 0, 400_000, TO, 5, b"", [], [], number, key]
        digest = k.keccak(b"\x48" + rlp(fields))
        raw = signed(scheme)
        signature = raw[-64:]
        assert raw == b"\x48" + rlp([*fields, signature])
        if scheme == "ed25519":
            Ed25519PublicKey.from_public_bytes(key).verify(signature, digest)
            with pytest.raises(InvalidSignature):
                Ed25519PublicKey.from_public_bytes(key).verify(signature, bytes(32))
        else:
            numbers = utils.encode_dss_signature(
                int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            )
            public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key)
            public.verify(numbers, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def test_unknown_to_chains_that_did_not_turn_it_on() -> None:
    spec = k.Spec(genesis({}))
    batch = k.decode_transactions(pack(signed("ed25519")), spec=spec, number=1, timestamp=1)
    error = batch.errors()[0]
    assert error is not None
    assert error.code == "transaction_type_not_supported"


def test_secp256k1_declares_ranges_in_the_same_envelope() -> None:
    spec = chain()
    sender = k.address_of_secret_keys(SECRET)
    ranges = b"".join(sorted([sender + sender, TO + TO]))
    raw = signed("secp256k1", address_ranges=ranges, value_wei=bytes(32))
    result, batch = executed(spec, raw)
    transaction, receipt = shown(spec, result, batch)
    assert batch.senders() == sender
    assert int(receipt["gasUsed"], 16) == 21_000 + 2 * 640
    assert transaction["signatureScheme"] == "secp256k1"
    assert transaction["r"] != "0x0"
    assert len(transaction["addressRanges"]) == 2


def test_reaching_outside_of_the_ranges_is_told_in_the_receipt() -> None:
    spec = chain()
    sender = account("ed25519")
    ranges = b"".join(sorted([sender + sender, TO + b"\x7f" * 20]))
    calls = [signed("ed25519", to=CONTRACT, value_wei=bytes(32), address_ranges=which) for which in (ranges, b"")]
    result, batch = executed(spec, calls[0])
    _, receipt = shown(spec, result, batch)
    assert (receipt["status"], receipt["failureReason"]) == ("0x0", "OUT_OF_RANGE")
    assert int(receipt["gasUsed"], 16) == 400_000
    _, receipt = shown(spec, *executed(spec, calls[1]))
    assert receipt["status"] == "0x1"


def test_ranges_that_leave_the_recipient_out_are_refused() -> None:
    sender = account("ed25519")
    raw = signed("ed25519", address_ranges=sender + sender)
    error = k.decode_transactions(pack(raw), spec=chain(), number=1, timestamp=1).errors()[0]
    assert error is not None
    assert error.code == "address_ranges"


def called(spec: k.Spec, **changes: Any) -> k.CallResult:
    """A call of the contract that reads outside of the ranges."""
    state = State()
    state.apply(spec.genesis_write_set())
    sender = account("ed25519")
    fields: dict[str, Any] = {"sender": sender, "to": CONTRACT, "gas": 1_000_000}
    result = state.run(k.CallJob(spec, env(), **(fields | changes)))
    assert isinstance(result, k.CallResult)
    return result


def test_call_and_estimate_that_reach_outside_say_so() -> None:
    spec = chain()
    sender = account("ed25519")
    ranges = b"".join(sorted([sender + sender, TO + b"\x7f" * 20]))
    for estimate in (False, True):
        result = called(spec, address_ranges=ranges, estimate=estimate)
        assert (result.status, "OUT_OF_RANGE" in result.error) == ("halt", True)
    assert called(spec).status == "success"


def traced(spec: k.Spec, call: dict[str, Any], config: dict[str, Any]) -> Any:
    """A traced call of the contract that reads outside of the ranges."""
    state = State()
    state.apply(spec.genesis_write_set())
    none = k.decode_transactions(b"", spec=spec, number=0, timestamp=0)
    call = {"from": "0x" + account("ed25519").hex(), "to": "0x" + CONTRACT.hex(), **call}
    job = k.TraceJob(
        spec, env(), none, first=0, config=json.dumps(config).encode(), calls=json.dumps([[call, None]]).encode(),
        gas_max=1_000_000, system_calls=False,
    )  # fmt: skip
    result = state.run(job)
    assert isinstance(result, k.TraceResult)
    return json.loads(result.traces[0])


def test_traces_and_simulations_keep_to_the_ranges_and_pay_for_the_signature() -> None:
    spec = chain()
    sender = account("ed25519")
    bounds = sorted([sender + sender, TO + b"\x7f" * 20])
    ranges = [{"first": "0x" + both[:20].hex(), "last": "0x" + both[20:].hex()} for both in bounds]
    config = {"tracer": "callTracer"}
    inside = traced(spec, {}, config)
    assert "error" not in inside
    outside = traced(spec, {"addressRanges": ranges}, config)
    assert "OUT_OF_RANGE" in outside["error"]
    (parity,) = traced(spec, {"addressRanges": ranges}, {"parity": ["trace"]})["trace"]
    assert "OUT_OF_RANGE" in parity["error"]
    priced = traced(spec, {"signatureScheme": "ed25519"}, config)
    price = dict(k.signature_schemes())["ed25519"]
    assert int(priced["gasUsed"], 16) - int(inside["gasUsed"], 16) >= price
    with pytest.raises(k.KernelInputError) as refused:
        traced(k.Spec(genesis({})), {"signatureScheme": "ed25519"}, config)
    assert refused.value.field == "signature_scheme"


def test_estimate_counts_signature_and_ranges() -> None:
    spec = chain()
    plain = called(spec, to=TO, estimate=True).estimate
    assert plain == 21_000
    sender = account("ed25519")
    ranges = b"".join(sorted([sender + sender, TO + TO]))
    both = called(spec, to=TO, estimate=True, address_ranges=ranges, signature_scheme="ed25519").estimate
    assert both is not None
    price = dict(k.signature_schemes())["ed25519"] + 2 * 640
    assert 21_000 + price <= both <= (21_000 + price) * 1.02  # geth stops a search within 1.5 %


def test_calls_name_what_the_chain_turned_off() -> None:
    off = k.Spec(genesis({}))
    with pytest.raises(k.KernelInputError) as refused:
        called(off, signature_scheme="ed25519")
    assert refused.value.field == "signature_scheme"
    with pytest.raises(k.KernelInputError) as refused:
        called(off, address_ranges=TO + TO)
    assert refused.value.field == "address_ranges"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"scheme": "rsa"}, "scheme"),
        ({"secret_key": b"\1" * 31}, "secret_key"),
        ({"scheme": "p256", "secret_key": bytes(32)}, "secret_key"),
        ({"to": b"\1"}, "to"),
        ({"address_ranges": b"\1" * 39}, "address_ranges"),
        ({"address_ranges": b"\2" * 20 + b"\1" * 20}, "address_ranges"),
    ],
)
def test_bad_fields_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(k.KernelInputError) as refused:
        signed(changes.pop("scheme", "ed25519"), **changes)
    assert refused.value.field == field
