"""One chain, imported and served once, for the tests that only ask it."""

from collections.abc import Iterator

import pytest
from support.chains import EXECUTION_APIS
from support.rpc_cases import imported_and_served


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the chain of the execution-apis tests is served: 54 blocks from Homestead to Osaka."""
    folder = tmp_path_factory.mktemp("served")
    genesis, blocks = EXECUTION_APIS.unpacked(folder)
    with imported_and_served(genesis, blocks, folder / "data") as found:
        yield found
