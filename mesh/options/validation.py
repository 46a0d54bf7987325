"""What only shows when everything is put together: checked when a node starts, not by ``-t`` (spec configuration 8)."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.options.language.faults import Fault, Place, quoted
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.units import format_duration

if TYPE_CHECKING:
    from gossamer.auth.claims.operator import OperatorClaims

_HASHED = re.compile(r"\$2[abxy]\$[0-9]{2}\$")
_DISCOURAGED_PAYLOAD = 8 * 1024 * 1024
_UNLIMITED_PAYLOAD = 2**31 - 1
_PORT_MAX = 65535


def validate(options: Options, places: dict[str, Place], claims: "list[OperatorClaims]") -> Iterator[Fault]:
    """Faults in the order in which nats-server looks for them; it stops at the first. Their text has no position, as
    there; the place is where the value concerned was given."""
    for path, text in _problems(options, claims):
        yield Fault(text=text, place=places.get(path), at_start=True)


def notices(options: Options) -> Iterator[str]:
    """What a starting node should say aloud about its configuration."""
    settings = options.authorization
    passwords = [settings.password, settings.token, *(user.password for user in settings.users)]
    if options.cluster is not None:
        passwords.append(options.cluster.password)
    if any(password and not _HASHED.match(password) for password in passwords):
        yield "Plaintext passwords detected, use nkeys or bcrypt"
    if options.limits.max_payload > _DISCOURAGED_PAYLOAD:
        yield "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"
    if options.cluster is not None and not options.cluster.name:
        yield "Cluster name was dynamically generated, consider setting one"


def _problems(options: Options, claims: "list[OperatorClaims]") -> Iterator[tuple[str, str]]:
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
    if options.cluster is not None and " " in options.cluster.name:
        yield "cluster.name", "cluster name cannot contain spaces"
    for path, port in (
        ("port", options.port),
        ("monitor.port", options.monitor.port),
        ("cluster.port", options.cluster.port if options.cluster is not None else 0),
    ):
        if not -1 <= port <= _PORT_MAX:
            yield path, f"invalid port {port}: a port is 1 to {_PORT_MAX}, or -1 for a free one"
    yield from _trust(options.authorization, claims)
    yield from _no_auth_user(options.authorization)


def _trust(settings: AuthSettings, claims: "list[OperatorClaims]") -> Iterator[tuple[str, str]]:
    if settings.default_sentinel and not settings.operator_mode:
        yield "authorization.default_sentinel", "default sentinel requires operators and accounts"
    if settings.resolver_preload and (settings.resolver is None or settings.resolver.kind == "url"):
        text = "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR"
        yield "authorization.resolver_preload", text
    if not settings.operator_mode:
        return
    if settings.resolver is None:
        yield "authorization.operators", "operators require an account resolver to be configured"
    if settings.accounts:
        yield "authorization.accounts", "operators do not allow Accounts to be configured directly"
    if settings.users:
        yield "authorization.users", "operators do not allow users to be configured directly"
    if settings.operators and settings.trusted_keys:
        yield "authorization.trusted_keys", "conflicting options for 'TrustedKeys' and 'TrustedOperators'"
    if settings.no_auth_user:
        yield "authorization.no_auth_user", "no_auth_user not compatible with Trusted Operator"
    named = {each.system_account for each in claims if each.system_account}
    if settings.system_account and named - {settings.system_account}:
        yield "authorization.system_account", "system_account in config and operator JWT must be identical"
    if settings.resolver is not None and settings.resolver.kind in ("full", "cache") and not settings.system_account:
        text = (
            "using nats based account resolver - the system account needs to be specified in configuration or "
            "the operator jwt"
        )
        yield "authorization.resolver", text
    yield from _pinned(settings)


def _pinned(settings: AuthSettings) -> Iterator[tuple[str, str]]:
    if not settings.resolver_pinned_accounts:
        return
    from gossamer.auth.keys import KeyKind, is_public

    for key in settings.resolver_pinned_accounts:
        if not is_public(key, KeyKind.ACCOUNT):
            text = f"pinned account key {quoted(key)} is not a valid public account nkey"
            yield "authorization.resolver_pinned_accounts", text


def _no_auth_user(settings: AuthSettings) -> Iterator[tuple[str, str]]:
    name = settings.no_auth_user
    if not name or settings.operator_mode:
        return
    path = "authorization.no_auth_user"
    if not settings.users:
        yield path, f"no_auth_user: {quoted(name)} present, but users/nkeys are not defined"
    elif not any(name in (user.name, user.nkey) for user in settings.users):
        yield (
            path,
            f"no_auth_user: {quoted(name)} not present as user or nkey in authorization block or account configuration",
        )
