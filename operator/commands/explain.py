"""``gossamer explain``."""

import click

from gossamer.auth.settings import AuthSettings
from gossamer.operator.commands import options
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode, Failure, not_available
from gossamer.operator.output.document import Document, Facts
from gossamer.operator.tenants.explaining import (
    PUBLISH,
    SUBSCRIBE,
    Explanation,
    standing_in_configuration,
    standing_in_store,
)
from gossamer.operator.tenants.explaining import (
    explain as explain_standing,
)

_VERBS = {PUBLISH: "publish to", SUBSCRIBE: "subscribe to"}


@click.group()
def explain() -> None:
    """Which rule lets a user publish or subscribe, or refuses it."""


_common = options.together(
    click.argument("user"),
    click.argument("subject"),
    options.account_option,
    click.option("--config", metavar="FILE", default="", help="Users and trust of this server configuration."),
    click.option("--exit-code", is_flag=True, help="Exit with 1 when it is refused."),
)


@explain.command()
@_common
@reading
def pub(session: Session, user: str, subject: str, account_name: str, config: str, exit_code: bool) -> Document:
    """May USER publish to SUBJECT? USER is a name, ACCOUNT/NAME, a public key, or a credentials file."""
    return _answer(session, PUBLISH, user, subject, "", account_name, config, exit_code)


@explain.command()
@_common
@click.option("--queue", metavar="GROUP", default="", help="As a member of this queue group.")
@reading
def sub(
    session: Session, user: str, subject: str, account_name: str, config: str, exit_code: bool, queue: str
) -> Document:
    """May USER subscribe to SUBJECT? USER is a name, ACCOUNT/NAME, a public key, or a credentials file."""
    return _answer(session, SUBSCRIBE, user, subject, queue, account_name, config, exit_code)


def _answer(
    session: Session,
    action: str,
    user: str,
    subject: str,
    queue: str,
    account_name: str,
    config: str,
    exit_code: bool,
) -> Document:
    if config:
        settings = _configured(config)
        standing = standing_in_configuration(settings, session.workspace, user, account_name, now_seconds())
    else:
        standing = standing_in_store(session.workspace, user, account_name, now_seconds())
    found = explain_standing(standing, action, subject, queue)
    document = Document(data=found, sections=[Facts(title=_headline(found), pairs=_pairs(found))])
    if exit_code and not found.allowed:
        document.exit_code = int(ExitCode.FAILURE)
    return document


def _configured(path: str) -> AuthSettings:
    try:
        from gossamer.mesh.options.loading import load
    except ModuleNotFoundError:
        raise not_available("reading a server's configuration") from None
    try:
        return load(["-c", path]).authorization
    except (ValueError, OSError) as error:
        message = str(error)
    raise Failure(f"{path} cannot be used: {message}", code="broken-file", hint="see: gossamer check FILE", path=path)


def _headline(found: Explanation) -> str:
    group = f" in queue group {found.queue}" if found.queue else ""
    may = "may" if found.allowed else "may not"
    return f"{found.user} of {found.account} {may} {_VERBS[found.action]} {found.subject}{group}"


def _pairs(found: Explanation) -> tuple[tuple[str, str], ...]:
    pairs = [
        ("answer", _headline(found)),
        ("rule", found.rule),
        ("stands in", found.place),
        ("signed by", found.signer),
        *(("note", note) for note in found.notes),
    ]
    return tuple((label, value) for label, value in pairs if value)
