"""``gossamer explain``: the whole way of a message, and who decides what on it."""

import asyncio
from typing import Any

import click
from msgspec import structs

from gossamer.auth.settings import AuthSettings
from gossamer.operator.commands import options
from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode, Failure, not_available, usage
from gossamer.operator.output.document import Document, Facts, Section, Table
from gossamer.operator.tenants.explaining import (
    PUBLISH,
    REQUEST,
    SUBSCRIBE,
    Explanation,
    map_of_configuration,
    map_of_store,
    standing_in_configuration,
    standing_in_store,
)
from gossamer.operator.tenants.explaining import (
    explain as explain_standing,
)
from gossamer.operator.tenants.journey import Step
from gossamer.operator.tenants.receivers import Receiver, receivers

_VERBS = {PUBLISH: "publish to", SUBSCRIBE: "subscribe to", REQUEST: "ask"}


@click.group()
def explain() -> None:
    """Which rule lets a user publish, ask or subscribe, where the message goes, and where and why it stops."""


_common = options.together(
    click.argument("user"),
    click.argument("subject"),
    options.account_option,
    click.option("--config", metavar="FILE", default="", help="Users and trust of this server configuration."),
    click.option("--exit-code", is_flag=True, help="Exit with 1 when it is refused."),
    click.option("--live", is_flag=True, help="Ask the mesh who has subscribed to where it arrives."),
    reach_options,
)


@explain.command()
@_common
@reading
def pub(session: Session, user: str, subject: str, **given: Any) -> Document:
    """May USER publish to SUBJECT, and who gets it? USER is a name, ACCOUNT/NAME, a public key, or a .creds file."""
    return _answer(session, PUBLISH, user, subject, "", given)


@explain.command()
@_common
@click.option("--queue", metavar="GROUP", default="", help="As a member of this queue group.")
@reading
def sub(session: Session, user: str, subject: str, queue: str, **given: Any) -> Document:
    """May USER subscribe to SUBJECT, and what comes? USER is a name, ACCOUNT/NAME, a public key, or a .creds file."""
    return _answer(session, SUBSCRIBE, user, subject, queue, given)


@explain.command()
@_common
@reading
def request(session: Session, user: str, subject: str, **given: Any) -> Document:
    """May USER send a request to SUBJECT, who gets it, and does an answer come back? USER as for pub."""
    return _answer(session, REQUEST, user, subject, "", given)


def _answer(session: Session, action: str, user: str, subject: str, queue: str, given: dict[str, Any]) -> Document:
    config, live, account_name = given["config"], given["live"], given["account_name"]
    reach = reach_of(given)
    now = now_seconds()
    if config:
        settings, cluster = _configured(config)
        if live and not settings.operator_mode:
            raise usage("--live needs a user of the system account by credentials", "leave --config or --live out")
        standing = standing_in_configuration(settings, session.workspace, user, account_name, now)
        accounts = map_of_configuration(settings, now, cluster)
    else:
        standing = standing_in_store(session.workspace, user, account_name, now)
        accounts = map_of_store(session.workspace, now)
    found = explain_standing(standing, action, subject, queue, accounts)
    data = structs.asdict(found)
    sections: list[Section] = [Facts(title=_headline(found), pairs=_pairs(found))]
    if found.path:
        rows = tuple((_indented(step), "stops" if step.stops else "", step.place) for step in found.path)
        sections.append(Table(title="The way", columns=("What happens", "", "Said by"), rows=rows))
    if live:
        there = asyncio.run(
            receivers(session.workspace, reach, found.arrivals, subscribing=action == SUBSCRIBE, now=now)
        )
        data["receivers"] = there
        sections.append(_receivers(there, action))
    document = Document(data=data, sections=sections)
    if given["exit_code"] and not found.allowed:
        document.exit_code = int(ExitCode.FAILURE)
    return document


def _indented(step: Step) -> str:
    return "  " * step.depth + step.text


def _receivers(found: list[Receiver], action: str) -> Table:
    title = "Others with such a subscription now" if action == SUBSCRIBE else "Who has subscribed now"
    empty = "nobody"
    if action == REQUEST:
        empty = "nobody: the answer is 503, no responders"
    rows = tuple((one.connection, one.account, one.subject, one.queue) for one in found)
    return Table(title=title, columns=("Connection", "Account", "Subscribed to", "Queue group"), rows=rows, empty=empty)


def _configured(path: str) -> tuple[AuthSettings, str]:
    try:
        from gossamer.mesh.options.loading import load
    except ModuleNotFoundError:
        raise not_available("reading a server's configuration") from None
    try:
        loaded = load(["-c", path])
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        return loaded.authorization, loaded.cluster.name if loaded.cluster is not None else ""
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
