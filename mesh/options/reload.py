"""A reload as a value: what differs between two configurations, and may a running node take it over
(spec configuration section 10). Applying is the node's job.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct

from gossamer.auth.settings import AuthSettings, UserSettings
from gossamer.mesh.options.options import (
    ClusterOptions,
    GatewayOptions,
    LameDuckOptions,
    LeafNodeOptions,
    LeafRemoteOptions,
    LimitOptions,
    LoggingOptions,
    MonitorOptions,
    Options,
)
from gossamer.mesh.options.table import Reload, rows_by_field
from gossamer.mesh.options.units import format_duration

_GROUPS = (LimitOptions, LameDuckOptions, MonitorOptions, LoggingOptions, AuthSettings, ClusterOptions)
_ABOUT_THE_FILE = ("config_file", "config_digest")
# Where nats-server's name for an option is not that of the row: a field that several rows set.
_NAMES = {
    "host": "Host",
    "monitor.host": "HTTPHost",
    "cluster.host": "cluster host",
    "authorization.user": "Username",
    "store_dir": "StoreDir",
}
# The words of the log line; what is not listed is called by the last part of its path.
_LOGGED = {
    "server_tags": "tags",
    "server_metadata": "metadata",
    "authorization.user": "authorization username",
    "authorization.password": "authorization password",
    "authorization.token": "authorization token",
    "authorization.timeout_ns": "authorization timeout",
    "authorization.users": "authorization users",
    "authorization.accounts": "accounts",
    "cluster.routes": "cluster routes",
    "leafnodes.remotes": "LeafNode Remotes",
}
#: They follow what is said of clients.
_FOLLOWING_TIMERS = frozenset({"ping_interval_ns", "ping_max", "write_deadline_ns"})
_LOGGED_ALONE = frozenset(
    {
        "tags",
        "metadata",
        "authorization username",
        "authorization password",
        "authorization token",
        "authorization users",
        "accounts",
        "cluster routes",
        "cluster",
        "LeafNode Remotes",
    }
)


class Change(Struct, frozen=True, kw_only=True):
    """One field that differs. ``path`` is that in ``Options``; ``name`` what a refusal calls it; ``refusal`` is empty
    if a running node can take the change over, else the whole text of why it cannot."""

    path: str
    name: str
    old: Any
    new: Any
    refusal: str = ""

    @property
    def reloadable(self) -> bool:
        """May a running node take it over?"""
        return not self.refusal


def difference(old: Options, new: Options) -> tuple[Change, ...]:
    """All fields that differ, in the order of the Struct. The file's own name and digest are no options."""
    return tuple(_changes(old, new))


def refusal(changes: Sequence[Change]) -> str:
    """The text of the first change that cannot be taken over, or nothing. One such and nothing is to be applied."""
    return next((change.refusal for change in changes if change.refusal), "")


def log_lines(changes: Sequence[Change]) -> Iterator[str]:
    """What nats-server logs once the changes are applied, a line each; accounts and users are always named."""
    seen = set()
    for change in changes:
        words = _logged(change)
        if words not in seen:
            seen.add(words)
            yield words
    for always in ("Reloaded: accounts", "Reloaded: authorization users"):
        if always not in seen:
            yield always


def _changes(old: Options, new: Options) -> Iterator[Change]:
    for name in Options.__struct_fields__:
        if name in _ABOUT_THE_FILE:
            continue
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if isinstance(before, _GROUPS) and isinstance(after, _GROUPS):
            for part in before.__struct_fields__:
                one, other = getattr(before, part), getattr(after, part)
                if one != other:
                    yield _change(f"{name}.{part}", one, other, old, new)
        elif name == "gateway":
            text = _gateway_refusal(before, after)
            if text:
                yield Change(path=name, name="Gateway", old=before, new=after, refusal=text)
        elif name == "leafnodes":
            yield from _leafnode_changes(before or LeafNodeOptions(), after or LeafNodeOptions())
        elif name == "cluster":
            one, other = (each.host if each is not None else "" for each in (before, after))
            text = f"config reload not supported for cluster host: old={one}, new={other}"
            yield Change(path=name, name="cluster host", old=before, new=after, refusal=text)
        else:
            yield _change(name, before, after, old, new)


