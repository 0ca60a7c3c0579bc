"""Check that every dependency that ships with Hansa has a licence we may distribute under Apache-2.0."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

ALLOWED = re.compile(
    r"apache|\bmit\b|bsd|isc|unlicense|cc0|zlib|mpl-2\.0|mozilla public license 2\.0|psf|python software|unicode|0bsd|public domain",
    re.IGNORECASE,
)
"""Permissive licences, and MPL-2.0 (file-level copyleft, unmodified)."""


def python_licences() -> dict[str, str]:
    """Licence text of every package that the workspace needs at run time."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    wanted, seen = [name for name in packages if name.startswith("hansa") and name != "hansa-workspace"], set()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            wanted += [dependency["name"] for dependency in packages[name].get("dependencies", [])]
    found = {}
    for name in sorted(seen):
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        classifiers = [value for value in metadata.get_all("Classifier") or [] if value.startswith("License")]
        found[name] = (
            metadata.get("License-Expression") or "; ".join(classifiers) or (metadata.get("License") or "")[:80]
        )
    return found


def rust_licences() -> dict[str, str]:
    """Licence expression of every crate in the kernel's lock."""
    done = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"], cwd=ROOT / "kernel", capture_output=True, check=True
    )
    return {
        package["name"]: package["license"] or package["license_file"] or ""
        for package in json.loads(done.stdout)["packages"]
    }


def main() -> int:
    """Print those that are not allowed; status 1 if there are any."""
    found = {
        **{f"python {k}": v for k, v in python_licences().items()},
        **{f"rust {k}": v for k, v in rust_licences().items()},
    }
    wrong = {name: licence for name, licence in found.items() if not ALLOWED.search(licence)}
    for name, licence in sorted(wrong.items()):
        sys.stderr.write(f"{name}: {licence or 'no licence stated'}\n")
    sys.stdout.write(f"{len(found) - len(wrong)} of {len(found)} dependencies have an allowed licence\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
