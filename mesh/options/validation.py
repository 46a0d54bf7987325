"""What only shows when everything is put together: checked when a node starts, not by ``-t`` (spec configuration 8)."""

import re
from collections.abc import Iterator

from gossamer.auth.settings import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, AuthSettings
from gossamer.mesh.options.language.faults import Fault, Place, quoted
from gossamer.mesh.options.options import ClusterOptions, LeafNodeOptions, Options
from gossamer.mesh.options.rows.identity import STREAM_FLAGS
from gossamer.mesh.options.units import format_duration
from gossamer.mesh.version import NATS_VERSION

_HASHED = re.compile(r"\$2[abxy]\$[0-9]{2}\$")
_DISCOURAGED_PAYLOAD = 8 * 1024 * 1024
_UNLIMITED_PAYLOAD = 2**31 - 1
_PORT_MAX = 65535
_OPERATORS = "authorization.operators"
# What a text about operator mode is about, by words in it.
_PATHS = {
    "no_auth_user": "authorization.no_auth_user",
    "Accounts to be configured": "authorization.accounts",
    "users to be configured": "authorization.users",
    "TrustedKeys": "authorization.trusted_keys",
    "preload": "authorization.resolver_preload",
    "pinned account": "authorization.resolver_pinned_accounts",
    "sentinel": "authorization.default_sentinel",
    "system_account": "authorization.system_account",
    "nats based account resolver": "authorization.resolver",
}


def validate(options: Options, places: dict[str, Place]) -> Iterator[Fault]:
    """Faults in the order in which nats-server looks for them; it stops at the first. Their text has no position, as
    there; the place is where the value concerned was given."""
    for path, text in _problems(options):
        yield Fault(text=text, place=places.get(path), at_start=True)


def notices(options: Options) -> Iterator[str]:
    """What a starting node should say aloud about its configuration."""
    settings = options.authorization
    passwords = [settings.password, settings.token, *(user.password for user in settings.users)]
    if options.cluster is not None:
        passwords.append(options.cluster.password)
    if options.leafnodes is not None:
        passwords += [options.leafnodes.password, *(user.password for user in options.leafnodes.users)]
    if any(password and not _HASHED.match(password) for password in passwords):
        yield "Plaintext passwords detected, use nkeys or bcrypt"
    if options.limits.max_payload > _DISCOURAGED_PAYLOAD:
        yield "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"
    for name, value in options.feature_flags:
        if name not in STREAM_FLAGS:
            yield f"Unsupported feature flag {quoted(name)} = {'true' if value else 'false'}"
    if options.cluster is not None and not options.cluster.name:
        yield "Cluster name was dynamically generated, consider setting one"


def _problems(options: Options) -> Iterator[tuple[str, str]]:
    lame_duck, limits = options.lame_duck, options.limits
    if lame_duck.grace_period_ns >= lame_duck.duration_ns:
        grace, duration = format_duration(lame_duck.grace_period_ns), format_duration(lame_duck.duration_ns)
        text = f"lame duck grace period ({grace}) should be strictly lower than lame duck duration ({duration})"
        yield "lame_duck.grace_period_ns", text
    if limits.max_pending < limits.max_payload != _UNLIMITED_PAYLOAD:
        text = f"max_payload ({limits.max_payload}) cannot be higher than max_pending ({limits.max_pending})"
        yield "limits.max_payload", text
    if " " in options.server_name:
        yield "server_name", "server name cannot contain spaces"
    if options.cluster is not None:
        yield from _cluster(options.cluster, options.authorization)
    for path, port in (
        ("port", options.port),
        ("monitor.port", options.monitor.port),
        ("cluster.port", options.cluster.port if options.cluster is not None else 0),
        ("gateway.port", options.gateway.port if options.gateway is not None else 0),
        ("leafnodes.port", options.leafnodes.port if options.leafnodes is not None else 0),
    ):
        if not -1 <= port <= _PORT_MAX:
            yield path, f"invalid port {port}: a port is 1 to {_PORT_MAX}, or -1 for a free one"
    yield from _trust(options.authorization)
    if options.gateway is not None:
        yield from _gateway(options)
    if options.leafnodes is not None:
        yield from _leafnodes(options.leafnodes, options.authorization)
    yield from _no_auth_user(options.authorization)


