"""What can go wrong in a command, as one line with a remedy, and the exit code that belongs to it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (spec operator-cli section 10.3); they never change their meaning."""

    OK = 0
    FAILURE = 1
    PLAN_HAS_CHANGES = 2
    DRIFT = 3
    EXPIRY_DUE = 4
    INVALID = 5
    PARTIAL_PUSH = 6
    SIGNER_UNAVAILABLE = 7
    USAGE = 64


class Failure(Exception):
    """A command cannot do what it was asked; nothing has been written.

    ``code`` is a stable word for programs, ``message`` says what is wrong, ``hint`` names the remedy and ``path`` the
    file or object concerned. Shown as one line, never with a stack trace.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "failed",
        hint: str = "",
        path: str = "",
        exit_code: ExitCode = ExitCode.FAILURE,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.path = path
        self.exit_code = exit_code

    def line(self) -> str:
        """Everything a person needs, on one line."""
        text = self.message if not self.hint else f"{self.message} - {self.hint}"
        return " ".join(text.split())


def from_os_error(error: OSError, action: str, path: object, remedy: str) -> Failure:
    """Turn an operating system error into a failure: ``cannot ACTION PATH: REASON - REMEDY``."""
    reason = error.strerror or str(error)
    return Failure(f"cannot {action} {path}: {reason}", code="storage", hint=remedy, path=str(path))


def usage(message: str, hint: str = "") -> Failure:
    """The command line itself makes no sense: exit code 64."""
    return Failure(message, code="usage", hint=hint, exit_code=ExitCode.USAGE)


def not_available(feature: str) -> Failure:
    """A feature that a later version brings."""
    return Failure(f"{feature} is not available yet", code="not-available")
