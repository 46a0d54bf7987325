"""``gossamer activation``: who may import a private export."""

from pathlib import Path
from typing import Any

import click

from gossamer.auth.claims import ActivationClaims
from gossamer.auth.credentials import format_token
from gossamer.auth.jwt import decode_as
from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import moment_now, parse_moment, show_moment
from gossamer.operator.commands.moments import past_moment
from gossamer.operator.commands.place import account_answer, account_place, kind_of, kind_options
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Document, Table, Text
from gossamer.operator.tenants import activations

STANDARD_OUTPUT = "--"


@click.group()
def activation() -> None:
    """Let accounts import a private export, and take that back."""


_subject_option = click.option("-s", "--subject", required=True, help="The exported subject.")
_target_option = click.option(
    "-t", "--target-account", "target", required=True, metavar="NAME", help="The importer: a name or a public key."
)


@activation.command()
@options.account_option
@_subject_option
@_target_option
@kind_options
@click.option("--expiry", metavar="DATE", default=None, help="When it ends: 0 (never), 2030-01-31, 90d, 1y.")
@click.option("--start", metavar="DATE", default=None, help="From when it counts.")
@click.option(
    "-o",
    "--output-file",
    metavar="FILE",
    default=STANDARD_OUTPUT,
    help="Where to write it; -- (the default) is standard output.",
)
@click.option("-F", "--force", is_flag=True, help="Overwrite the file.")
@writing
def issue(
    session: Session,
    account_name: str,
    subject: str,
    target: str,
    service: bool,
    stream: bool,
    expiry: str | None,
    start: str | None,
    output_file: str,
    force: bool,
) -> Document:
    """Issue an activation, for the importer's: gossamer import create --token FILE. It may be narrower than the export.
    -K names a key of the exporting account."""
    operator, account = account_place(session, account_name)
    workspace = session.workspace
    now = moment_now()
    token = activations.issue_activation(
        workspace,
        operator,
        account,
        subject,
        target,
        kind=kind_of(service, stream),
        expires=0 if expiry is None else parse_moment(expiry, now),
        not_before=0 if start is None else parse_moment(start, now),
        now=now_seconds(),
        wish=session.signer,
    )
    text = format_token(token)
    claims = decode_as(ActivationClaims, token)
    data: dict[str, Any] = {
        "account": account,
        "target": claims.subject,
        "subject": claims.import_subject,
        "kind": claims.kind,
        "issuer": claims.issuer,
        "expires": claims.expires or None,
        "jwt": token,
    }
    if output_file == STANDARD_OUTPUT:
        return Document(data=data, sections=[Text(content=text)])
    path = Path(output_file).expanduser().absolute()
    if not force and workspace.changes.exists(path):
        raise Failure(f"{path} exists", code="exists", hint="pass --force to overwrite it", path=str(path))
    workspace.changes.write(path, text.encode())
    document = Document(data=data | {"path": str(path)})
    document.done.append(f"wrote the activation {path}")
    return document


@activation.command("list")
@options.account_option
@reading
def list_activations(session: Session, account_name: str) -> Document:
    """List what accounts of this store were granted, and what is revoked. What others were given leaves no trace."""
    operator, account = account_place(session, account_name)
    workspace = session.workspace
    claims = workspace.store.account(operator, account).claims
    found = activations.grants(workspace, operator, account, now_seconds())
    entries = [
        (entry.subject, entry.type, key, moment)
        for entry in claims.exports
        for key, moment in sorted(entry.revocations.items())
    ]
    revoked = [dict(zip(("subject", "kind", "target", "until"), entry, strict=True)) for entry in entries]
    rows = tuple(
        (grant.account, grant.kind, grant.subject, grant.export, show_moment(grant.expires), grant.problem or "valid")
        for grant in found
    )
    columns = ("Granted to", "Type", "Subject", "Export", "Expires", "State")
    gone = tuple((subject, kind, key, show_moment(moment)) for subject, kind, key, moment in entries)
    return Document(
        data={"grants": found, "revocations": revoked},
        sections=[
            Table(title=f"Activations of {account}", columns=columns, rows=rows),
            Table(title="Revocations", columns=("Export", "Type", "Account", "Issued until"), rows=gone),
        ],
    )


@activation.command()
@options.account_option
@_subject_option
@click.option("-t", "--target-account", "target", required=True, metavar="NAME", help="A name, a public key, or *.")
@kind_options
@click.option("--at", default="0", metavar="TIME", help="Until when: a date, seconds; default: now.")
@writing
def revoke(
    session: Session, account_name: str, subject: str, target: str, service: bool, stream: bool, at: str
) -> Document:
    """Void activations of an export, those of one account or all (*)."""
    operator, account = account_place(session, account_name)
    outcome = activations.revoke_activation(
        session.workspace,
        operator,
        account,
        subject,
        target,
        kind=kind_of(service, stream),
        at=past_moment(at),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@activation.command()
@options.account_option
@_subject_option
@click.option("-t", "--target-account", "target", required=True, metavar="NAME", help="A name, a public key, or *.")
@kind_options
@writing
def unrevoke(session: Session, account_name: str, subject: str, target: str, service: bool, stream: bool) -> Document:
    """Let activations count again."""
    operator, account = account_place(session, account_name)
    outcome = activations.unrevoke_activation(
        session.workspace,
        operator,
        account,
        subject,
        target,
        kind=kind_of(service, stream),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)
