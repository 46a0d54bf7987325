"""``gossamer validate``: a store, or loose tokens."""

from pathlib import Path

import click

from gossamer.auth.credentials import CredentialsError, find_token
from gossamer.auth.jwt import TokenError, decode
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.output.document import Document, Remark, Table
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.tenants.audit import ERROR, Finding, Report, audit_claims, audit_store


@click.command()
@click.option("-a", "--account", "account_name", metavar="NAME", default="", help="Only this account and its users.")
@click.option("-A", "--all", "every", is_flag=True, help="All operators of the store.")
@click.option("-f", "--file", "file_name", metavar="FILE", default="", help="A JWT, credentials, or lines KEY|JWT.")
@reading
def validate(session: Session, account_name: str, every: bool, file_name: str) -> Document:
    """Check claims, the chain of signatures, keys and credentials. Exit code 5 when something is wrong."""
    if file_name:
        return _document(_audit_file(Path(file_name).expanduser(), now_seconds()))
    workspace = session.workspace
    if account_name:
        account_name = workspace.account(account_name).claims.name
    names = workspace.store.operators() if every else [_operator_name(session)]
    whole = Report(objects=[], findings=[])
    for name in names:
        report = audit_store(workspace, name, now_seconds(), account=account_name)
        whole.objects += report.objects
        whole.findings += report.findings
    return _document(whole)


def _operator_name(session: Session) -> str:
    # Not through workspace.operator(): a broken operator claim must become a finding, not an end.
    name = session.workspace.operator_choice().name
    return name if name and session.workspace.store.is_operator(name) else session.workspace.operator().claims.name


def _document(report: Report) -> Document:
    rows = tuple((finding.level, finding.object, finding.message) for finding in report.findings)
    table = Table(
        title="Findings",
        columns=("Level", "Object", "Finding"),
        rows=rows,
        empty=f"none in {len(report.objects)} claims",
    )
    document = Document(
        data={"valid": report.sound, "objects": report.objects, "findings": report.findings}, sections=[table]
    )
    if report.sound:
        document.done.append(f"{len(report.objects)} claims are valid")
    else:
        errors = [finding for finding in report.findings if finding.level == ERROR]
        document.exit_code = int(ExitCode.INVALID)
        document.errors.append(
            Remark(
                code="invalid",
                message=f"{len(errors)} errors in {len(report.objects)} claims",
                hint="make the objects named anew, or restore them from a backup",
            )
        )
    return document


def _audit_file(path: Path, now: float) -> Report:
    content = ChangeSet().read(path)
    if content is None:
        raise Failure(f"there is no file {path}", code="not-found", path=str(path), hint="check the path")
    text = content.decode("utf-8", "replace")
    report = Report(objects=[], findings=[])
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and all("|" in line for line in lines):
        for number, line in enumerate(lines, 1):
            key, _, token = line.partition("|")
            _audit_token(report, f"{path}:{number}", token.strip(), now, key.strip())
    else:
        try:
            _audit_token(report, str(path), find_token(text), now)
        except CredentialsError as error:
            report.objects.append(str(path))
            report.findings.append(Finding(level=ERROR, object=str(path), message=str(error)))
    return report


def _audit_token(report: Report, label: str, token: str, now: float, key: str = "") -> None:
    report.objects.append(label)
    try:
        claims = decode(token)
    except TokenError as error:
        report.findings.append(Finding(level=ERROR, object=label, message=str(error)))
        return
    if key and claims.subject != key:
        message = f"the line says {key}, the claim is about {claims.subject}"
        report.findings.append(Finding(level=ERROR, object=label, message=message))
    report.findings.extend(audit_claims(claims, label, now))
