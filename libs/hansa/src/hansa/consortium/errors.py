"""What can go wrong with a local consortium."""

from hansa.errors import Explained


class ConsortiumError(Explained):
    """Something a person has to look at: `problem`, and what to do about it."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem + (f"\n  fix: {remedy}" if remedy else ""))
        self.problem = problem
        self.remedy = remedy
