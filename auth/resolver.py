"""Where account JWTs come from: memory, or a directory with one file for each account (spec auth section 22.1).

Nothing here talks to a network; nothing here decides whether an account is to be trusted. A key that is no account's
public key is never looked up, so that no name from outside becomes a path.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from msgspec import Struct

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.settings import ResolverSettings
from gossamer.auth.validation import blocking, validate

_SUFFIX = ".jwt"
#: Decoded accounts that are kept; beyond this the oldest goes.
_ACCOUNTS_KEPT = 10_000


class ResolverError(Exception):
    """Account JWTs cannot be read or kept. The text names the file and the remedy. ``damaged``: there is something, but
    not the account's JWT."""

    def __init__(self, text: str, *, damaged: bool = False) -> None:
        """``text``: a sentence."""
        super().__init__(text)
        self.damaged = damaged


class AccountSource(Protocol):
    """What the authenticator needs to know of a resolver."""

    def account_jwt(self, key: str) -> str | None:
        """The account's JWT; None: not known. Raises ResolverError when that cannot be found out."""

    def place(self, key: str) -> str:
        """Where the JWT of an account stands, for reasons and logs."""


class KnownAccount(Struct, frozen=True, gc=False):
    """An account's JWT, read: its claims, and what blocks it whatever the time (``blocked``, empty: nothing)."""

    token: str
    claims: AccountClaims
    blocked: tuple[str, ...] = ()

    @property
    def rank(self) -> tuple[int, bytes]:
        """Of two JWTs of an account the one with the higher rank is newer (section 26.2)."""
        return rank_of(self.claims.issued_at, self.token)


class AccountPending(Exception):
    """An account must be fetched before anybody can be judged by it."""

    def __init__(self, key: str) -> None:
        """``key``: the account's."""
        super().__init__(f"account {key} has yet to be fetched")
        self.key = key


@runtime_checkable
class DecodedSource(Protocol):
    """A source that keeps what it has read."""

    def known(self, key: str) -> KnownAccount | None:
        """The account; None: not known. Raises ResolverError, and AccountPending when it takes a while to find out."""

    def place(self, key: str) -> str:
        """See AccountSource."""


class Decoding:
    """Reads each JWT of a source once. Thread-safe: what it keeps is only ever replaced."""

    def __init__(self, source: AccountSource) -> None:
        """``source`` is asked each time; what it says is compared with what was read."""
        self._source = source
        self._known: dict[str, KnownAccount] = {}

    def known(self, key: str) -> KnownAccount | None:
        """See DecodedSource."""
        token = self._source.account_jwt(key)
        if token is None:
            return None
        known = self._known.get(key)
        if known is None or known.token != token:
            known = read_account(key, token)
            self._known[key] = known
            if len(self._known) > _ACCOUNTS_KEPT:
                self._known.pop(next(iter(self._known)), None)
        return known

    def place(self, key: str) -> str:
        """See AccountSource."""
        return self._source.place(key)


class MemoryResolver:
    """What the configuration preloads."""

    def __init__(self, preload: Iterable[tuple[str, str]] = ()) -> None:
        """``preload``: pairs of account key and JWT. Raises ResolverError when a pair does not belong together."""
        self._known: dict[str, str] = {}
        for key, token in preload:
            self.store(key, token)

    def account_jwt(self, key: str) -> str | None:
        """See AccountSource."""
        return self._known.get(key)

    def place(self, key: str) -> str:
        """See AccountSource."""
        return f"resolver_preload of {key}"

    def keys(self) -> list[str]:
        """The accounts it knows, sorted."""
        return sorted(self._known)

    def store(self, key: str, token: str) -> None:
        """Keep a JWT, whatever was there. Raises ResolverError when it is not a JWT of that account."""
        checked_account(key, token)
        self._known[key] = token.strip()


