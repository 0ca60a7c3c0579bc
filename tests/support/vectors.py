"""Where the public test data lies: `HANSA_VECTORS`, by default `../shared/vectors` beside the repository."""

import os
from pathlib import Path

import pytest

from support.sources import ROOT

VECTORS = Path(os.environ.get("HANSA_VECTORS") or ROOT.parent / "shared" / "vectors")

needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason=f"public test data is absent: no folder {VECTORS} (set HANSA_VECTORS)"
)
