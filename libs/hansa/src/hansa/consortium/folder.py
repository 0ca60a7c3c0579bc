"""The folder of a local consortium.

chain.json           chain spec, the same for all members
consortium.json      how it was made
<member>/config.toml settings; keys/ its keys; data/ its data
logs/<process>.log   output of each process
run/                 the supervisor's plan, state and lock
"""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from hansa.consortium.errors import ConsortiumError
from hansa.supervise.plan import Folder as RunFolder

DEFAULT: Final = Path(".hansa/local")

HOST: Final = "127.0.0.1"
"""Where all members of a local consortium listen."""

VERSION: Final = 1
"""Layout of the folder; a newer one is refused."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a consortium was made, and how it runs."""

    members: tuple[str, ...]
    engine: str
    split: bool
    executors: int  # of the first member
    ports: dict[str, dict[str, int]]  # member -> slot -> port
    chain_id: int
    base: int | None = None  # first port that was asked for; None: the default ports


class ConsortiumFolder:
    """Paths and the record of a consortium."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.chain_spec = self.root / "chain.json"
        self.record = self.root / "consortium.json"
        self.logs = self.root / "logs"
        self.run = RunFolder(self.root / "run")

    def member(self, name: str) -> Path:
        """Folder of one member."""
        return self.root / name

    def config(self, name: str) -> Path:
        """Settings of one member."""
        return self.member(name) / "config.toml"

    def exists(self) -> bool:
        """Whether a consortium was made here (to the end)."""
        return self.record.exists()

    def read(self) -> Shape:
        """Raises `ConsortiumError` when there is none, or a newer or damaged one."""
        try:
            document: dict[str, Any] = orjson.loads(self.record.read_bytes())
        except FileNotFoundError:
            raise ConsortiumError(f"there is no consortium in {self.root}", "start one with: hansa up") from None
        except (OSError, orjson.JSONDecodeError) as error:
            raise ConsortiumError(f"{self.record} cannot be read: {error}", "start over: hansa down --wipe") from error
        if document.pop("version", None) != VERSION:
            raise ConsortiumError(
                f"{self.record} is of another version of Hansa", "use that version, or another --data"
            )
        try:
            return Shape(**{**document, "members": tuple(document["members"])})
        except (TypeError, KeyError) as error:
            raise ConsortiumError(f"{self.record} is damaged", "start over: hansa down --wipe") from error

    def write(self, shape: Shape) -> None:
        """Write the record; it is the last file that is made, so its presence says that all others are there."""
        draft = self.record.with_suffix(".draft")
        with draft.open("wb") as file:
            file.write(orjson.dumps({"version": VERSION, **asdict(shape)}, option=orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.record)
