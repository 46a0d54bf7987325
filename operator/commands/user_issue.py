"""``gossamer user issue``: credentials that are written nowhere but into the file asked for, signed by a service or by
a key that is here."""

import os
import time
from pathlib import Path
from typing import Any

import click
from msgspec import json

from gossamer.auth.claims import UserClaims, UserGrant
from gossamer.auth.credentials import format_credentials
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.audit.record import operator_log, this_actor
from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.commands.signer import connection, via_options
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Text
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import refuse_new_faults, sign
from gossamer.operator.tenants.edits import ClaimEdit, GrantEdit, edit_grant, edit_tags
from gossamer.operator.tenants.signing import account_signer

STANDARD_OUTPUT = "--"


@click.command()
@click.argument("name")
@options.account_option
@click.option("--role", metavar="ROLE", default="", help="The role, which says what it may do.")
@click.option("--key", "signing_key", metavar="KEY", default="", help="Sign with this key of the account.")
@click.option("-k", "--public-key", metavar="KEY", default="", help="A user key made elsewhere: its seed or a path.")
@click.option("-o", "--output-file", metavar="FILE", required=True, help="The credentials; -- is standard output.")
@click.option("-F", "--force", is_flag=True, help="Overwrite the file.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it goes into the log of the service.")
@click.option("--idempotency-key", metavar="TEXT", default="", help="Repeated with the same text, signed once.")
@options.claim_options
@options.grant_options
@via_options
@reading
def issue(
    session: Session,
    name: str,
    account_name: str,
    role: str,
    signing_key: str,
    public_key: str,
    output_file: str,
    force: bool,
    **given: Any,
) -> Document:
    """Issue a user without putting it into the store. With --via a service signs, and the user's seed never leaves this
    machine; without, a key of the account that is here."""
    if role and signing_key:
        raise usage("--role and --key both name the signing key", "give one of them")
    claim, grant = options.claim_edit(given), options.grant_edit(given)
    name = checked_name(name, "user")
    path = None if output_file == STANDARD_OUTPUT else Path(output_file).expanduser().absolute()
    if path is not None and path.exists() and not force:
        raise Failure(f"{path} exists", code="exists", hint="pass --force to overwrite it", path=str(path))
    user = _user_key(session, public_key)
    reason, repeat = given.pop("reason"), given.pop("idempotency_key")
    if given["via"]:
        token = _issued_by_service(account_name, name, role, signing_key, user, claim, grant, reason, repeat, given)
    else:
        token = _issued_here(session, account_name, name, role or signing_key, user, claim, grant, reason)
    text = format_credentials(token, user.seed)
    data = {
        "name": name,
        "key": user.public,
        "expires": claim.expires or None,
        "path": None if path is None else str(path),
    }
    if path is None:
        return Document(data=data | {"credentials": text}, sections=[Text(content=text)])
    changes = ChangeSet()
    changes.write(path, text.encode())
    changes.commit()
    until = f" until {show_moment(claim.expires)}" if claim.expires else ""
    return Document(data=data, done=[f"issued user {name!r}{until}", f"wrote credentials {path}"])


def _user_key(session: Session, wish: str) -> KeyPair:
    if not wish:
        return KeyPair.generate(KeyKind.USER)
    public, pair = read_key_argument(wish, KeyKind.USER, session.workspace.keystore)
    if pair is None:
        raise Failure(f"the seed of {public} is not at hand", code="no-seed", hint="name the file that holds it")
    return pair


def _issued_by_service(
    account: str,
    name: str,
    role: str,
    key: str,
    user: KeyPair,
    claim: ClaimEdit,
    grant: GrantEdit,
    reason: str,
    repeat: str,
    given: dict[str, Any],
) -> str:
    reach = connection(given)
    from gossamer.operator.signer.client import SignerClient
    from gossamer.operator.signer.messages import IssueUserRequest

    if not account:
        raise usage("which account?", "name it with -a")
    asked = "" if grant.is_empty else json.encode(edit_grant(UserGrant.fresh(), grant).members()).decode()
    request = IssueUserRequest(
        name=name,
        account=account,
        role=role,
        key=key,
        public_key=user.public,
        tags=edit_tags((), claim),
        expires_at=claim.expires or 0,
        not_before=claim.not_before or 0,
        grant_json=asked,
        reason=reason,
        idempotency_key=repeat,
    )
    with SignerClient(reach) as client:
        return client.issue_user(request).token


def _issued_here(
    session: Session,
    account_name: str,
    name: str,
    wish: str,
    user: KeyPair,
    claim: ClaimEdit,
    grant: GrantEdit,
    reason: str,
) -> str:
    workspace = session.workspace
    operator = workspace.operator().claims
    account = workspace.account(account_name).claims
    pair = account_signer(workspace.keystore, operator, account, wish)
    scope = account.scope(pair.public)
    if scope is not None and not grant.is_empty:
        raise Failure(
            f"a user under the role {scope.role!r} has no permissions or limits of its own",
            code="scoped-user",
            hint="leave those options out, or sign with another key (--key)",
        )
    claims = UserClaims(
        name=name,
        subject=user.public,
        tags=edit_tags((), claim),
        expires=claim.expires or 0,
        not_before=claim.not_before or 0,
        grant=UserGrant() if scope is not None else edit_grant(UserGrant.fresh(), grant),
        issuer_account="" if pair.public == account.subject else account.subject,
    )
    refuse_new_faults(claims)
    signed = sign(claims, pair, now=now_seconds())
    entry: dict[str, Any] = {
        "action": "issue",
        "kind": "user",
        "name": name,
        "subject": user.public,
        "issuer": pair.public,
    }
    entry |= {"id": signed.claims.id, "issued_at": signed.claims.issued_at, "expires": signed.claims.expires}
    log = operator_log(workspace.store.root, operator.name)
    log.append("user issue", this_actor(os.environ), {"reason": reason, "objects": [entry]}, now=time.time())
    return signed.token
