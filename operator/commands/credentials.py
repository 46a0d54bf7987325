"""``gossamer credentials``: what expires when, and who uses it."""

import math
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import structs
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.reach import reach_of, reach_options, span_s
from gossamer.operator.commands.revoke import live_connections
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.expiring import DUE, EXPIRED, NEVER, Credential, credentials_of
from gossamer.operator.output.document import Document, Remark, Table, Text

PROMETHEUS = "prometheus"


@click.group()
def credentials() -> None:
    """What was issued: when it expires, who signed it, whether it is in use."""


@credentials.command()
@click.option("--within", default="30d", show_default=True, metavar="DURATION", help="Due is what expires so soon.")
@click.option("--live", is_flag=True, help="Ask the mesh who is connected, and show what is in use.")
@click.option("--due", "only_due", is_flag=True, help="Show only what is due or has expired.")
@click.option("--format", "form", type=click.Choice(["table", PROMETHEUS]), default="table", help="Or as gauges.")
@reach_options
@reading
def expiring(session: Session, within: str, live: bool, only_due: bool, form: str, **given: Any) -> Document:
    """Every operator, account, signing key, user and activation, with its expiry and signer. Exit code 4 when
    something is due or has expired."""
    reach = reach_of(given)
    connections = live_connections(session, reach) if live else None
    operator = session.workspace.operator().claims.name
    rows = credentials_of(
        session.workspace,
        operator,
        now=now_seconds(),
        within_s=span_s(within),
        live=connections,
    )
    late = [entry for entry in rows if entry.state in {DUE, EXPIRED}]
    shown = late if only_due else rows
    if form == PROMETHEUS:
        text = prometheus_text(rows)
        document = Document(data={"prometheus": text}, sections=[Text(content=text)])
    else:
        data = {"within_s": span_s(within), "credentials": [_data(entry) for entry in shown]}
        columns = ("Kind", "Name", "Expires", "State", "Signer", "In use")
        table = Table(title="Credentials", columns=columns, rows=tuple(_row(entry) for entry in shown))
        document = Document(data=data, sections=[table])
    if late:
        document.exit_code = int(ExitCode.EXPIRY_DUE)
        gone = sum(entry.state == EXPIRED for entry in late)
        document.errors.append(
            Remark(
                code="expiry-due",
                message=f"{len(late) - gone} credentials expire within {within}, {gone} have expired",
                hint="issue users anew with: gossamer rotate user NAME; others with edit --expiry",
            )
        )
    return document


def prometheus_text(rows: list[Credential]) -> str:
    """The gauges, in the text form: when each expires (``+Inf``: never), and how many connections use it."""
    registry = CollectorRegistry()
    labels = ("kind", "name", "key")
    expiry = Gauge(
        "gossamer_credential_expiry_timestamp_seconds", "When it expires; +Inf: never.", labels, registry=registry
    )
    use = Gauge("gossamer_credential_connections", "Live connections that use it.", labels, registry=registry)
    for entry in rows:
        values = (entry.kind, entry.name, entry.key)
        expiry.labels(*values).set(math.inf if entry.expires is None else entry.expires)
        if entry.connections is not None:
            use.labels(*values).set(entry.connections)
    return generate_latest(registry).decode()


def _data(entry: Credential) -> dict[str, Any]:
    moments = {"expires": _moment(entry.expires), "issued": _moment(entry.issued)}
    return {**structs.asdict(entry), **moments, "in_use": entry.in_use}


def _moment(seconds: int | None) -> str | None:
    """RFC 3339; None stays None: what never expires has no date."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _row(entry: Credential) -> tuple[str, ...]:
    use = "" if entry.connections is None else str(entry.connections)
    expires = "never" if entry.state == NEVER else show_moment(entry.expires)
    return entry.kind, entry.name, expires, "revoked" if entry.revoked else entry.state, entry.signer, use
