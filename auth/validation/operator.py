"""Operator claims (spec auth section 5)."""

import re
from urllib.parse import urlsplit

from gossamer.auth.claims import OperatorClaims
from gossamer.auth.issues import Findings, quoted
from gossamer.auth.keys import KeyKind, is_public

_VERSION = re.compile(r"\d+\.\d+\.\d+\Z", re.ASCII)
_SERVICE_SCHEMES = ("nats", "tls", "ws", "wss")


def check_operator(claims: OperatorClaims, found: Findings) -> None:
    """Everything in an operator claim but its times."""
    _check_account_server(claims.account_server_url, found)
    for url in claims.operator_service_urls:
        _check_service_url(url, found)
    for key in claims.signing_keys:
        if not is_public(key, KeyKind.OPERATOR):
            found.block(f"{key} is not an operator public key")
    if claims.system_account and not is_public(claims.system_account, KeyKind.ACCOUNT):
        found.block(f"{claims.system_account} is not an account public key")
    if claims.assert_server_version and not _VERSION.match(claims.assert_server_version):
        wanted = "asserted server version must be of the form <major>.<minor>.<update>"
        found.block(f"assert server version error: {wanted}")


def _check_account_server(url: str, found: Findings) -> None:
    if not url:
        return
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        found.block(f"account server url {quoted(url)} - {error}")
        return
    if not scheme or "://" not in url:
        found.block(f"account server url {quoted(url)} requires a protocol")


def _check_service_url(url: str, found: Findings) -> None:
    what = f"operator service url {quoted(url)}"
    try:
        parts = urlsplit(url)
    except ValueError as error:
        found.block(f"{what} - {error}")
        return
    if parts.username is not None or parts.password is not None:
        found.block(f"{what} - credentials are not supported")
    if parts.path:
        found.block(f"{what} - paths are not supported")
    if parts.scheme not in _SERVICE_SCHEMES:
        found.block(f"{what} - protocol not supported (only 'nats', 'tls', 'ws', 'wss' only)")
