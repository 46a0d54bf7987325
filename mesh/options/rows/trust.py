"""Operator mode: whom the node trusts and where account JWTs come from (spec configuration sections 4.4, 5.7, 5.9)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gossamer.auth.settings import ResolverSettings
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.language.reading import describe
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, DURATION_PLAIN, INTEGER, TEXT, as_text, map_block, texts

if TYPE_CHECKING:
    from gossamer.auth.claims.operator import OperatorClaims

_URL = re.compile(r"""URL\(\s*["']?([^"')\s]*)["']?\s*\)""", re.IGNORECASE)
_RESOLVER_FORM = (
    'error parsing account resolver, should be MEM or  URL("url") or a map containing dir and type state=[FULL|CACHE])'
)
_CACHE_LIMIT = 1000


def _trusted_keys(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    from gossamer.auth.keys import KeyKind, is_public

    found: tuple[str, ...] = texts("trusted").convert(processing, key, node)
    for number, text in enumerate(found):
        if not is_public(text, KeyKind.OPERATOR):
            where = node.value[number] if isinstance(node.value, list) else node
            raise Wrong(f"trust key {quoted(text)} required to be a valid public operator nkey", node=where)
    return found


def _operators(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    """The JWTs themselves, whether they were written into the configuration or into a file, decorated or not."""
    found = []
    for text in texts("operators").convert(processing, key, node):
        token = text if text.startswith("eyJ") else _token_in_file(processing, text)
        processing.operator_claims.append(_operator_claims(token))
        found.append(token)
    return tuple(found)


def _token_in_file(processing: Processing, path: str) -> str:
    from gossamer.auth.credentials import CredentialsError, find_token

    try:
        return find_token(processing.reader(path).decode("utf-8", "replace"))
    except OSError as error:
        raise Wrong(f"error parsing operator JWT: {describe(error, path)}") from None
    except ValueError as error:
        if isinstance(error, CredentialsError):
            raise Wrong(f"error parsing operator JWT: {path}: {error}") from None
        raise Wrong(f"error parsing operator JWT: open {path}: invalid argument") from None


def _operator_claims(token: str) -> OperatorClaims:
    from gossamer.auth.claims.operator import OperatorClaims
    from gossamer.auth.jwt import TokenError, decode_as

    try:
        return decode_as(OperatorClaims, token)
    except TokenError as error:
        raise Wrong(f"error parsing operator JWT: {error}") from None


def _resolver(processing: Processing, key: str, node: Node) -> ResolverSettings | None:
    if isinstance(node.value, str):
        return _named_resolver(processing, node)
    if not isinstance(node.value, dict):
        raise Wrong(f"error parsing operator resolver, wrong type {node.go_type}")
    before = len(processing.faults)
    values = processing.block("resolver", node)
    kind = values.get("type", "").lower()
    if len(processing.faults) > before and "type" not in values:
        return None
    if kind not in ("full", "cache"):
        raise Wrong(_RESOLVER_FORM)
    given = {name.lower() for name in node.value}
    problems = []
    if not values.get("dir"):
        problems.append("dir has no value and needs to point to a directory")
    if kind == "full":
        if "ttl" in given:
            problems.append("FULL does not accept ttl")
        if values.get("hard_delete") and not values.get("allow_delete"):
            problems.append("hard_delete has no effect without delete")
    else:
        problems += [
            f"CACHE does not accept {text}"
            for name, text in (("interval", "sync"), ("allow_delete", "allow_delete"), ("hard_delete", "hard_delete"))
            if name in values and (name == "interval" or values[name])
        ]
    for problem in problems:
        processing.error(node, problem)
    default = ResolverSettings(kind=kind)
    return ResolverSettings(
        kind=kind,
        directory=values.get("dir", ""),
        limit=values.get("limit", _CACHE_LIMIT if kind == "cache" else 0),
        interval_ns=values.get("interval") or default.interval_ns,
        ttl_ns=values.get("ttl", 0),
        timeout_ns=values.get("timeout") or default.timeout_ns,
        allow_delete=values.get("allow_delete", False),
        hard_delete=values.get("hard_delete", False),
        refuse_rollback=values.get("refuse_rollback", False),
        accept_untrusted=values.get("accept_untrusted", False),
    )


def _named_resolver(processing: Processing, node: Node) -> ResolverSettings | None:
    text = as_text(node)
    if text.lower() in ("mem", "memory"):
        return ResolverSettings(kind="memory")
    found = _URL.fullmatch(text)
    if found is None:
        raise Wrong(_RESOLVER_FORM)
    return ResolverSettings(kind="url", url=found[1] if found[1].endswith("/") else f"{found[1]}/")


def _preload(processing: Processing, key: str, node: Node) -> tuple[tuple[str, str], ...]:
    from gossamer.auth.claims.account import AccountClaims
    from gossamer.auth.jwt import TokenError, decode_as

    if not isinstance(node.value, dict):
        raise Wrong("preload should be a map of account_public_key:account_jwt")
    found = []
    for account, child in node.value.items():
        if not isinstance(child.value, str):
            processing.error(child, "preload map value should be a string JWT")
            continue
        token = as_text(child)
        try:
            decode_as(AccountClaims, token)
        except TokenError as error:
            processing.error(child, "invalid account JWT", suggestion=str(error))
            continue
        found.append((account, token))
    return tuple(found)


TOP = (
    Row(
        keys=("trusted_keys", "trusted"),
        type=Type("nkey or [nkey]", _trusted_keys),
        fields=("authorization.trusted_keys",),
        doc="Public operator keys whose accounts are trusted, instead of `operator`.",
        name="TrustedKeys",
    ),
    Row(
        keys=("operator", "operators", "root", "roots", "root_operator", "root_operators"),
        type=Type("text or [text]", _operators),
        fields=("authorization.operators",),
        doc="Operator JWTs, or files that hold them: users are then known by JWT only.",
        name="TrustedOperators",
    ),
    Row(
        keys=("resolver", "account_resolver", "accounts_resolver"),
        type=Type("MEMORY, URL(...) or block resolver", _resolver),
        fields=("authorization.resolver",),
        doc="Where account JWTs come from.",
        reload=Reload.PARTLY,
    ),
    Row(
        keys=("resolver_tls",),
        type=map_block("tls"),
        doc="TLS towards the URL resolver.",
        reload=Reload.YES,
        waits_for=Feature.TLS,
        is_off=lambda value: False,
    ),
    Row(
        keys=("resolver_preload",),
        type=Type("map of JWT", _preload),
        fields=("authorization.resolver_preload",),
        doc="Account JWTs by account key.",
        reload=Reload.YES,
    ),
    Row(
        keys=("resolver_pinned_accounts",),
        type=texts("resolver_pinned_accounts"),
        fields=("authorization.resolver_pinned_accounts",),
        doc="Only users of these accounts, and of the system account, may come in.",
        reload=Reload.YES,
    ),
)

BLOCKS = (
    block(
        "resolver",
        "resolver",
        (
            Row(keys=("type",), type=TEXT, doc="`full`: keeps and syncs all JWTs; `cache`: keeps those asked for."),
            Row(keys=("dir",), type=TEXT, doc="Directory of the JWTs."),
            Row(keys=("limit",), type=INTEGER, default="0 (full), 1000 (cache)", doc="JWTs kept; 0 is unlimited."),
            Row(keys=("interval",), type=DURATION_PLAIN, default="1m", doc="Pause between syncs; full only."),
            Row(keys=("ttl",), type=DURATION_PLAIN, doc="How long a JWT is kept; cache only."),
            Row(keys=("timeout",), type=DURATION_PLAIN, default="1.9s", doc="How long a lookup may take."),
            Row(keys=("allow_delete",), type=BOOLEAN, default="false", doc="JWTs may be deleted; full only."),
            Row(keys=("hard_delete",), type=BOOLEAN, default="false", doc="Deleted ones are not kept aside."),
            Row(
                keys=("refuse_rollback",),
                type=BOOLEAN,
                default="false",
                doc="A push of an older JWT than the present one is refused, not only logged. Gossamer only.",
            ),
            Row(
                keys=("accept_untrusted",),
                type=BOOLEAN,
                default="false",
                doc="Pushed JWTs that no trusted key signed are stored, as nats-server does. Gossamer only.",
            ),
        ),
        lenient=True,
    ),
)
