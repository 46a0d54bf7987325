"""Where the secret that unlocks things comes from: a descriptor, a file, a variable, or a person who was asked for.

Never the command line itself: everybody on a machine can read that (spec operator-cli sections 10.1 and 10.6).
"""

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from gossamer.auth.keys import NkeyError, decode_seed
from gossamer.operator.failure import Failure, from_os_error, usage
from gossamer.operator.store.changes import existing_file

PASSPHRASE_VARIABLE = "GOSSAMER_PASSPHRASE"
PASSPHRASE_FILE_VARIABLE = "GOSSAMER_PASSPHRASE_FILE"
IDENTITY_FILE_VARIABLE = "GOSSAMER_IDENTITY_FILE"
SECRET_BYTES_MAX = 64 * 1024

_read_descriptors: dict[int, bytes] = {}


class Unlocking(Struct, frozen=True, kw_only=True):
    """The flags about secrets; empty or -1: not given."""

    passphrase_fd: int = -1
    passphrase_file: str = ""
    passphrase_variable: str = ""
    identity_file: str = ""
    seed_fd: int = -1
    seed_variable: str = ""
    interactive: bool = False

    def passphrase(self, environment: Mapping[str, str], *, asked: str = "", confirm: bool = False) -> bytes:
        """The passphrase; empty if none was given. ``asked``: what to call it when a person may be asked.

        Raises Failure when the place that was named holds none.
        """
        given = self.flagged_passphrase(environment)
        if given:
            return given
        if environment.get(PASSPHRASE_FILE_VARIABLE):
            return secret_file(environment[PASSPHRASE_FILE_VARIABLE], "passphrase")
        if environment.get(PASSPHRASE_VARIABLE):
            return environment[PASSPHRASE_VARIABLE].encode()
        if self.interactive and asked:
            return _ask(asked, confirm)
        return b""

    def flagged_passphrase(self, environment: Mapping[str, str]) -> bytes:
        """The passphrase that a flag names; empty without a flag. Raises Failure when there is none."""
        if self.passphrase_fd >= 0:
            return secret_descriptor(self.passphrase_fd, "passphrase")
        if self.passphrase_file:
            return secret_file(self.passphrase_file, "passphrase")
        if self.passphrase_variable:
            return _variable(self.passphrase_variable, environment, "passphrase")
        return b""

    def identity(self, environment: Mapping[str, str]) -> str:
        """The seed of the recipient that we are; empty if none was named. Raises Failure."""
        path = self.identity_file or environment.get(IDENTITY_FILE_VARIABLE, "")
        return secret_file(path, "seed of an X key").decode("ascii", "replace") if path else ""

    def seeds(self, environment: Mapping[str, str]) -> list[str]:
        """Seeds that were handed in for this command alone, separated by white space. Raises Failure for other text."""
        content = b""
        if self.seed_fd >= 0:
            content += secret_descriptor(self.seed_fd, "seed")
        if self.seed_variable:
            content += b"\n" + _variable(self.seed_variable, environment, "seed")
        found = content.decode("ascii", "replace").split()
        for text in found:
            try:
                decode_seed(text)
            except NkeyError:
                raise Failure(
                    "what was handed in as a seed is none", code="bad-key", hint="give SO..., SA..."
                ) from None
        return found


def secret_descriptor(descriptor: int, what: str) -> bytes:
    """The content of an open descriptor, read once however often it is asked for. Raises Failure."""
    if descriptor not in _read_descriptors:
        content = b""
        try:
            while len(content) <= SECRET_BYTES_MAX and (piece := os.read(descriptor, SECRET_BYTES_MAX)):
                content += piece
        except OSError as error:
            raise from_os_error(error, "read descriptor", descriptor, f"open it for reading the {what}") from None
        _read_descriptors[descriptor] = _checked(content, what, f"descriptor {descriptor}")
    return _read_descriptors[descriptor]


def forget_descriptors() -> None:
    """Forget what was read: the command has ended, and the numbers may be used again."""
    _read_descriptors.clear()


def secret_file(path: str, what: str) -> bytes:
    """The content of a file without its line's end. Raises Failure."""
    if existing_file(path) is None:
        raise Failure(f"there is no file {path} with a {what}", code="not-found", hint="name another one", path=path)
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise from_os_error(error, "read", path, "check its owner and mode") from None
    return _checked(content, what, path)


def _variable(name: str, environment: Mapping[str, str], what: str) -> bytes:
    if name not in environment:
        raise Failure(f"the variable {name} is not set", code="no-secret", hint=f"put the {what} into it")
    return _checked(environment[name].encode(), what, f"variable {name}")


def _checked(content: bytes, what: str, place: str) -> bytes:
    content = content.rstrip(b"\r\n")
    if not content or len(content) > SECRET_BYTES_MAX:
        raise Failure(f"{place} holds no {what}", code="no-secret", hint="it is empty or far too long")
    return content


def _ask(asked: str, confirm: bool) -> bytes:
    if not sys.stdin or not sys.stdin.isatty():
        raise usage("there is no terminal to ask on", "leave --interactive out and name a --passphrase-file")
    try:
        first = getpass.getpass(f"{asked}: ")
        if confirm and getpass.getpass(f"{asked}, again: ") != first:
            raise Failure("the two passphrases differ", code="no-secret", hint="try again")
    except EOFError:
        raise Failure("no passphrase was typed", code="no-secret", hint="try again") from None
    return first.encode()
