"""What the commands about one account share: which account is meant, and how a change of it is answered."""

from typing import Any

import click

from gossamer.auth.claims import SERVICE, STREAM
from gossamer.operator.commands import options, views
from gossamer.operator.commands.session import Session
from gossamer.operator.failure import usage
from gossamer.operator.output.document import Document
from gossamer.operator.tenants.result import Outcome

kind_options = options.together(
    click.option("-r", "--service", is_flag=True, help="A service: requests and answers."),
    click.option("--stream", is_flag=True, help="A stream: messages in one direction."),
)


def kind_of(service: bool, stream: bool, default: str = "") -> str:
    """``service``, ``stream`` or the default. Raises Failure (usage) when both are asked for."""
    if service and stream:
        raise usage("an object is a service or a stream", "give --service or --stream, not both")
    return SERVICE if service else STREAM if stream else default


def account_place(session: Session, account_name: str) -> tuple[str, str]:
    """Names of the operator and the account that are meant. Raises Failure when nothing decides."""
    operator = session.workspace.operator().claims.name
    return operator, session.workspace.account(account_name).claims.name


def account_answer(session: Session, operator: str, account: str, outcome: Outcome, **more: Any) -> Document:
    """The answer of every command that changes an account's claim."""
    claims = session.workspace.store.account(operator, account).claims
    data = views.summary(claims) | {"created": outcome.created, "changed": outcome.changed} | more
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)
