"""A store made anew from loose files: JWTs, keys and credentials, wherever they lie (spec operator-cli section 4.6).

Of several versions of one claim the newest counts. What belongs to nobody is reported, not guessed.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from gossamer.auth.claims import AccountClaims, Claims, OperatorClaims, UserClaims
from gossamer.auth.claims.envelope import VERSION
from gossamer.auth.credentials import CredentialsError, find_seed, find_token, format_credentials
from gossamer.auth.jwt import TokenError, decode
from gossamer.auth.keys import KeyPair, NkeyError
from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.keystore import Keystore
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.store import Store
from gossamer.operator.store.stored import Stored
from gossamer.operator.tenants.keyfiles import AnyPair, files_below, read_pair
from gossamer.operator.tenants.result import Outcome

AnyClaims = TypeVar("AnyClaims", bound=Claims)


class Found(Struct, kw_only=True):
    """What lay around: claims by their subject, keys by their public one."""

    claims: dict[str, Stored[Claims]] = field(default_factory=dict)
    keys: dict[str, AnyPair] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def of(self, kind: type[AnyClaims]) -> list[Stored[AnyClaims]]:
        """The claims of one type, by name."""
        found = [Stored(entry.token, entry.claims) for entry in self.claims.values() if isinstance(entry.claims, kind)]
        return sorted(found, key=lambda entry: entry.claims.name)


def rebuild(folders: Iterable[Path], out: Path, changes: ChangeSet, *, credentials: bool = False) -> Outcome:
    """Put the claims and keys below ``folders`` into ``out/stores`` and ``out/keys``.

    With ``credentials`` users that come from credentials files only are taken too. Raises Failure when ``out`` has a
    store, or nothing is found.
    """
    store, keystore = Store(out / "stores", changes), Keystore(out / "keys", changes, os.environ)
    if store.operators():
        raise Failure(f"{out} has a store already", code="exists", hint="name an empty folder with --out")
    found = _collect(folders, credentials)
    operators = found.of(OperatorClaims)
    if not operators:
        raise Failure("there is no operator's JWT in these folders", code="not-found", hint="name more with --in")
    outcome = Outcome(created=True, changed=True)
    for pair in found.keys.values():
        keystore.put(pair)
    placed: set[str] = set()
    for operator in operators:
        name = checked_name(operator.claims.name, "operator")
        store.put_operator(operator, managed=operator.claims.subject not in found.keys)
        placed.add(operator.claims.subject)
        for account in found.of(AccountClaims):
            if account.claims.issuer in (operator.claims.subject, *operator.claims.signing_keys):
                _put_account(store, keystore, name, account, found, placed)
    counts = [len(found.of(kind)) for kind in (OperatorClaims, AccountClaims, UserClaims)]
    outcome.note(
        f"rebuilt {out}: {counts[0]} operators, {counts[1]} accounts, {counts[2]} users, {len(found.keys)} keys"
    )
    for subject, stored in found.claims.items():
        if subject not in placed:
            outcome.warn("orphan", f"{stored.claims.TYPE} {stored.claims.name!r} ({subject}) belongs to nobody found")
    for line in found.unread:
        outcome.warn("unread", line)
    return outcome


def _put_account(
    store: Store, keystore: Keystore, operator: str, account: Stored[AccountClaims], found: Found, placed: set[str]
) -> None:
    name = checked_name(account.claims.name, "account")
    store.put_account(operator, account)
    placed.add(account.claims.subject)
    for user in found.of(UserClaims):
        if user.claims.account != account.claims.subject:
            continue
        user_name = checked_name(user.claims.name, "user")
        store.put_user(operator, name, user)
        placed.add(user.claims.subject)
        pair = found.keys.get(user.claims.subject)
        if isinstance(pair, KeyPair):
            keystore.write_credentials(operator, name, user_name, format_credentials(user.token, pair.seed))


def _collect(folders: Iterable[Path], credentials: bool) -> Found:
    found = Found()
    for folder in folders:
        if not folder.is_dir():
            raise Failure(f"there is no folder {folder}", code="not-found", hint="check the path", path=str(folder))
        for path in files_below(folder, ".nk", recurse=True):
            try:
                pair = read_pair(path)
            except Failure as failure:
                found.unread.append(failure.message)
                continue
            if pair is not None:
                found.keys[pair.public] = pair
        for path in files_below(folder, ".jwt", recurse=True):
            _collect_token(found, path)
        for path in files_below(folder, ".creds", recurse=True) if credentials else ():
            _collect_token(found, path)
            try:
                pair = KeyPair.from_seed(find_seed(path.read_text("utf-8", "replace")))
                found.keys[pair.public] = pair
            except (CredentialsError, NkeyError) as error:
                found.unread.append(f"{path}: {error}")
    return found


def _collect_token(found: Found, path: Path) -> None:
    try:
        token = find_token(path.read_text("utf-8", "replace"))
        claims = decode(token)
    except (CredentialsError, TokenError, OSError) as error:
        found.unread.append(f"{path}: {error}")
        return
    if not isinstance(claims, OperatorClaims | AccountClaims | UserClaims) or claims.version != VERSION:
        return
    before = found.claims.get(claims.subject)
    if before is None or before.claims.issued_at < claims.issued_at:
        found.claims[claims.subject] = Stored(token, claims)
