"""``gossamer jwt``: loose tokens."""

from typing import Any

import click

from gossamer.auth.claims import AccountClaims
from gossamer.operator.commands import views
from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.output.document import Document, Facts, Section, Text
from gossamer.operator.tenants.adoption import read_claim
from gossamer.operator.tenants.audit import audit_claims


@click.group()
def jwt() -> None:
    """Look into loose tokens."""


@jwt.command()
@click.argument("file_name", metavar="FILE|URL")
@click.option("-R", "--raw", is_flag=True, help="The token itself, without what is around it.")
@reading
def describe(session: Session, file_name: str, raw: bool) -> Document:
    """Show what a token says: a JWT of any kind, bare, decorated or in credentials. Its signature is checked."""
    token, claims, _ = read_claim(file_name)
    if raw:
        return Document(data={"jwt": token}, sections=[Text(content=f"{token}\n")])
    sections: list[Section]
    if isinstance(claims, AccountClaims):
        sections = views.account_sections(claims)
    else:
        sections = [
            Facts(title=f"{claims.TYPE or 'claim'} {claims.name}".strip(), pairs=tuple(_pairs(claims.members())))
        ]
    document = Document(data=views.payload(claims), sections=sections)
    for finding in audit_claims(claims, claims.TYPE, now_seconds()):
        document.warn("finding", finding.message)
    return document


def _pairs(members: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Members of members as ``nats.pub.allow``; times of the envelope as dates."""
    found: list[tuple[str, str]] = []
    for name, value in members.items():
        label = f"{prefix}{name}"
        if isinstance(value, dict):
            found += _pairs(value, f"{label}.")
        elif label in ("iat", "exp", "nbf"):
            found.append((label, show_moment(value)))
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append((label, text))
    return found