def _trust(settings: AuthSettings) -> Iterator[tuple[str, str]]:
    if settings.operator_mode:
        from gossamer.auth.settings_validation import validate_settings

        for text in validate_settings(settings, server_version=NATS_VERSION):
            yield next((path for mark, path in _PATHS.items() if mark in text), _OPERATORS), text
        return
    if settings.default_sentinel:
        yield "authorization.default_sentinel", "default sentinel requires operators and accounts"
    names = {account.name for account in settings.accounts} | {GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, ""}
    if settings.system_account not in names:
        yield "authorization.system_account", "error resolving system account: account missing"


def _cluster(cluster: ClusterOptions, settings: AuthSettings) -> Iterator[tuple[str, str]]:
    if " " in cluster.name:
        yield "cluster.name", "cluster name cannot contain spaces"
    if cluster.accounts and cluster.pool_size < 0:
        yield "cluster.accounts", "pool_size cannot be negative if pinned accounts are specified"
    pinned = list(cluster.accounts)
    system = settings.system_account or ("" if settings.no_system_account else SYSTEM_ACCOUNT)
    if system and system not in pinned:
        pinned.append(system)
    for position, account in enumerate(pinned):
        if account in pinned[:position]:
            told = " ".join(quoted(each) for each in pinned)
            yield "cluster.accounts", f"found duplicate account name {quoted(account)} in pinned accounts list [{told}]"
            break


def _gateway(options: Options) -> Iterator[tuple[str, str]]:
    gateway, cluster = options.gateway, options.cluster
    assert gateway is not None
    if not gateway.name:
        yield "gateway.port", "gateway has no name"
    elif " " in gateway.name:
        yield "gateway.name", "gateway name cannot contain spaces"
    if gateway.name and not gateway.port:
        yield "gateway.name", f"gateway {quoted(gateway.name)} has no port specified (select -1 for random port)"
    for number, remote in enumerate(gateway.gateways):
        if not remote.name:
            yield "gateway.gateways", f"gateway in the list {number} has no name"
        elif not remote.urls:
            yield "gateway.gateways", f"gateway {quoted(remote.name)} has no URL"
    if cluster is not None and cluster.name != gateway.name:
        yield "cluster.name", "cluster name conflicts between cluster and gateway definitions"
    if options.leafnodes is not None and options.leafnodes.port and not options.authorization.system_account:
        yield (
            "gateway.name",
            "leaf nodes and gateways (both being defined) require a system account to also be configured",
        )


def _leafnodes(leafnodes: LeafNodeOptions, settings: AuthSettings) -> Iterator[tuple[str, str]]:
    """Every account that is named must be there; in operator mode by its key."""
    if not settings.operator_mode:
        names = {account.name for account in settings.accounts} | {GLOBAL_ACCOUNT, ""}
        if not settings.system_account and not settings.no_system_account:
            names.add(SYSTEM_ACCOUNT)
        named = [("authorization", leafnodes.account), *(("authorization", user.account) for user in leafnodes.users)]
        named += [("remote", remote.account) for remote in leafnodes.remotes]
        for where, name in named:
            if name not in names:
                path = "leafnodes.remotes" if where == "remote" else "leafnodes.users"
                yield path, f"cannot find local account {quoted(name)} specified in leafnode {where}"
        return
    from gossamer.auth.keys import KeyKind, is_public

    if leafnodes.users:
        yield "leafnodes.users", "operator mode does not allow specifying users in leafnode config"
    if not all(is_public(remote.account, KeyKind.ACCOUNT) for remote in leafnodes.remotes):
        text = (
            "operator mode requires account nkeys in remotes. Please add an `account` key to each remote in your "
            "`leafnodes` section, to assign it to an account. Each account value should be a 56 character public key, "
            "starting with the letter 'A'"
        )
        yield "leafnodes.remotes", text
    if leafnodes.port and leafnodes.account and not is_public(leafnodes.account, KeyKind.ACCOUNT):
        yield "leafnodes.account", "operator mode and non account nkeys are incompatible"


def _no_auth_user(settings: AuthSettings) -> Iterator[tuple[str, str]]:
    name = settings.no_auth_user
    if not name or settings.operator_mode:  # of operator mode see _trust
        return
    path = "authorization.no_auth_user"
    if not settings.users:
        yield path, f"no_auth_user: {quoted(name)} present, but users/nkeys are not defined"
    elif not any(name in (user.name, user.nkey) for user in settings.users):
        yield (
            path,
            f"no_auth_user: {quoted(name)} not present as user or nkey in authorization block or account configuration",
        )
