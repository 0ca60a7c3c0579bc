"""One consortium for each shape, shared by the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.consortium import Consortium, running

SHAPES = {
    # One process per member.
    "one": (),
    # Five per member, two executors for the first.
    "split": ("--split", "--executors", "2"),
}


@pytest.fixture(scope="session", params=list(SHAPES))
def consortium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Four members under PBFT, as `hansa up` makes them."""
    folder: Path = tmp_path_factory.mktemp(f"consortium-{request.param}")
    with running(folder, "--members", "4", "--engine", "pbft", *SHAPES[request.param]) as started:
        yield started
