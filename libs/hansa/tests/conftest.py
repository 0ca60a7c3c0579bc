"""Keys and chain specs that tests start from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hansa.chainspec import ChainSpec, GenesisChoices, Validator, new_chain_spec
from hansa.chainspec.commitment import commitment
from hansa.keys import new_member_keys, validator_of

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="session")
def validators(tmp_path_factory: pytest.TempPathFactory) -> tuple[Validator, ...]:
    """Four members with real keys."""
    folder = tmp_path_factory.mktemp("keys")
    names = [f"member{number}" for number in range(1, 5)]
    return tuple(
        validator_of(new_member_keys(folder / name, name, light=True), name, f"127.0.0.1:{30303 + 100 * index}")
        for index, name in enumerate(names)
    )


@pytest.fixture(scope="session")
def spec_file(validators: tuple[Validator, ...]) -> bytes:
    """A valid chain spec of four members under PBFT."""
    return new_chain_spec(GenesisChoices(validators=validators, timestamp=1_700_000_000))[0]


@pytest.fixture
def changed(spec_file: bytes) -> Callable[[Change], bytes]:
    """The chain spec with something changed, and a commitment that fits the change."""

    def change(how: Change) -> bytes:
        document = json.loads(spec_file)
        how(document)
        if isinstance(document.get("config"), dict) and document["extraData"] == json.loads(spec_file)["extraData"]:
            document["extraData"] = "0x" + commitment(document["config"], 1_700_000_000).hex()
        return json.dumps(document).encode()

    return change


@pytest.fixture
def chain(validators: tuple[Validator, ...]) -> ChainSpec:
    """A chain with funded test accounts."""
    return new_chain_spec(GenesisChoices(validators=validators, test_accounts=True, timestamp=1_700_000_000))[1]


@pytest.fixture
def keys_folder(tmp_path: Path) -> Path:
    """A member's keys, protected as a test profile takes it."""
    new_member_keys(tmp_path / "keys", "member1", light=True)
    return tmp_path / "keys"
