"""What can be wrong with keys."""

from pathlib import Path

from hansa.errors import Explained


class KeysInvalid(Explained):
    """A key file is refused: `path`, what is wrong with it, and what to do."""

    def __init__(self, path: Path | str, problem: str, remedy: str = "") -> None:
        super().__init__(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))
        self.path = Path(path)
        self.problem = problem
        self.remedy = remedy
