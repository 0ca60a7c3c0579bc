"""Chain specs: what is taken, what is refused, what the genesis hash commits to."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hansa_kernel
import pytest
from hansa.chainspec import (
    TEST_ADDRESSES,
    TEST_KEYS,
    ChainSpec,
    ChainSpecInvalid,
    GenesisChoices,
    Validator,
    chain_spec_schema,
    check_profile,
    load_chain_spec,
    new_chain_spec,
    parse_chain_spec,
)
from hansa.chainspec.system_contracts import REQUIRED, system_contracts
from support.vectors import VECTORS, needs_vectors

Changed = Callable[[Callable[[dict[str, Any]], object]], bytes]


def hansa(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["config"]["hansa"]
    return found


def test_new_chain_spec_is_read_back(validators: tuple[Validator, ...], spec_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "chain.json"
    path.write_bytes(spec_file)
    chain = load_chain_spec(path)
    assert chain.raw == spec_file
    assert chain.chain_id == 1337
    assert chain.gas_limit == 60_000_000
    assert chain.hansa
    assert chain.zero_base_fee
    assert chain.validators == validators
    assert chain.consensus.engine == "pbft"
    assert (chain.consensus.block_time_ms, chain.consensus.empty_block_time_ms) == (200, 5_000)
    assert (chain.consensus.request_timeout_ms, chain.consensus.leader_term) == (2_000, 64)
    assert not chain.consensus.strict_timestamps
    assert chain.proof_window == 1_024
    assert chain.kernel.fork(0, 1_700_000_000) == "Osaka"
    header = hansa_kernel.Header.decode(chain.genesis_header)
    assert header.hash == chain.genesis_hash
    assert (header.number, header.difficulty, header.base_fee_per_gas) == (0, 0, 0)


def test_chain_with_fees_starts_at_one_gwei(validators: tuple[Validator, ...]) -> None:
    _, chain = new_chain_spec(GenesisChoices(validators=validators, zero_base_fee=False))
    assert hansa_kernel.Header.decode(chain.genesis_header).base_fee_per_gas == 10**9
    assert not chain.zero_base_fee


def test_member_is_found_by_name(chain: ChainSpec) -> None:
    assert chain.index_of("member3") == 2


def test_unknown_member_names_those_there_are(chain: ChainSpec) -> None:
    with pytest.raises(ChainSpecInvalid, match="member1, member2, member3, member4"):
        chain.index_of("member9")


def test_genesis_hash_commits_to_members(changed: Changed, spec_file: bytes) -> None:
    fewer = parse_chain_spec(changed(lambda d: hansa(d)["validators"].pop()))
    assert fewer.genesis_hash != parse_chain_spec(spec_file).genesis_hash


def test_endpoint_is_not_part_of_the_name(changed: Changed, spec_file: bytes) -> None:
    moved = changed(lambda d: hansa(d)["validators"][0].update(endpoint="node1.example.org:30303"))
    assert parse_chain_spec(moved).genesis_hash == parse_chain_spec(spec_file).genesis_hash


def test_later_fork_is_in_the_digest_and_not_in_the_name(changed: Changed, spec_file: bytes) -> None:
    later = parse_chain_spec(changed(lambda d: d["config"].update(bpo1Time=1_900_000_000)))
    first = parse_chain_spec(spec_file)
    assert later.genesis_hash == first.genesis_hash
    assert later.transitions_digest != first.transitions_digest


def test_extra_data_of_another_config_is_refused(spec_file: bytes) -> None:
    document = json.loads(spec_file)
    document["config"]["chainId"] = 1338
    with pytest.raises(ChainSpecInvalid, match="does not commit to this config"):
        parse_chain_spec(json.dumps(document).encode())


def test_order_and_white_space_do_not_change_the_name(spec_file: bytes) -> None:
    document = json.loads(spec_file)
    document["config"] = dict(reversed(document["config"].items()))
    assert parse_chain_spec(json.dumps(document).encode()).genesis_hash == parse_chain_spec(spec_file).genesis_hash


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: hansa(d).update(consensu={}), "did you mean 'consensus'"),
        (lambda d: hansa(d)["consensus"].update(blocktime=100), "did you mean 'blockTime'"),
        (lambda d: hansa(d)["consensus"].update(engine="raft"), "consensus.engine"),
        (lambda d: hansa(d)["consensus"].update(blockTime="soon"), "duration"),
        (lambda d: hansa(d)["consensus"].update(blockTime=-1), "duration"),
        (lambda d: hansa(d)["consensus"].update(blockTime=True), "duration"),
        (lambda d: hansa(d)["consensus"].update(blockTime="0.5ms"), "whole number"),
        (lambda d: hansa(d)["consensus"].update(blockTime="3s"), "requestTimeout"),
        (lambda d: hansa(d)["consensus"].update(requestTimeout=0), "requestTimeout"),
        (lambda d: hansa(d)["consensus"].update(emptyBlockTime="100ms"), "emptyBlockTime"),
        (lambda d: hansa(d)["consensus"].update(leaderTerm=0), "leaderTerm"),
        (lambda d: hansa(d).pop("consensus"), "consensus"),
        (lambda d: hansa(d).update(validators=[]), "validators"),
        (lambda d: hansa(d)["state"].update(proofWindow=0), "proofWindow"),
        (lambda d: hansa(d)["state"].update(proofWindow="all"), "archive"),
        (lambda d: hansa(d)["fees"].update(zeroBaseFee="yes"), "zeroBaseFee"),
        (lambda d: hansa(d).update(beneficiary="0x12"), "20 bytes"),
        (lambda d: hansa(d)["validators"][1].update(name="Member One"), "validators.1.name"),
        (lambda d: hansa(d)["validators"][1].update(name="member1"), "is also member1's"),
        (lambda d: hansa(d)["validators"][1].update(account=hansa(d)["validators"][0]["account"]), "account"),
        (lambda d: hansa(d)["validators"][0].update(endpoint="nowhere"), "host:port"),
        (lambda d: hansa(d)["validators"][0].update(endpoint="host:99999"), "host:port"),
        (lambda d: hansa(d)["validators"][0].update(certificate="no"), "PEM"),
        (lambda d: hansa(d)["validators"][0].update(nodeKey="0x" + "11" * 32), "nodeKey"),
        (lambda d: hansa(d)["validators"][0].update(voteKey="0x" + "00" * 96), "does not show"),
        (
            lambda d: hansa(d)["validators"][0].update(
                proofOfPossession=hansa(d)["validators"][1]["proofOfPossession"]
            ),
            "does not show",
        ),
        (lambda d: d["config"].pop("osakaTime"), "starts at Osaka"),
        (lambda d: d["config"].pop("pragueTime"), "pragueTime"),
        (lambda d: d["config"].update(chainId="x"), "chainId"),
        (lambda d: d["config"].pop("chainId"), "chainId"),
        (lambda d: d.pop("config"), "config"),
        (lambda d: d.pop("alloc"), "alloc"),
        (lambda d: d.update(difficulty="0x1"), "difficulty"),
        (lambda d: d.update(gasLimit="0x10"), "gasLimit"),
        (lambda d: d.update(gasLimit="many"), "gasLimit"),
        (lambda d: d["alloc"].update({"0x12": {"balance": "0x1"}}), "alloc"),
        (lambda d: d["config"].update(big=2**60), "canonical JSON"),
    ],
)
def test_bad_chain_spec_is_refused_by_name(
    changed: Changed, change: Callable[[dict[str, Any]], object], text: str
) -> None:
    # Some have no commitment at all, so that making the file is refused already.
    with pytest.raises(ChainSpecInvalid, match=text):
        parse_chain_spec(changed(change))


@pytest.mark.parametrize("source", REQUIRED)
def test_missing_system_contract_is_refused(changed: Changed, source: str) -> None:
    contract = next(contract for contract in system_contracts() if contract.source == source)
    with pytest.raises(ChainSpecInvalid, match=source):
        parse_chain_spec(changed(lambda d: d["alloc"].pop("0x" + contract.address.hex())))


def test_system_contract_with_other_code_is_refused(changed: Changed) -> None:
    contract = system_contracts()[0]
    with pytest.raises(ChainSpecInvalid, match=contract.source):
        parse_chain_spec(changed(lambda d: d["alloc"]["0x" + contract.address.hex()].update(code="0x00")))


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null", b'{"config": {}, "config": {}}', b"\xff\xfe"])
def test_what_is_no_chain_spec_is_refused(raw: bytes) -> None:
    with pytest.raises(ChainSpecInvalid):
        parse_chain_spec(raw)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChainSpecInvalid, match="cannot be read"):
        load_chain_spec(tmp_path / "none.json")


def test_test_accounts_are_refused_in_production(chain: ChainSpec, spec_file: bytes) -> None:
    check_profile(chain, "local")
    check_profile(chain, "dev")
    check_profile(parse_chain_spec(spec_file), "production")
    with pytest.raises(ChainSpecInvalid, match="test accounts"):
        check_profile(chain, "production")


def test_test_accounts_are_those_of_their_keys() -> None:
    assert hansa_kernel.address_of_secret_keys(b"".join(TEST_KEYS)) == b"".join(TEST_ADDRESSES)


def test_precompiles_and_gas_limit_of_the_chain_are_read(changed: Changed) -> None:
    precompile = {"address": "0x400", "name": "ed25519Verify", "gas": {"base": 5000}}
    vm = {
        "precompiles": [precompile],
        "txGasLimit": 1_000_000,
        "privilegedOpcodes": True,
        "addressRanges": True,
        "signatureSchemes": [{"name": "ed25519"}, {"name": "sm2", "gas": 1, "gasPerByte": 2}],
        "gas": {"stateReadPercent": 200, "stateGrowthPercent": 500},
        "stateGrowth": {"blockItemsMax": 10_000, "senderItemsMax": 1_000},
    }
    chain = parse_chain_spec(changed(lambda spec: spec["config"]["hansa"].update(vm=vm)))
    assert chain.hansa


@pytest.mark.parametrize(
    ("vm", "where"),
    [
        ({"precompiles": [{"address": "0x400", "name": "md5"}]}, "config.hansa.vm.precompiles.0.name"),
        ({"precompiles": [{"address": "0x01", "name": "sha3_256"}]}, "config.hansa.vm.precompiles.0.address"),
        ({"precompiles": [{"address": "0x400"}]}, "config.hansa.vm.precompiles.0.name"),
        ({"precompile": []}, "config.hansa.vm.precompile"),
        ({"txGasLimit": 20_999}, "config.hansa.vm.txGasLimit"),
        ({"signatureSchemes": [{"name": "rsa"}]}, "config.hansa.vm.signatureSchemes.0.name"),
        ({"privilegedOpcodes": "yes"}, "config.hansa.vm.privilegedOpcodes"),
        ({"gas": {"stateReadPercent": 99}}, "config.hansa.vm.gas.stateReadPercent"),
        ({"gas": {"stateGrowthPercent": 5_001}}, "config.hansa.vm.gas.stateGrowthPercent"),
        ({"gas": {"stateReadsPercent": 100}}, "config.hansa.vm.gas.stateReadsPercent"),
        ({"stateGrowth": {"blockItemsMax": 0}}, "config.hansa.vm.stateGrowth.blockItemsMax"),
        (
            {"stateGrowth": {"blockItemsMax": 1, "senderItemsMax": 2}},
            "config.hansa.vm.stateGrowth.senderItemsMax",
        ),
    ],
)
def test_bad_rules_of_execution_are_refused_by_name(changed: Changed, vm: dict[str, Any], where: str) -> None:
    with pytest.raises(ChainSpecInvalid) as refused:
        parse_chain_spec(changed(lambda spec: spec["config"]["hansa"].update(vm=vm)))
    assert refused.value.where == where


def test_chain_without_ether_allocates_none(changed: Changed) -> None:
    chain = parse_chain_spec(changed(lambda spec: spec["config"]["hansa"]["fees"].update(ether=False)))
    assert chain.zero_base_fee

    def rich(spec: dict[str, Any]) -> None:
        spec["config"]["hansa"]["fees"].update(ether=False)
        spec["alloc"]["0x" + "11" * 20] = {"balance": "0x1"}

    with pytest.raises(ChainSpecInvalid, match="has no ether"):
        parse_chain_spec(changed(rich))


def test_archive_keeps_every_proof(changed: Changed) -> None:
    assert parse_chain_spec(changed(lambda d: hansa(d)["state"].update(proofWindow="archive"))).proof_window is None


def test_plain_genesis_of_geth_is_read(tmp_path: Path) -> None:
    raw = json.dumps(
        {
            "config": {"chainId": 7, "homesteadBlock": 0, "londonBlock": 0, "ethash": {}},
            "difficulty": "0x20000",
            "gasLimit": "0x47b760",
            "alloc": {"00" * 20: {"balance": "1"}},
        }
    ).encode()
    chain = parse_chain_spec(raw)
    assert not chain.hansa
    assert chain.validators == ()
    assert chain.consensus.strict_timestamps


@pytest.mark.vectors
@needs_vectors
@pytest.mark.parametrize(("name", "folder"), [("holesky", "eth-clients-holesky"), ("sepolia", "eth-clients-sepolia")])
def test_public_networks_have_their_genesis_hash(name: str, folder: str) -> None:
    with tarfile.open(VECTORS / "chains.tar.xz") as archive:

        def read(path: str) -> bytes:
            file = archive.extractfile(f"chains/genesis/{path}")
            assert file is not None
            return file.read()

        expected = json.loads(read("expected-genesis-hashes.json"))["hashes"][name]
        assert "0x" + parse_chain_spec(read(f"{folder}/genesis.json")).genesis_hash.hex() == expected


def test_schema_names_every_key_of_hansa() -> None:
    text = json.dumps(chain_spec_schema())
    for key in ("blockTime", "leaderTerm", "proofWindow", "zeroBaseFee", "proofOfPossession", "nodeKey"):
        assert f'"{key}"' in text
