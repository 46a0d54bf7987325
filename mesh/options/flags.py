"""The command line of a node: every nats-server flag, in Go's syntax, from the option table (spec configuration 9).

``-x v``, ``-x=v``, ``--x v`` and ``--x=v`` are all the same; a boolean takes a value only after ``=``; the first word
that is no flag ends the flags; a repeated flag counts the last time. What is asked for and answered at once (help,
version, a mistake) comes back as a :class:`FlagExit`.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gossamer.mesh.options.help import tls_text, usage
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.table import Row, rows
from gossamer.mesh.version import NATS_VERSION

#: The name in front of messages, as scripts that drive nats-server expect it.
PROGRAM = "nats-server"

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_OCTAL = re.compile("([+-]?)0([0-7_]+)")
#: Flags that are no option of a file, and their kinds.
_OWN = {
    "c": "text",
    "config": "text",
    "t": "boolean",
    "sl": "text",
    "signal": "text",
    "VV": "boolean",
    "DV": "boolean",
    "DVV": "boolean",
    "cluster": "text",
    "cluster_listen": "text",
    "h": "boolean",
    "help": "boolean",
    "v": "boolean",
    "version": "boolean",
    "help_tls": "boolean",
}
_SECRETS = ("user", "pass", "auth", "cluster", "cluster_listen", "routes")


class FlagExit(Struct, frozen=True, kw_only=True):
    """Print this and leave with ``code``."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0


class ClusterFlag(Struct, frozen=True, kw_only=True):
    """What ``--cluster`` said. ``port`` 0: there is to be no cluster."""

    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""


class Flags(Struct, frozen=True, kw_only=True):
    """What the flags say. ``values`` are by path of ``Options``, in the order in which they are to be applied;
    ``waiting`` are flags of features that are not there yet, ``off`` the options that a flag switches off."""

    config: str = ""
    check: bool = False
    signal: str | None = None
    values: dict[str, Any] = {}
    cluster: ClusterFlag | None = None
    routes: tuple[str, ...] | None = None
    waiting: tuple[tuple[str, Row], ...] = ()
    off: frozenset[str] = frozenset()
    tls: dict[str, Any] = {}


class _Refused(Exception):
    """The command line cannot be understood: usage is shown, and the exit code is 0 as in nats-server."""


def parse_flags(argv: Sequence[str]) -> Flags | FlagExit:
    """``argv`` without the program's name."""
    try:
        given, rest = _read(list(argv))
    except _Refused as error:
        return FlagExit(stdout=usage(), stderr=f"{error}\n")
    if given.get("v") or given.get("version"):
        return FlagExit(stdout=f"{PROGRAM}: v{NATS_VERSION}\n")
    if given.get("h") or given.get("help"):
        return FlagExit(stdout=usage())
    if given.get("help_tls"):
        return FlagExit(stdout=tls_text())
    if rest:
        word = rest[0].lower()
        if word == "version":
            return FlagExit(stdout=f"{PROGRAM}: v{NATS_VERSION}\n")
        if word == "help":
            return FlagExit(stdout=usage())
        return FlagExit(stderr=f"{PROGRAM}: unrecognized command: {quoted(rest[0])}\n", code=1)
    config = given.get("config", given.get("c", ""))
    if given.get("t") and not config:
        text = "must specify [-c, --config] option to check configuration file syntax"
        return FlagExit(stderr=f"{PROGRAM}: {text}\n", code=1)
    try:
        return _understood(given, config)
    except ValueError as error:
        return FlagExit(stderr=f"{PROGRAM}: {error}\n", code=1)


def redacted(argv: Sequence[str]) -> list[str]:
    """The same words with the secrets in them replaced, for whatever shows a process's arguments."""
    shown = []
    hide = False
    for word in argv:
        name, separator, _ = word.lstrip("-").partition("=")
        if hide:
            shown.append("[REDACTED]")
            hide = False
        elif word.startswith("-") and name in _SECRETS:
            shown.append(f"{word.partition('=')[0]}=[REDACTED]" if separator else word)
            hide = not separator
        else:
            shown.append(word)
    return shown


def flag_rows() -> dict[str, Row]:
    """Every flag that sets an option, with the option."""
    return {flag: row for row in rows() for flag in row.flags}