def _gateway_refusal(old: GatewayOptions | None, new: GatewayOptions | None) -> str:
    """Nothing of it can be changed; its timers stay as they were."""
    if old is None or new is None:
        return f"config reload not supported for Gateway: {_both('', _name_of(old), _name_of(new))}"
    for part in GatewayOptions.__struct_fields__:
        one, other = getattr(old, part), getattr(new, part)
        if one != other and part not in _FOLLOWING_TIMERS:
            told = part.removesuffix("_ns")
            shown = "" if part in ("password", "gateways") else f": {_both(f'gateway.{part}', one, other)}"
            return f'config reload not supported for Gateway: field "{told}"{shown}'
    return ""


def _name_of(options: GatewayOptions | None) -> str:
    return options.name if options is not None else ""


def _leafnode_changes(old: LeafNodeOptions, new: LeafNodeOptions) -> Iterator[Change]:
    """Remotes may come and go, be disabled and enabled, and compress otherwise; so may the listener."""
    for part in LeafNodeOptions.__struct_fields__:
        one, other = getattr(old, part), getattr(new, part)
        if one == other or part in _FOLLOWING_TIMERS:
            continue
        path, text = f"leafnodes.{part}", ""
        if part == "remotes":
            text = _remotes_refusal(one, other)
        elif part != "compression":
            told = part.removesuffix("_ns")
            text = f'config reload not supported for LeafNode: field "{told}": {_both(path, one, other)}'
        yield Change(path=path, name="LeafNode", old=one, new=other, refusal=text)


def _remotes_refusal(old: tuple[LeafRemoteOptions, ...], new: tuple[LeafRemoteOptions, ...]) -> str:
    before = {each.identity: each for each in old}
    for remote in new:
        known = before.get(remote.identity)
        for part in LeafRemoteOptions.__struct_fields__ if known is not None else ():
            one, other = getattr(known, part), getattr(remote, part)
            if one != other and part not in ("disabled", "compression"):
                told = part.removesuffix("_ns")
                return (
                    f"config reload not supported for LeafNode: remote {remote.label}: "
                    f'field "{told}": {_both(part, one, other)}'
                )
    return ""


def _change(path: str, one: Any, other: Any, old: Options, new: Options) -> Change:
    row = rows_by_field().get(path)
    name = _NAMES.get(path) or (row.name if row is not None else "") or path.rpartition(".")[2]
    text = ""
    if path == "authorization.resolver":
        if one is None or other is None:
            text = "config reload does not support moving to or from an account resolver"
    elif path == "authorization.no_auth_user":
        if not _went_with_its_user(old, new):
            text = _unsupported(name, path, one, other)
    elif row is not None and row.reload is Reload.NO:
        text = _unsupported(name, path, one, other)
    return Change(path=path, name=name, old=one, new=other, refusal=text)


def _went_with_its_user(old: Options, new: Options) -> bool:
    """``no_auth_user`` may only be removed, together with the user it named."""
    name = old.authorization.no_auth_user
    users: tuple[UserSettings, ...] = new.authorization.users
    return bool(name) and not new.authorization.no_auth_user and all(name not in (u.name, u.nkey) for u in users)


def _unsupported(name: str, path: str, one: Any, other: Any) -> str:
    return f"config reload not supported for {name}: {_both(path, one, other)}"


def _both(path: str, one: Any, other: Any) -> str:
    return f"old={_shown(path, one)}, new={_shown(path, other)}"


def _logged(change: Change) -> str:
    if change.path.startswith("cluster.") and change.path not in _LOGGED:
        return "Reloaded: cluster"
    words = _LOGGED.get(change.path) or change.path.rpartition(".")[2].removesuffix("_ns")
    if change.path == "client_advertise":
        return f"Reload: client_advertise = {change.new}"
    if words == "no_fast_producer_stall":
        return f"Reloaded: fast producers will {'not ' if change.new else ''}be stalled"
    if words in _LOGGED_ALONE:
        return f"Reloaded: {words}"
    if change.path == "authorization.timeout_ns":
        return f"Reloaded: {words} = {change.new / 1e9:g}"
    return f"Reloaded: {words} = {_shown(change.path, change.new)}"


def _shown(path: str, value: Any) -> str:
    """As Go's ``%v``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if path.endswith("_ns"):
        return format_duration(value)
    if isinstance(value, tuple):
        return "[" + " ".join(_shown("", each) for each in value) + "]"
    return str(value)