class DirectoryResolver:
    """One file ``<account key>.jwt`` for each account."""

    def __init__(self, directory: str | Path, preload: Iterable[tuple[str, str]] = ()) -> None:
        """Makes the directory if need be; preloads are written unless the file is newer. Raises ResolverError."""
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            remedy = "make it a directory that this user may write"
            raise ResolverError(f"resolver directory {self.directory}: {error.strerror}; {remedy}") from None
        for key, token in preload:
            self.store_newer(key, token)

    def account_jwt(self, key: str) -> str | None:
        """See AccountSource."""
        if not is_public(key, KeyKind.ACCOUNT):
            return None
        path = self._path(key)
        try:
            return path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a JWT"
            raise ResolverError(f"account file {path}: {why}; make it readable, or push the account again") from None

    def place(self, key: str) -> str:
        """See AccountSource."""
        return str(self._path(key))

    def keys(self) -> list[str]:
        """The accounts it has files of, sorted. Raises ResolverError."""
        try:
            names = os.listdir(self.directory)
        except OSError as error:
            raise ResolverError(f"resolver directory {self.directory}: {error.strerror}; make it readable") from None
        found = [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]
        return sorted(key for key in found if is_public(key, KeyKind.ACCOUNT))

    def store(self, key: str, token: str) -> None:
        """Keep a JWT, whatever was there. Raises ResolverError."""
        checked_account(key, token)
        path = self._path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(token.strip(), encoding="ascii")
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            remedy = "make the directory writable"
            raise ResolverError(f"cannot write account file {path}: {error.strerror}; {remedy}") from None

    def store_newer(self, key: str, token: str) -> bool:
        """Keep a JWT unless the one we have is as new. Raises ResolverError.

        Of two issued in the same second the one with the greater hash counts as newer, so that all nodes agree; their
        ids are no help, as they do not cover what the account says (section 26.2).
        """
        rank = _rank(checked_account(key, token), token)
        try:
            present = self.account_jwt(key)
            if present is not None and _rank(checked_account(key, present), present) >= rank:
                return False
        except ResolverError:
            pass  # damaged: anything that holds together is better
        self.store(key, token)
        return True

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}{_SUFFIX}"


def _rank(claims: AccountClaims, token: str) -> tuple[int, bytes]:
    return rank_of(claims.issued_at, token.strip())


def rank_of(issued_at: int, token: str) -> tuple[int, bytes]:
    """How new a JWT is: by its time of issue (unix seconds), then by the SHA-256 of its text (section 26.2)."""
    return issued_at, hashlib.sha256(token.encode()).digest()


def read_account(key: str, token: str) -> KnownAccount:
    """The account JWT of ``key``, read and validated; times are not looked at. Raises ResolverError."""
    token = token.strip()
    claims = checked_account(key, token)
    return KnownAccount(token, claims, tuple(blocking(validate(claims, 0), times=False)))


def checked_account(key: str, token: str) -> AccountClaims:
    """The claims of an account JWT that must be the one of ``key``. Raises ResolverError."""
    if not is_public(key, KeyKind.ACCOUNT):
        raise ResolverError(f'invalid account JWT: "{key}" is not a public account key', damaged=True)
    try:
        claims = decode_as(AccountClaims, token.strip())
    except TokenError as error:
        raise ResolverError(f"invalid account JWT for {key}: {error}", damaged=True) from None
    if claims.subject != key:
        raise ResolverError(f"invalid account JWT: it is of {claims.subject}, not of {key}", damaged=True)
    return claims


def resolver_of(
    settings: ResolverSettings, preload: Iterable[tuple[str, str]] = ()
) -> MemoryResolver | DirectoryResolver:
    """The resolver that a configuration describes, as far as no network is needed. Raises ResolverError."""
    match settings.kind:
        case "memory":
            return MemoryResolver(preload)
        case "full" | "cache":
            if not settings.directory:
                raise ResolverError("dir has no value and needs to point to a directory")
            return DirectoryResolver(settings.directory, preload)
        case "url":
            raise ResolverError(f"resolver URL({settings.url}) can only be asked by a running node")
        case _:
            raise ResolverError(f'resolver type "{settings.kind}" is not known')
