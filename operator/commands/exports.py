"""``gossamer export``: what an account offers to others."""

from typing import Any

import click

from gossamer.auth.claims import SERVICE, STREAM
from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import parse_duration
from gossamer.operator.commands.place import account_answer, account_place, kind_of, kind_options
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.failure import usage
from gossamer.operator.output.document import Document, Table, cell
from gossamer.operator.tenants import exports
from gossamer.operator.tenants.exports import ExportEdit


@click.group()
def export() -> None:
    """Offer subjects of an account to others."""


_edit_options = options.together(
    click.option("-n", "--name", default=None, help="Its name; default: the subject."),
    click.option("-p/-P", "--private/--public", default=None, help="Who imports it needs an activation."),
    click.option("--response-type", default=None, metavar="TYPE", help="Singleton, Stream or Chunked (services)."),
    click.option("--response-threshold", default=None, metavar="DURATION", help="How long an answer may take."),
    click.option("--latency", default=None, metavar="SUBJECT", help="Where records of its latency go (services)."),
    click.option("--sampling", default=None, metavar="PERCENT", help="How many are measured: 1 to 100, or header."),
    click.option(
        "--account-token-position", type=int, default=None, metavar="N", help="Token that must be the importer's key."
    ),
    click.option("--advertise/--no-advertise", default=None, help="Whether it is listed publicly."),
    click.option("--allow-trace/--no-allow-trace", default=None, help="Traces follow into this account (services)."),
    click.option("--description", default=None, help="What it is for."),
    click.option("--info-url", metavar="URL", default=None, help="Where more is said about it."),
)


@export.command()
@click.argument("subject")
@options.account_option
@kind_options
@click.option("--exist-ok", is_flag=True, help="Bring an export that exists to what is asked.")
@_edit_options
@writing
def create(
    session: Session, subject: str, account_name: str, service: bool, stream: bool, exist_ok: bool, **given: Any
) -> Document:
    """Export SUBJECT: a stream, or with --service a service."""
    operator, account = account_place(session, account_name)
    outcome = exports.create_export(
        session.workspace,
        operator,
        account,
        subject,
        kind_of(service, stream, STREAM),
        export_edit(given),
        now=now_seconds(),
        wish=session.signer,
        exist_ok=exist_ok,
    )
    return account_answer(session, operator, account, outcome)


export.add_command(create, "add")


@export.command()
@click.argument("subject")
@options.account_option
@kind_options
@_edit_options
@click.option("--rm-latency-sampling", is_flag=True, help="No longer measure latency.")
@writing
def edit(
    session: Session,
    subject: str,
    account_name: str,
    service: bool,
    stream: bool,
    rm_latency_sampling: bool,
    **given: Any,
) -> Document:
    """Change the export of SUBJECT."""
    operator, account = account_place(session, account_name)
    if rm_latency_sampling:
        given["latency"] = ""
    outcome = exports.edit_export(
        session.workspace,
        operator,
        account,
        subject,
        kind_of(service, stream),
        export_edit(given),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@export.command()
@click.argument("subject")
@options.account_option
@kind_options
@writing
def delete(session: Session, subject: str, account_name: str, service: bool, stream: bool) -> Document:
    """No longer export SUBJECT."""
    operator, account = account_place(session, account_name)
    outcome = exports.delete_export(
        session.workspace,
        operator,
        account,
        subject,
        kind_of(service, stream),
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@export.command("list")
@options.account_option
@click.option("-A", "--all", "every", is_flag=True, help="The exports of all accounts.")
@reading
def list_exports(session: Session, account_name: str, every: bool) -> Document:
    """List exports, and who in the store imports them."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    names = workspace.store.accounts(operator) if every else [workspace.account(account_name).claims.name]
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for name in names:
        for entry in workspace.store.account(operator, name).claims.exports:
            importers = sorted({user.account for user in exports.users_of(workspace, operator, name, entry)})
            data.append(entry.members() | {"account": name, "importers": importers})
            access = "private" if entry.token_required else "public"
            extra = [entry.response_type] if entry.type == SERVICE else []
            if entry.account_token_position:
                extra.append(f"account at {entry.account_token_position}")
            rows.append((name, entry.type, entry.subject, access, cell(extra), cell(importers)))
    columns = ("Account", "Type", "Subject", "Access", "", "Imported by")
    return Document(data=data, sections=[Table(title="Exports", columns=columns, rows=tuple(rows))])


def export_edit(given: dict[str, Any]) -> ExportEdit:
    """The edit of the options. Raises Failure (usage)."""
    threshold, sampling = given["response_threshold"], given["sampling"]
    return ExportEdit(
        name=given["name"],
        private=given["private"],
        response_type=given["response_type"],
        response_threshold_ns=None if threshold is None else parse_duration(threshold),
        latency=given["latency"],
        sampling=None if sampling is None else _sampling(sampling),
        account_token_position=given["account_token_position"],
        advertise=given["advertise"],
        allow_trace=given["allow_trace"],
        description=given["description"],
        info_url=given["info_url"],
    )


def _sampling(text: str) -> int:
    """Percent; 0: by header."""
    if text.lower() in ("header", "headers"):
        return 0
    number = text.removesuffix("%")
    if not number.isdecimal() or not 1 <= int(number) <= 100:
        raise usage(f"{text!r} is not a share of requests", "write 1 to 100 (percent), or the word header")
    return int(number)
