"""``gossamer mapping``: subjects of an account that become others."""

from typing import Any

import click

from gossamer.operator.commands import options
from gossamer.operator.commands.place import account_answer, account_place
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.output.document import Document, Table
from gossamer.operator.tenants import mappings


@click.group()
def mapping() -> None:
    """Map subjects of an account to others, in shares, per cluster."""


_from_option = click.option("-f", "--from", "source", required=True, metavar="SUBJECT", help="What is published.")
_cluster_option = click.option("--cluster", default=None, metavar="NAME", help="Only in this cluster.")


@mapping.command()
@options.account_option
@_from_option
@click.option(
    "-t", "--to", "target", required=True, metavar="SUBJECT", help="What it becomes: new.$1, p.{{partition(3,1)}}."
)
@click.option("--weight", type=int, default=mappings.WHOLE, show_default=True, help="Share in percent.")
@_cluster_option
@writing
def create(session: Session, account_name: str, source: str, target: str, weight: int, cluster: str | None) -> Document:
    """Add a target to the mapping of a subject, or give one that is there another weight."""
    operator, account = account_place(session, account_name)
    outcome = mappings.create_mapping(
        session.workspace,
        operator,
        account,
        source,
        target,
        weight=weight,
        cluster=cluster or "",
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


mapping.add_command(create, "add")


@mapping.command()
@options.account_option
@_from_option
@click.option("-t", "--to", "target", default="", metavar="SUBJECT", help="Only this target.")
@_cluster_option
@writing
def delete(session: Session, account_name: str, source: str, target: str, cluster: str | None) -> Document:
    """End the mapping of a subject, or of one of its targets."""
    operator, account = account_place(session, account_name)
    outcome = mappings.delete_mapping(
        session.workspace,
        operator,
        account,
        source,
        target=target,
        cluster=cluster,
        now=now_seconds(),
        wish=session.signer,
    )
    return account_answer(session, operator, account, outcome)


@mapping.command("list")
@options.account_option
@reading
def list_mappings(session: Session, account_name: str) -> Document:
    """List the mappings of an account."""
    claims = session.workspace.account(account_name).claims
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for source, targets in claims.mappings.items():
        for target in targets:
            weight = target.weight or mappings.WHOLE
            data.append({"from": source, "to": target.subject, "weight": weight, "cluster": target.cluster or None})
            rows.append((source, target.subject, f"{weight} %", target.cluster))
    table = Table(title=f"Mappings of {claims.name}", columns=("From", "To", "Weight", "Cluster"), rows=tuple(rows))
    return Document(data=data, sections=[table])
