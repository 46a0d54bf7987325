"""What a configuration's faults look like on a terminal: ``-t`` and a refused start as nats-server prints them, and
``gossamer check`` with everything at once, places and suggestions (spec configuration section 1).
"""

from collections.abc import Mapping, Sequence

from gossamer.mesh.options.flags import PROGRAM, FlagExit, Flags
from gossamer.mesh.options.language.faults import Fault
from gossamer.mesh.options.language.reading import Reader, read_from_disk
from gossamer.mesh.options.loading import Loaded, assess

_USAGE = "Usage: gossamer check FILE...\n\nSay all that is wrong with configuration files, each with its place.\n"


def verdict(loaded: Loaded, path: str) -> FlagExit:
    """The answer to ``-t``. Warnings fail; what only a start would find does not. Hints come after nats-server's
    lines."""
    found = _early(loaded)
    if not found:
        text = f"{PROGRAM}: configuration file {path} is valid ({loaded.digest})\n"
        return FlagExit(stderr=text)
    lines = [fault.text for fault in found]
    return FlagExit(stderr=_printed(lines, loaded) + "".join(_hints(found)), code=1)


def refusal(loaded: Loaded) -> FlagExit | None:
    """What a node that cannot start prints; None if it can. Warnings are printed by ``warning_text`` in that case."""
    if not loaded.faults:
        return None
    found = _early(loaded)
    if any(not fault.warning for fault in found):
        return FlagExit(stderr=_printed([fault.text for fault in found], loaded) + "".join(_hints(found)), code=1)
    late = next(fault for fault in loaded.faults)
    return FlagExit(stderr=f"{warning_text(loaded)}{PROGRAM}: {late.text}\n", code=1)


def warning_text(loaded: Loaded) -> str:
    """The lines a starting node prints to standard error before it goes on."""
    return "".join(f"{fault.text}\n" for fault in loaded.warnings)


def check(
    argv: Sequence[str], *, reader: Reader = read_from_disk, environment: Mapping[str, str] | None = None
) -> FlagExit:
    """``gossamer check FILE...``: every fault of every file, what a start would find included. The exit code is 1 if
    there is a fault or a warning, as with ``-t``."""
    files = [word for word in argv if not word.startswith("-")]
    if not files or len(files) != len(argv):
        help_wanted = any(word in ("-h", "--help", "-help") for word in argv)
        return FlagExit(stdout=_USAGE) if help_wanted else FlagExit(stderr=_USAGE, code=2)
    pieces = []
    code = 0
    for path in files:
        loaded = assess(Flags(config=path), reader=reader, environment=environment)
        pieces.append(report(loaded, path))
        if loaded.faults or loaded.warnings:
            code = 1
    return FlagExit(stdout="".join(pieces), code=code)


def report(loaded: Loaded, path: str) -> str:
    """All faults and warnings of a file in the order of their places, each with its suggestion, and a last line."""
    found = sorted((*loaded.faults, *loaded.warnings), key=lambda fault: _order(fault, path))
    lines = []
    for fault in found:
        lines.append(_with_place(fault, path))
        if fault.suggestion:
            lines.append(f"    {fault.suggestion}")
    if not found:
        lines.append(f"{path}: valid ({loaded.digest})")
    else:
        counts = (_count(len(loaded.faults), "fault"), _count(len(loaded.warnings), "warning"))
        lines.append(f"{path}: {', '.join(count for count in counts if count)}")
    return "\n".join(lines) + "\n"


def _early(loaded: Loaded) -> list[Fault]:
    return [*loaded.warnings, *(fault for fault in loaded.faults if not fault.at_start)]


def _printed(lines: list[str], loaded: Loaded) -> str:
    """Collected faults end with an empty line in nats-server; a file that cannot be read at all has no such."""
    return f"{PROGRAM}: " + "\n".join(lines) + ("\n\n" if loaded.digest else "\n")


def _hints(found: list[Fault]) -> list[str]:
    return [f"hint: {fault.place}: {fault.suggestion}\n" for fault in found if fault.suggestion]


def _order(fault: Fault, path: str) -> tuple[bool, str, int, int]:
    if fault.place is None:
        return True, "", 0, 0
    return fault.place.file != path, fault.place.file, fault.place.line, fault.place.column


def _with_place(fault: Fault, path: str) -> str:
    kind = "warning: " if fault.warning else ""
    if fault.place is None:
        return f"{path}: {kind}{fault.text}"
    place = str(fault.place)
    text = fault.text.removeprefix(f"{place}: ")
    return f"{place}: {kind}{text}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}" if number else ""
