"""Genesis files of public networks and of other clients: they give their known hashes, or a reason why not."""

import json
import tarfile
from pathlib import Path

import pytest
from hansa.chainspec import ChainSpecInvalid, parse_chain_spec
from support.vectors import VECTORS, needs_vectors

pytestmark = [pytest.mark.vectors, needs_vectors]

MAINNET = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
SEPOLIA = "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"
HOLESKY = "b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4"
GOERLI = "bf7e331f7f7c1dd2e05159666b3bf8bc7a8a3a9eb1d518969eab529dd9b88c1a"

KNOWN = {
    "genesis/eth-clients-mainnet/genesis.json": MAINNET,
    "genesis/besu/mainnet.json": MAINNET,
    "genesis/openethereum-chainspec/foundation.json": MAINNET,
    "genesis/eth-clients-sepolia/genesis.json": SEPOLIA,
    "genesis/eth-clients-sepolia/chainspec.json": SEPOLIA,
    "genesis/besu/sepolia.json": SEPOLIA,
    "genesis/eth-clients-holesky/genesis.json": HOLESKY,
    "genesis/eth-clients-holesky/chainspec.json": HOLESKY,
    "genesis/besu/holesky.json": HOLESKY,
    "genesis/besu/hoodi.json": "bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b",
    "genesis/goerli/besu-goerli.json": GOERLI,
    "genesis/openethereum-chainspec/goerli.json": GOERLI,
    "genesis/openethereum-chainspec/ropsten.json": "41941023680923e0fe4d74a34bdac8141f2540e3ae90623718e47d66d1ca4a2d",
    "genesis/openethereum-chainspec/kovan.json": "a3c565fc15c7478862d50ccd6561e3c06b24cc509bf388941c25ea985ce32cb9",
    "genesis/gnosis/mainnet-genesis.json": "4f1dd23188aab3a76b463e4af801b52b1248ef073c648cbdc4c9333d3da79756",
    "genesis/gnosis/chiado-genesis.json": "ada44fd8d2ecab8b08f256af07ad3e777f17fb434f8f8e678b312f576212ba9a",
    "genesis/openethereum-chainspec/poacore.json": "39f02c003dde5b073b3f6e1700fc0b84b4877f6839bb23edadd3d2d82a488634",
    "genesis/openethereum-chainspec/ewc.json": "0b6d3e680af2fc525392c720666cce58e3d8e6fe75ba4b48cb36bcc69039229b",
    "genesis/openethereum-chainspec/volta.json": "ebd8b413ca7b7f84a8dd20d17519ce2b01954c74d94a0a739a3e416abe0e43e5",
    "genesis/openethereum-chainspec/ellaism.json": "4d7df65052bb21264d6ad2d6fe2d5578a36be12f71bf8d0559b0c15c4dc539b5",
    "genesis/openethereum-chainspec/mix.json": "4fa57903dad05875ddf78030c16b5da886f7d81714cf66946a4c02566dbb2af5",
    "genesis/besu/linea-mainnet.json": "b6762a65689107b2326364aefc18f94cda413209fab35c00d4af51eaa20ffbc6",
}
"""Block 0 as the networks have it: `expected-genesis-hashes.json`, go-ethereum's parameters, the networks' own pages."""


REFUSED = {
    # No chain id, so that no transaction could be told from another chain's.
    "genesis/besu-tests/genesis-olympic.json": "config",
    "genesis/besu-tests/genesisNonce.json": "config.chainId",
    "genesis/hive-smoke/clique/genesis.json": "config",
    "genesis/hive-smoke/genesis/genesis-empty.json": "config",
    "genesis/hive-smoke/genesis/genesis-nonempty.json": "config",
    "genesis/hive-smoke/genesis/genesis-precomp-zero-balance.json": "config",
    "poa/besu/app/genesis/geth-genesis-no-config.json": "config",
    "poa/besu/qbft-validator-contract/genesis_migrating_validator_contract.json": "config",
    "poa/besu/qbft-validator-contract/genesis_validator_contract.json": "config",
    "poa/besu/qbft-validator-contract/genesis_validator_contract_london.json": "config",
    # Forks that are not released.
    "genesis/besu-tests/genesis_amsterdam.json": "config.amsterdamTime",
    "genesis/besu/experimental.json": "config.experimentalEipsTime",
    "genesis/besu/future.json": "config.futureEipsTime",
    "poa/besu/dev/dev_amsterdam.json": "config.amsterdamTime",
    # Seals that are no RLP list.
    "genesis/openethereum-chainspec/instant_seal.json": "genesis.seal.generic",
    "genesis/openethereum-chainspec/test/constructor.json": "genesis.seal.generic",
    # The same key twice in an object, so that readers disagree.
    "genesis/openethereum-chainspec/test/berlin_test.json": "0",
    "genesis/openethereum-chainspec/test/istanbul_test.json": "0",
    "genesis/openethereum-chainspec/test/london_test.json": "0",
    "genesis/openethereum-chainspec/test/mcip3_test.json": "0x7fffffffffffff",
    # Templates: the extra data is filled in by a program.
    "poa/besu/ibft/ibft.json": "extraData",
    "poa/besu/qbft/qbft-london.json": "extraData",
    "poa/besu/qbft/qbft.json": "extraData",
    # London at block 0, Berlin at 10,000,000.
    "poa/quorum-quickstart/qbft-enhanced-genesis.json": "config",
    "poa/quorum-quickstart/qbft-standard-genesis.json": "config",
    "poa/quorum-quickstart/raft-enhanced-genesis.json": "config",
    "poa/quorum-quickstart/raft-standard-genesis.json": "config",
}
"""Files that give no chain, and the key that the reason names."""


def documents() -> dict[str, bytes]:
    """Every JSON file of the archive that describes a chain, by its path."""
    found = {}
    with tarfile.open(VECTORS / "chains.tar.xz") as archive:
        for member in archive:
            path = member.name.removeprefix("chains/")
            if not member.isfile() or Path(path).suffix not in {".json", ""}:
                continue
            file = archive.extractfile(member)
            raw = file.read() if file else b""
            try:
                document = json.loads(raw)
            except (ValueError, UnicodeDecodeError):
                continue
            if isinstance(document, dict) and {"config", "engine", "alloc"} & document.keys():
                found[path] = raw
    return found


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """Genesis hash of each file, or `key: reason` of its refusal."""
    found = {}
    for path, raw in documents().items():
        try:
            found[path] = parse_chain_spec(raw).genesis_hash.hex()
        except ChainSpecInvalid as error:
            found[path] = f"refused: {error.where}: {error.problem}"
    return found


def test_public_networks_have_their_known_genesis_hash(outcomes: dict[str, str]) -> None:
    assert {path: outcomes[path] for path in KNOWN} == KNOWN


def test_the_table_of_the_archive_is_the_one_here() -> None:
    with tarfile.open(VECTORS / "chains.tar.xz") as archive:
        file = archive.extractfile("chains/genesis/expected-genesis-hashes.json")
        assert file is not None
        expected = {value.removeprefix("0x") for value in json.loads(file.read())["hashes"].values()}
    assert expected <= set(KNOWN.values())


def test_what_is_not_read_has_a_reason_that_names_a_key(outcomes: dict[str, str]) -> None:
    refused = {path: text.split(": ")[1] for path, text in outcomes.items() if text.startswith("refused")}
    assert refused == REFUSED
    assert len(outcomes) > 100
