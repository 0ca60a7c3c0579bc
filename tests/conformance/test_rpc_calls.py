"""Calls, estimates, access lists and simulations on an imported chain, where what must come out can be told without
another client: by the rules of gas, and by hashing again what a simulated block shows."""

from typing import Any

import httpx
import pytest
import rlp
from eth_account import Account
from eth_utils import keccak
from support.vectors import needs_vectors
from trie import HexaryTrie

pytestmark = [needs_vectors, pytest.mark.vectors]

RICH = "0x" + "c0" * 20
OTHER = "0x" + "c1" * 20
CONTRACT = "0x" + "c2" * 20
FUNDS = {RICH: {"balance": hex(10**24)}}
BLOB = "0x01" + "ab" * 31
BLOB_GAS = 131_072
TRANSFER_GAS = 21_000
TOLERANCE = 1.015  # of geth's search

BLOBHASH_AND_FEE = "0x5f495f524a60205260405ff3"  # blobhash(0), blobbasefee
SLOT_SUM = "0x5f54600154015f5260205ff3"  # sload(0) + sload(1)
CALLS_OTHER = "0x5f5f5f5f5f73" + "c1" * 20 + "5af1503d5f5f3e5f5ff3"  # call(other)
REVERTS = "0x5f5ffd"
PANICS = "0x634e487b7160e01b5f52601160045260245ffd"  # Panic(0x11)
BURNS_UNLESS_GIVEN = "0x620493e05a11600c575f5ffd5b00"  # reverts with less than 300,000 gas left


def ask(url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    return httpx.post(url, json=body, timeout=60).json()


def result(url: str, method: str, *params: Any) -> Any:
    answer = ask(url, method, *params)
    assert "error" not in answer, answer
    return answer["result"]


def at_code(code: str, **more: Any) -> dict[str, Any]:
    return {**FUNDS, CONTRACT: {"code": code, **more}}


# --- estimates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"value": "0x1"},
        {"gasPrice": hex(10**12)},
        {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": "0x1"},
        {"blobVersionedHashes": [BLOB], "maxFeePerBlobGas": hex(10**9)},
        {"blobVersionedHashes": [BLOB, BLOB], "maxFeePerBlobGas": hex(10**9), "maxFeePerGas": hex(10**12)},
        {"blobVersionedHashes": [BLOB]},
    ],
)
def test_a_transfer_is_estimated_to_its_intrinsic_gas(url: str, extra: dict[str, Any]) -> None:
    call = {"from": RICH, "to": OTHER, **extra}
    assert result(url, "eth_estimateGas", call, "latest", FUNDS) == hex(TRANSFER_GAS)


def test_what_a_transaction_announces_is_part_of_the_estimate(url: str) -> None:
    listed = {"from": RICH, "to": OTHER, "accessList": [{"address": OTHER, "storageKeys": ["0x" + "00" * 32]}]}
    # geth's search ends above the least gas, within its tolerance, always at the same figure.
    assert result(url, "eth_estimateGas", listed, "latest", FUNDS) == hex(25_641)
    delegating = {
        "from": RICH,
        "to": OTHER,
        "authorizationList": [
            {"chainId": "0x0", "address": CONTRACT, "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1"}
        ],
    }
    estimate = int(result(url, "eth_estimateGas", delegating, "latest", FUNDS), 16)
    assert TRANSFER_GAS + 25_000 <= estimate <= (TRANSFER_GAS + 25_000) * TOLERANCE


@pytest.mark.parametrize("code", [SLOT_SUM, CALLS_OTHER, BURNS_UNLESS_GIVEN])
def test_an_estimate_is_enough_and_close_to_the_least(url: str, code: str) -> None:
    overrides, call = at_code(code), {"from": RICH, "to": CONTRACT}
    estimate = int(result(url, "eth_estimateGas", call, "latest", overrides), 16)
    result(url, "eth_call", {**call, "gas": hex(estimate)}, "latest", overrides)
    low = TRANSFER_GAS - 1
    high = estimate
    while low + 1 < high:  # the least that is enough, found without tolerance
        middle = (low + high) // 2
        enough = "error" not in ask(url, "eth_call", {**call, "gas": hex(middle)}, "latest", overrides)
        low, high = (low, middle) if enough else (middle, high)
    assert high <= estimate <= high * TOLERANCE + 1


