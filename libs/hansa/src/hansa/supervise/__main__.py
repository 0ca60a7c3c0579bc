"""`python -m hansa.supervise FOLDER`: run the plan in FOLDER."""

import sys
from pathlib import Path

from hansa.supervise.supervisor import supervise

sys.exit(supervise(Path(sys.argv[1])))
