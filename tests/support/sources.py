"""Reads the tree as text and syntax for the tests of the house's own rules."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists())


def python_files(folder: Path) -> list[Path]:
    """Python sources below `folder`, without generated stubs."""
    generated = ROOT / "libs" / "hansa" / "src" / "hansa" / "v1"
    return sorted(path for path in folder.rglob("*.py") if generated not in path.parents)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import in a file."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def place(path: Path, line: int) -> str:
    """`file:line` relative to the root."""
    return f"{path.relative_to(ROOT)}:{line}"
