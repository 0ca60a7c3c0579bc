"""Names that tools need without loading what services are made of."""

from typing import Final

START_ORDER: Final = ("statedb", "executor", "p2p", "consensus", "api")
"""Services of a member; each may need those before it."""

EXIT_FAILED: Final = 70
"""Exit status when a service failed while running (EX_SOFTWARE)."""

EXIT_REFUSED: Final = 78
"""Exit status when a start is refused: nothing will change until somebody does something (EX_CONFIG)."""