def _read(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Flag names to values, and the words after the flags. Raises _Refused in Go's words."""
    known = flag_rows()
    given: dict[str, Any] = {}
    while words:
        word = words[0]
        if len(word) < 2 or not word.startswith("-"):
            break
        words.pop(0)
        if word == "--":
            break
        name = word[2:] if word.startswith("--") else word[1:]
        if not name or name[0] in "-=":
            raise _Refused(f"bad flag syntax: {word}")
        name, separator, text = name.partition("=")
        kind = _OWN.get(name) or (_kind(known[name]) if name in known else "")
        if not kind:
            raise _Refused(f"flag provided but not defined: -{name}")
        given.pop(name, None)  # the last one counts, also for the order
        if kind == "boolean":
            given[name] = _boolean(name, text) if separator else True
            continue
        if not separator:
            if not words:
                raise _Refused(f"flag needs an argument: -{name}")
            text = words.pop(0)
        given[name] = _integer(name, text) if kind == "integer" else text
    return given, words


def _kind(row: Row) -> str:
    if row.type.name.startswith("boolean") or row.key in ("tls", "jetstream"):
        return "boolean"
    return "integer" if row.type.name in ("integer", "size") else "text"


def _boolean(name: str, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _Refused(f"invalid boolean value {quoted(text)} for -{name}: parse error")


def _integer(name: str, text: str) -> int:
    octal = _OCTAL.fullmatch(text)
    try:
        if text != text.strip() or len(text) > 40:
            raise ValueError
        value = int(octal[1] + octal[2], 8) if octal else int(text, 0)
    except ValueError:
        raise _Refused(f"invalid value {quoted(text)} for flag -{name}: parse error") from None
    if not -(2**63) <= value < 2**63:
        raise _Refused(f"invalid value {quoted(text)} for flag -{name}: value out of range")
    return value


def _understood(given: dict[str, Any], config: str) -> Flags:
    known = flag_rows()
    values: dict[str, Any] = {}
    waiting: list[tuple[str, Row]] = []
    off: set[str] = set()
    cluster: ClusterFlag | None = None
    routes: tuple[str, ...] | None = None
    tls: dict[str, Any] = {}
    for name, value in given.items():
        if name in ("VV", "DV", "DVV"):
            values["logging.trace"] = value
            if name.startswith("D"):
                values["logging.debug"] = value
            if name.endswith("VV"):
                values["logging.trace_verbose"] = value
        elif name in ("cluster", "cluster_listen"):
            cluster = _cluster(value)
        elif name == "routes":
            routes = tuple(url.strip() for url in value.split(",")) if value else ()
        elif name in known:
            row = known[name]
            if name.startswith("tls"):
                tls[name] = value
            if row.block == "tls" or row.waits_for is not None:
                if value in (False, 0, ""):
                    off.add(row.path)
                else:
                    waiting.append((name, row))
            else:
                values[row.fields[-1]] = value
    if any(value for name, value in tls.items() if name != "tls") or tls.get("tls"):
        _check_tls(tls)
    return Flags(
        config=config,
        check=bool(given.get("t")),
        signal=given.get("signal", given.get("sl")) or None,
        values=values,
        cluster=cluster,
        routes=routes,
        waiting=tuple(waiting),
        off=frozenset(off),
        tls=tls,
    )


def _check_tls(tls: dict[str, Any]) -> None:
    if not tls.get("tlscert"):
        raise ValueError("TLS Server certificate must be present and valid")
    if not tls.get("tlskey"):
        raise ValueError("TLS Server private key must be present and valid")


def _cluster(text: str) -> ClusterFlag:
    """``nats://user:pass@host:port``; raises ValueError."""
    if not text:
        return ClusterFlag()
    written = f"nats:{text}" if text.startswith("//") else text
    if "://" not in written:
        raise ValueError("missing port in address")
    try:
        parts = urlsplit(written)
        random_port = parts.netloc.endswith(":-1")
        port = -1 if random_port else parts.port
        host = parts.netloc.rpartition("@")[2].rpartition(":")[0].strip("[]") if random_port else parts.hostname
    except ValueError:
        raise ValueError(f"could not parse cluster url {quoted(text)}") from None
    if port is None:
        raise ValueError("missing port in address")
    if parts.username is not None and parts.password is None:
        raise ValueError("expected cluster password to be set")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return ClusterFlag(host=host or "", port=port, user=user, password=password)