def delegation() -> dict[str, str]:
    """An account that exists delegates to the contract: half of its price comes back."""
    signed = Account.from_key(b"\x07" * 32).sign_authorization({"chainId": 0, "address": CONTRACT, "nonce": 0})
    parts = {"nonce": 0, "chainId": 0, "yParity": signed.y_parity, "r": signed.r, "s": signed.s}
    return {"address": CONTRACT, **{name: hex(value) for name, value in parts.items()}}


DELEGATING = "0x" + Account.from_key(b"\x07" * 32).address[2:].lower()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ({}, SLOT_SUM),
        ({}, CALLS_OTHER),
        ({}, BURNS_UNLESS_GIVEN),
        ({"data": "0x" + "ff" * 2_000}, "0x00"),  # the floor of EIP-7623
        ({}, "0x5f5f555f600155600160025560016003555f6002555f60035500"),  # refunds
        ({"authorizationList": [delegation()]}, SLOT_SUM),
        ({"to": None, "data": "0x60806040526101005f5260205ff3"}, "0x"),
    ],
)
def test_an_estimate_is_the_figure_that_geths_search_comes_to(url: str, call: dict[str, Any], code: str) -> None:
    overrides = {**at_code(code), DELEGATING: {"balance": "0x1"}}
    call = {"from": RICH, "to": CONTRACT, **call}

    def run(gas: int) -> tuple[bool, int, int]:
        """Whether it succeeds, what it uses, and at its peak."""
        block = {"stateOverrides": overrides, "calls": [{**call, "gas": hex(gas)}]}
        answer = ask(url, "eth_simulateV1", {"blockStateCalls": [block]}, "latest")
        if "error" in answer:
            return False, 0, 0
        found = answer["result"][0]["calls"][0]
        return found["status"] == "0x1", int(found["gasUsed"], 16), int(found["maxUsedGas"], 16)

    high = 1 << 24  # EIP-7825
    ok, used, peak = run(high)
    assert ok
    low = used - 1
    if (optimistic := (peak + 2_300) * 64 // 63) < high:
        low, high = (low, optimistic) if run(optimistic)[0] else (optimistic, high)
    while low + 1 < high and (high - low) / high >= TOLERANCE - 1:
        middle = min((low + high) // 2, 2 * low)
        low, high = (low, middle) if run(middle)[0] else (middle, high)
    assert int(result(url, "eth_estimateGas", call, "latest", overrides), 16) == high


@pytest.mark.parametrize(
    ("call", "overrides", "code", "text"),
    [
        ({"to": CONTRACT}, at_code(REVERTS), 3, "execution reverted"),
        ({"to": CONTRACT}, at_code(PANICS), 3, "execution reverted: arithmetic underflow or overflow"),
        ({"to": CONTRACT}, at_code("0xfe"), -32000, "invalid opcode: INVALID"),
        ({"to": CONTRACT, "gas": hex(30_000)}, at_code(SLOT_SUM * 1 + "5b5f56"), -32000, ""),
        ({"to": CONTRACT}, at_code("0x5b5f56"), -32000, "gas required exceeds allowance (16777216)"),
        ({"to": CONTRACT, "gas": hex(50_000)}, at_code("0x5b5f56"), -32000, "gas required exceeds allowance (50000)"),
        ({"to": OTHER, "value": hex(10**25), "gasPrice": hex(10**9)}, FUNDS, -32000, "insufficient funds for transfer"),
        (
            {"to": OTHER, "maxFeePerGas": "0x1"},
            FUNDS,
            -32000,
            "max fee per gas less than block base fee",
        ),
        (
            {"to": OTHER, "blobVersionedHashes": [], "maxFeePerBlobGas": "0x1"},
            FUNDS,
            -32000,
            "blob transaction missing blob hashes",
        ),
        ({"to": OTHER, "blobVersionedHashes": ["0x02" + "00" * 31]}, FUNDS, -32000, "blob 0 has invalid hash version"),
        ({"data": "0x00", "blobVersionedHashes": [BLOB]}, FUNDS, -32000, "blob transaction of type create"),
        ({"to": OTHER, "blobVersionedHashes": [BLOB] * 7}, FUNDS, -32000, "blob transaction has too many blobs"),
    ],
)
def test_what_cannot_succeed_is_refused_in_geths_words(
    url: str, call: dict[str, Any], overrides: dict[str, Any], code: int, text: str
) -> None:
    answer = ask(url, "eth_estimateGas", {"from": RICH, **call}, "latest", overrides)
    if not text:
        assert "result" in answer  # the loop is never reached
        return
    assert answer["error"]["code"] == code, answer
    assert text in answer["error"]["message"]


def test_blobs_show_in_the_call_and_cost_what_was_named(url: str) -> None:
    overrides = at_code(BLOBHASH_AND_FEE)
    call = {"from": RICH, "to": CONTRACT, "blobVersionedHashes": [BLOB]}
    assert result(url, "eth_call", call, "latest", overrides) == BLOB + "00" * 32
    priced = {**call, "maxFeePerBlobGas": "0x5", "maxFeePerGas": hex(10**12)}
    assert result(url, "eth_call", priced, "latest", overrides) == BLOB + (1).to_bytes(32, "big").hex()
    dear = ask(url, "eth_call", priced, "latest", overrides, {"blobBaseFee": "0x6"})
    assert "max fee per blob gas less than block blob gas fee" in dear["error"]["message"]
    poor = {**overrides, RICH: {"balance": hex(5 * BLOB_GAS - 1)}}
    refused = ask(url, "eth_call", {**priced, "maxFeePerGas": None, "gas": hex(50_000)}, "latest", poor)
    assert "insufficient funds for gas * price + value" in refused["error"]["message"]
    traced = result(url, "debug_traceCall", call, "latest", {"tracer": "callTracer", "stateOverrides": overrides})
    assert traced["output"] == BLOB + "00" * 32


# --- access lists ------------------------------------------------------------------------------------------------------


def test_an_access_list_names_what_was_touched_and_costs_what_it_says(url: str) -> None:
    zero, one = ("0x" + n.to_bytes(32, "big").hex() for n in (0, 1))
    call = {"from": RICH, "to": CONTRACT}
    found = result(url, "eth_createAccessList", call, "latest", at_code(SLOT_SUM))
    assert found["accessList"] == [{"address": CONTRACT, "storageKeys": [zero, one]}]
    # The recipient is warm anyway: its entry costs an address and two keys, and saves two cold reads.
    steps = 2 + 2 + 3 + 3 + 2 + 6 + 3 + 2 + 3  # push0 sload push1 sload add push0 mstore(+memory) push1 push0 return
    gas = int(found["gasUsed"], 16)
    assert TRANSFER_GAS + 2_400 + 2 * 1_900 + 2 * 100 < gas < TRANSFER_GAS + 2_400 + 2 * 1_900 + 2 * 100 + 2 * steps
    with_list = {**call, "accessList": found["accessList"]}
    assert result(url, "eth_createAccessList", with_list, "latest", at_code(SLOT_SUM)) == found
    traced = result(
        url, "debug_traceCall", with_list, "latest", {"tracer": "callTracer", "stateOverrides": at_code(SLOT_SUM)}
    )
    assert traced["gasUsed"] == found["gasUsed"]


def test_sender_recipient_and_precompiles_are_not_listed(url: str) -> None:
    transfer = result(url, "eth_createAccessList", {"from": RICH, "to": OTHER, "value": "0x1"}, "latest", FUNDS)
    assert transfer == {"accessList": [], "gasUsed": hex(TRANSFER_GAS)}
    found = result(url, "eth_createAccessList", {"from": RICH, "to": CONTRACT}, "latest", at_code(CALLS_OTHER))
    assert found["accessList"] == [{"address": OTHER, "storageKeys": []}]
    to_precompile = CALLS_OTHER.replace("c1" * 20, "00" * 19 + "04")
    found = result(url, "eth_createAccessList", {"from": RICH, "to": CONTRACT}, "latest", at_code(to_precompile))
    assert found["accessList"] == []


def test_a_call_that_fails_has_its_list_and_the_reason(url: str) -> None:
    code = SLOT_SUM[:-4] + "5ffd"
    found = result(url, "eth_createAccessList", {"from": RICH, "to": CONTRACT}, "latest", at_code(code))
    assert found["error"] == "execution reverted"
    assert [len(item["storageKeys"]) for item in found["accessList"]] == [2]


# --- simulations -------------------------------------------------------------------------------------------------------


def number(value: str | int) -> bytes:
    value = int(value, 16) if isinstance(value, str) else value
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def raw(value: str | None) -> bytes:
    return bytes.fromhex((value or "0x")[2:])


def list_root(items: list[bytes]) -> str:
    trie = HexaryTrie({})
    for index, item in enumerate(items):
        trie[rlp.encode(index)] = item
    return "0x" + trie.root_hash.hex()


def encoded(tx: dict[str, Any]) -> bytes:
    """EIP-2718 bytes of a transaction object without signature."""
    head = [number(tx["nonce"])]
    tail = [number(tx["gas"]), raw(tx["to"]), number(tx["value"]), raw(tx["input"])]
    unsigned = [b"", b"", b""]
    if tx["type"] == "0x0":
        return rlp.encode([*head, number(tx["gasPrice"]), *tail, *unsigned])
    access = [[raw(item["address"]), [raw(key) for key in item["storageKeys"]]] for item in tx["accessList"]]
    fees = [number(tx["maxPriorityFeePerGas"]), number(tx["maxFeePerGas"])]
    fields = [number(tx["chainId"]), *head, *fees, *tail, access]
    if tx["type"] == "0x3":
        fields += [number(tx["maxFeePerBlobGas"]), [raw(item) for item in tx["blobVersionedHashes"]]]
    if tx["type"] == "0x4":
        fields.append(
            [
                [raw(a["address"]) if key == "address" else number(a[key]) for key in AUTHORIZATION]
                for a in tx["authorizationList"]
            ]
        )
    return bytes([int(tx["type"], 16)]) + rlp.encode([*fields, *unsigned])


AUTHORIZATION = ("chainId", "address", "nonce", "yParity", "r", "s")
HEADER = (
    ("parentHash", raw), ("sha3Uncles", raw), ("miner", raw), ("stateRoot", raw), ("transactionsRoot", raw),
    ("receiptsRoot", raw), ("logsBloom", raw), ("difficulty", number), ("number", number), ("gasLimit", number),
    ("gasUsed", number), ("timestamp", number), ("extraData", raw), ("mixHash", raw), ("nonce", raw),
    ("baseFeePerGas", number), ("withdrawalsRoot", raw), ("blobGasUsed", number), ("excessBlobGas", number),
    ("parentBeaconBlockRoot", raw), ("requestsHash", raw),
)  # fmt: skip


def simulated(url: str, *blocks: dict[str, Any], at: str = "latest", **options: Any) -> list[dict[str, Any]]:
    """Blocks whose hashes, roots and sizes are those of what they show."""
    options = {"blockStateCalls": list(blocks), "returnFullTransactions": True, **options}
    found: list[dict[str, Any]] = result(url, "eth_simulateV1", options, at)
    for block in found:
        header = rlp.encode([read(block[name]) for name, read in HEADER if name in block])
        assert block["hash"] == "0x" + keccak(header).hex()
        raws = [encoded(tx) for tx in block["transactions"]]
        assert [tx["hash"] for tx in block["transactions"]] == ["0x" + keccak(item).hex() for item in raws]
        assert block["transactionsRoot"] == list_root(raws)
        body: list[Any] = [rlp.decode(header), [rlp.decode(item) if item[0] >= 0xC0 else item for item in raws], []]
        if "withdrawals" in block:
            names = ("index", "validatorIndex", "address", "amount")
            items = [[raw(w[n]) if n == "address" else number(w[n]) for n in names] for w in block["withdrawals"]]
            assert block["withdrawalsRoot"] == list_root([rlp.encode(item) for item in items])
            body.append(items)
        assert int(block["size"], 16) == len(rlp.encode(body))
    return found


def test_every_type_of_transaction_is_simulated_and_shown(url: str) -> None:
    slots = [{"address": OTHER, "storageKeys": ["0x" + "00" * 32]}]
    delegation = {"chainId": "0x0", "address": CONTRACT, "nonce": "0x0", "yParity": "0x1", "r": "0x1", "s": "0x2"}
    to = {"from": RICH, "to": CONTRACT}
    calls = [
        to,
        {**to, "gasPrice": hex(10**9), "gas": hex(100_000), "accessList": slots},
        {**to, "accessList": slots, "gas": hex(100_000)},
        {**to, "maxFeePerGas": hex(10**9), "blobVersionedHashes": [BLOB, BLOB], "maxFeePerBlobGas": "0x7"},
        {**to, "authorizationList": [delegation], "gas": hex(100_000)},
        {"from": RICH, "data": "0x5f5ff3"},
    ]
    calls[3]["gas"] = hex(100_000)
    (block,) = simulated(url, {"stateOverrides": at_code(BLOBHASH_AND_FEE), "calls": calls})
    shown = block["transactions"]
    assert [tx["type"] for tx in shown] == ["0x2", "0x0", "0x2", "0x3", "0x4", "0x2"]
    assert block["blobGasUsed"] == hex(2 * BLOB_GAS)
    # Without a signature there is no chain id to derive; geth shows what its arithmetic makes of that.
    assert (shown[1]["chainId"], "accessList" in shown[1]) == ("0x7fffffffffffffee", False)
    assert shown[4]["authorizationList"] == [delegation]
    blob = block["calls"][3]
    assert blob["returnData"][:66] == BLOB
    listed = [int(call["gasUsed"], 16) for call in block["calls"][:3]]
    assert listed[1] == listed[2] == listed[0] + 2_400 + 1_900


def test_withdrawals_are_paid_and_part_of_the_block(url: str) -> None:
    withdrawal = {"index": "0x7", "validatorIndex": "0x12c", "address": OTHER, "amount": "0x3"}
    none = {**withdrawal, "index": "0x8", "amount": "0x0", "address": "0x" + "c9" * 20}
    balance_of_other = "0x73" + "c1" * 20 + "315f5260205ff3"
    first, second = simulated(
        url,
        {"blockOverrides": {"withdrawals": [withdrawal, none]}},
        {"stateOverrides": {CONTRACT: {"code": balance_of_other}}, "calls": [{"from": RICH, "to": CONTRACT}]},
    )
    assert first["withdrawals"] == [withdrawal, none]
    assert second["withdrawals"] == []
    before = int(result(url, "eth_getBalance", OTHER, "latest"), 16)
    assert int(second["calls"][0]["returnData"], 16) == before + 3 * 10**9


def test_blocks_before_the_merge_are_rewarded(url: str) -> None:
    """Block 2 has the rules of Homestead: five ether."""
    (block,) = simulated(url, {"blockOverrides": {"feeRecipient": OTHER}, "calls": []}, at="0x1")
    assert (block["number"], "baseFeePerGas" in block, "withdrawals" in block) == ("0x2", False, False)
    code = {CONTRACT: {"code": "0x73" + "c1" * 20 + "31600052" + "60206000f3"}}
    blocks = simulated(
        url,
        {"blockOverrides": {"feeRecipient": OTHER}},
        {"stateOverrides": code, "calls": [{"from": RICH, "to": CONTRACT, "gas": hex(100_000)}]},
        at="0x1",
    )
    assert int(blocks[1]["calls"][0]["returnData"], 16) == 5 * 10**18


@pytest.mark.parametrize(
    ("blocks", "code", "text"),
    [
        ([], -32602, "empty input"),
        ([{}] * 257, -38026, "too many blocks"),
        ([{"blockOverrides": {"number": hex(54 + 257)}}], -38026, "too many blocks"),
        ([{"calls": [{}] * 5_001}], -38026, "too many calls in block: 5001 > 5000"),
        (
            [{"blockOverrides": {"gasLimit": "0x5208"}, "calls": [{"to": OTHER, "gas": "0x5209"}]}],
            -38015,
            "block gas limit reached: remaining: 21000, required: 21001",
        ),
        ([{"stateOverrides": {OTHER: {"movePrecompileToAddress": CONTRACT}}}], -32000, "is not a precompile"),
        (
            [{"stateOverrides": {"0x" + "00" * 19 + "01": {"movePrecompileToAddress": "0x" + "00" * 19 + "01"}}}],
            -32000,
            "is already overridden",
        ),
    ],
)
def test_simulations_out_of_bounds_are_refused_in_geths_words(
    url: str, blocks: list[dict[str, Any]], code: int, text: str
) -> None:
    answer = ask(url, "eth_simulateV1", {"blockStateCalls": blocks}, "latest")
    assert (answer["error"]["code"], text in answer["error"]["message"]) == (code, True), answer


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ({"maxFeePerGas": "0x1", "maxPriorityFeePerGas": "0x2"}, -32602, ""),
        ({"maxFeePerGas": "0x1"}, -38012, "max fee per gas less than block base fee"),
        ({"nonce": "0x5"}, -38011, "nonce too high"),
        ({"maxFeePerGas": hex(10**12), "gas": hex(20_000)}, -38013, "intrinsic gas too low: have 20000, want 21000"),
        (
            {"maxFeePerGas": hex(10**12), "gas": hex(100_000), "data": "0x" + "ff" * 3_000},
            -32603,
            "insufficient gas for floor data gas cost: have 100000, want 141000",
        ),
        (
            {"maxFeePerGas": hex(10**12), "to": None, "data": "0x" + "00" * 49_153},
            -38025,
            "max initcode size exceeded: code size 49153 limit 49152",
        ),
        ({"maxFeePerGas": hex(10**30)}, -38014, "insufficient funds for gas * price + value"),
        (
            {"maxFeePerGas": hex(10**12), "blobVersionedHashes": [BLOB], "maxFeePerBlobGas": "0x0"},
            -32603,
            "max fee per blob gas less than block blob gas fee",
        ),
    ],
)
def test_validation_refuses_in_geths_words(url: str, call: dict[str, Any], code: int, text: str) -> None:
    block = {"stateOverrides": FUNDS, "calls": [{"from": RICH, "to": OTHER, **call}]}
    answer = ask(url, "eth_simulateV1", {"blockStateCalls": [block], "validation": True}, "latest")
    assert answer["error"]["code"] == code, answer
    assert text in answer["error"]["message"]


# --- fees --------------------------------------------------------------------------------------------------------------


def test_blob_fees_and_forks_are_those_of_the_chain(url: str) -> None:
    assert result(url, "eth_blobBaseFee") == "0x1"
    history = result(url, "eth_feeHistory", "0x20", "latest", [])
    assert len(history["baseFeePerBlobGas"]) == 33
    assert set(history["baseFeePerBlobGas"][:5]) == {"0x0"}  # blocks before Cancun
    assert max(history["blobGasUsedRatio"]) > 0
    config = result(url, "eth_config")
    assert config["current"]["blobSchedule"] == {"baseFeeUpdateFraction": 11684671, "max": 21, "target": 14}
    assert config["current"]["systemContracts"]["DEPOSIT_CONTRACT_ADDRESS"] == "0x" + "00" * 20
    assert (config["current"]["activationTime"], config["next"], config["last"]) == (540, None, None)
