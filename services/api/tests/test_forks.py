"""The fork schedule's names and hashes."""

import dataclasses

from hansa_api.forks import chain_config, fork_hash


class _Chain:
    """Just what the fork hash reads."""

    def __init__(self, genesis_hash: str, header: bytes) -> None:
        self.genesis_hash = bytes.fromhex(genesis_hash)
        self.genesis_header = header


MAINNET = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
HEIGHTS = {
    "homesteadBlock": 1_150_000,
    "daoForkBlock": 1_920_000,
    "eip150Block": 2_463_000,
    "eip155Block": 2_675_000,
    "eip158Block": 2_675_000,
    "byzantiumBlock": 4_370_000,
    "constantinopleBlock": 7_280_000,
    "petersburgBlock": 7_280_000,
    "istanbulBlock": 9_069_000,
    "muirGlacierBlock": 9_200_000,
    "berlinBlock": 12_244_000,
    "londonBlock": 12_965_000,
    "arrowGlacierBlock": 13_773_000,
    "grayGlacierBlock": 15_050_000,
}
TIMES = {"shanghaiTime": 1_681_338_455, "cancunTime": 1_710_338_135, "pragueTime": 1_746_612_311}


def test_fork_hashes_are_mainnets(node: object) -> None:
    """Published values: EIP-2124 for the first, EIP-7910's example for the last."""
    header = node.chain.genesis_header  # type: ignore[attr-defined]  # any with an early timestamp
    chain = _Chain(MAINNET, header)
    assert fork_hash(chain, {}, 0).hex() == "fc64ec04"  # type: ignore[arg-type]
    assert fork_hash(chain, {"homesteadBlock": 1_150_000}, 0).hex() == "97c2c34c"  # type: ignore[arg-type]
    config = {**HEIGHTS, **TIMES}
    assert fork_hash(chain, config, TIMES["cancunTime"]).hex() == "9f3d2254"  # type: ignore[arg-type]
    assert fork_hash(chain, config, TIMES["pragueTime"]).hex() == "c376cf8b"  # type: ignore[arg-type]


def test_next_and_last_fork_are_told_before_they_come(node: object) -> None:
    chain = node.chain  # type: ignore[attr-defined]
    now = chain_config(chain, 1)
    assert (now["current"]["activationTime"], now["next"], now["last"]) == (0, None, None)
    assert "P256VERIFY" in now["current"]["precompiles"]
    later = chain.raw.replace(b'"osakaTime": 0', b'"osakaTime": 4000000000')
    found = chain_config(dataclasses.replace(chain, raw=later), 1)
    assert "P256VERIFY" not in found["current"]["precompiles"]
    assert found["next"] == found["last"]
    assert found["next"]["activationTime"] == 4_000_000_000
