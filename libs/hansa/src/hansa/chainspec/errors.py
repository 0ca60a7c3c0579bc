"""What can be wrong with a chain spec."""

from hansa.errors import Explained


class ChainSpecInvalid(Explained, ValueError):
    """A chain spec is refused: `where` (a key such as `config.hansa.consensus.engine`) and `problem`, with the remedy."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"chain spec: {where}: {problem}" if where else f"chain spec: {problem}")
        self.where = where
        self.problem = problem
