"""``gossamer tool``: quick tests with the credentials of a stored user."""

from typing import Any

import click

from gossamer.auth.credentials import CredentialsError, parse_credentials
from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import parse_duration
from gossamer.operator.commands.place import account_place
from gossamer.operator.commands.session import Session, reading
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Facts, Table
from gossamer.operator.tenants import users
from gossamer.operator.tool import client
from gossamer.operator.tool.client import Target


@click.group()
def tool() -> None:
    """Try a mesh with the credentials of a stored user: publish, subscribe, ask, answer, measure."""


_connection_options = options.together(
    options.account_option,
    click.option("-u", "--user", "user_name", required=True, metavar="NAME", help="Whose credentials."),
    click.option("--nats", "servers", metavar="URL", default="", help="Servers; default: the operator's service URLs."),
    click.option("--timeout", default="5s", metavar="DURATION", show_default=True, help="How long to wait."),
    click.option("--ca-cert", metavar="FILE", default="", help="Authority that signed the servers' certificates."),
    click.option("--client-cert", metavar="FILE", default="", help="Certificate of ours."),
    click.option("--client-key", metavar="FILE", default="", help="Its key."),
    click.option("--tls-first", is_flag=True, help="Begin with the TLS handshake."),
)
_count_option = click.option(
    "-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="How many."
)


@tool.command()
@click.argument("subject")
@click.argument("message", default="")
@_connection_options
@reading
def pub(session: Session, subject: str, message: str, **given: Any) -> Document:
    """Publish one message."""
    target = _target(session, given)
    client.run(client.publish(target, subject, message.encode()), target)
    document = Document(data={"subject": subject, "bytes": len(message.encode())})
    document.done.append(f"published {len(message.encode())} bytes on {subject!r}")
    return document


@tool.command()
@click.argument("subject")
@click.option("-q", "--queue", default="", help="Queue group.")
@_count_option
@_connection_options
@reading
def sub(session: Session, subject: str, queue: str, count: int, **given: Any) -> Document:
    """Wait for messages, and show them."""
    target = _target(session, given)
    received = client.run(client.subscribe(target, subject, queue, count), target)
    rows = tuple((entry.subject, entry.reply, entry.text) for entry in received)
    return Document(
        data=received,
        sections=[Table(title="Messages", columns=("Subject", "Reply", "Message"), rows=rows)],
    )


@tool.command()
@click.argument("subject")
@click.argument("message", default="")
@_connection_options
@reading
def req(session: Session, subject: str, message: str, **given: Any) -> Document:
    """Ask, and show the answer."""
    target = _target(session, given)
    answer = client.run(client.ask(target, subject, message.encode()), target)
    pairs = (("subject", subject), ("answer", answer.text))
    return Document(data=answer, sections=[Facts(pairs=pairs)])


@tool.command()
@click.argument("subject")
@click.argument("message", default="")
@click.option("-q", "--queue", default="", help="Queue group.")
@_count_option
@_connection_options
@reading
def reply(session: Session, subject: str, message: str, queue: str, count: int, **given: Any) -> Document:
    """Answer requests with a message; without one each gets back what it brought."""
    target = _target(session, given)
    answered = client.run(client.answer(target, subject, queue, message.encode(), count), target)
    document = Document(data=answered)
    document.done.append(f"answered {len(answered)} requests on {subject!r}")
    return document


@tool.command()
@_count_option
@_connection_options
@reading
def rtt(session: Session, count: int, **given: Any) -> Document:
    """Measure the time to a server and back."""
    target = _target(session, given)
    server, times = client.run(client.round_trips(target, count), target)
    times_ms = [round(seconds * 1000, 3) for seconds in times]
    data = {"server": server, "times_ms": times_ms, "mean_ms": round(sum(times_ms) / len(times_ms), 3)}
    pairs = (("server", server), ("mean", f"{data['mean_ms']} ms"))
    return Document(data=data, sections=[Facts(pairs=pairs)])


def _target(session: Session, given: dict[str, Any]) -> Target:
    operator, account = account_place(session, given["account_name"])
    workspace = session.workspace
    text = users.credentials_text(workspace, operator, account, given["user_name"])
    try:
        credentials = parse_credentials(text)
    except CredentialsError as error:
        raise Failure(f"the credentials of {given['user_name']!r} are no good: {error}", code="broken-file") from None
    servers = given["servers"].split(",") if given["servers"] else workspace.operator().claims.operator_service_urls
    if not servers:
        raise Failure(
            f"operator {operator!r} names no servers",
            code="no-service-url",
            hint="name one with --nats nats://HOST:PORT",
        )
    if bool(given["client_cert"]) != bool(given["client_key"]):
        raise usage("a certificate and its key belong together", "give --client-cert and --client-key")
    return Target(
        servers=tuple(servers),
        credentials=credentials,
        timeout_s=parse_duration(given["timeout"]) / 1e9,
        authority=given["ca_cert"],
        certificate=given["client_cert"],
        key=given["client_key"],
        tls_first=given["tls_first"],
    )
