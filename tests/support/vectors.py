"""Where the public test data lies: `HANSA_VECTORS`, by default `../shared/vectors` beside the repository."""

import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest

from support.sources import ROOT

VECTORS = Path(os.environ.get("HANSA_VECTORS") or ROOT.parent / "shared" / "vectors")

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason=f"public test data is absent: no folder {VECTORS} (set HANSA_VECTORS)"
)


def unpacked(name: str) -> Path:
    """The folder of an archive, unpacked once into the temporary folder (Rust tests share it)."""
    archive = VECTORS / f"{name}.tar.xz"
    target = Path(tempfile.gettempdir()) / f"hansa-vectors-{name}-{archive.stat().st_size}"
    if not (target / "done").exists():
        partial = target.with_name(f"{target.name}-{os.getpid()}")
        partial.mkdir(parents=True)
        with tarfile.open(archive) as tar:
            tar.extractall(partial, filter="data")
        (partial / "done").touch()
        try:
            partial.rename(target)
        except OSError:  # another run was faster
            shutil.rmtree(partial)
    return target / name
