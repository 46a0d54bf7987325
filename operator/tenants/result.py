"""What an operation on tenants has done: lines for people, warnings for both, and whether anything changed."""

from msgspec import Struct, field

from gossamer.operator.output.document import Remark


class Outcome(Struct, kw_only=True):
    """``created`` and ``changed`` are both False when everything was so already."""

    created: bool = False
    changed: bool = False
    done: list[str] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)

    def note(self, line: str) -> None:
        """Say what was done."""
        self.done.append(line)

    def warn(self, code: str, message: str, hint: str = "") -> None:
        """Say what people should look at."""
        self.warnings.append(Remark(code=code, message=message, hint=hint))

    def include(self, other: "Outcome") -> None:
        """Take over the lines of a part of the work."""
        self.created = self.created or other.created
        self.changed = self.changed or other.changed
        self.done.extend(other.done)
        self.warnings.extend(other.warnings)
