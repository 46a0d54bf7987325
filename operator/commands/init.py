"""``gossamer init``: everything needed to start, in one go."""

import click

from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.output.document import Document
from gossamer.operator.tenants import users
from gossamer.operator.tenants.bootstrap import DEFAULT_SERVICE_URL, bootstrap


@click.command()
@click.argument("name")
@click.option("-u", "--service-url", metavar="URL", default=DEFAULT_SERVICE_URL, show_default=True, help="For clients.")
@click.option("--account", "account_name", metavar="NAME", default="", help="Name of the account; default: NAME.")
@click.option("--user", "user_name", metavar="NAME", default="", help="Name of the user; default: NAME.")
@click.option("--exist-ok", is_flag=True, help="Make only what is missing.")
@writing
def init(session: Session, name: str, service_url: str, account_name: str, user_name: str, exist_ok: bool) -> Document:
    """Make operator NAME with a signing key, the system account SYS with a user sys, an account and a user."""
    workspace = session.workspace
    account, user = account_name or name, user_name or name
    outcome = bootstrap(
        workspace, name, account=account, user=user, service_url=service_url, now=now_seconds(), exist_ok=exist_ok
    )
    system = workspace.system_account_name(name)
    data = {
        "operator": name,
        "account": account,
        "user": user,
        "system_account": system,
        "credentials": str(users.credentials_path(workspace, name, account, user)),
        "system_credentials": str(users.credentials_path(workspace, name, system, "sys")),
        "created": outcome.created,
        "changed": outcome.changed,
    }
    document = Document(data=data, done=outcome.done, warnings=outcome.warnings)
    document.done.append("next: gossamer generate config --mem-resolver --config-file resolver.conf")
    return document
