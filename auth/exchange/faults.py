"""What is wrong with a rules file."""

from msgspec import Struct


class Fault(Struct, frozen=True):
    """What is wrong, where (``file:line``), and what to do."""

    place: str
    text: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.text}; {self.remedy}"


class RulesError(Exception):
    """A rules file that cannot be used; ``faults`` has everything that is wrong with it, in the order of its lines."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """At least one fault."""
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults
