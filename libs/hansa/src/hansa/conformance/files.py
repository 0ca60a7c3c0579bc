"""Which files hold tests."""

from collections.abc import Iterable
from pathlib import Path


def find_test_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given, and every JSON file below the folders given; each once, sorted within a folder.

    Hidden folders (`.meta` beside filled tests) hold no tests. Raises `FileNotFoundError` for what is not there.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = (file for file in path.rglob("*.json") if not _hidden(file.relative_to(path)))
            found.update(dict.fromkeys(sorted(below)))
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(path)
    return list(found)


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
