"""``gossamer env``: the folders, and the context."""

import os
from pathlib import Path

import click

from gossamer.operator.commands.session import Session, writing_context
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Document, Facts, Table
from gossamer.operator.store.places import Places
from gossamer.operator.store.store import Store

VARIABLES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "NSC_HOME", "NKEYS_PATH", "NSC_CWD_ONLY", "NSC_NO_GIT_IGNORE")


@click.command()
@click.option("-s", "--store", "store_root", metavar="DIR", default="", help="Use the stores in DIR from now on.")
@click.option("-o", "--operator", "chosen_operator", metavar="NAME", default="", help="Choose an operator.")
@click.option("-a", "--account", "chosen_account", metavar="NAME", default="", help="Choose an account.")
@writing_context
def env(session: Session, store_root: str, chosen_operator: str, chosen_account: str) -> Document:
    """Show the folders and the context, or set the context."""
    workspace = session.workspace
    document = Document()
    members = {}
    store = workspace.store
    if store_root:
        root = Path(store_root).expanduser().absolute()
        if not root.is_dir():
            raise Failure(f"there is no folder {root}", code="not-found", hint="make an operator with --data-dir first")
        members["store_root"] = str(root)
        store = Store(root, workspace.changes)
    if chosen_operator:
        store.operator(chosen_operator)
        members["operator"] = chosen_operator
        if chosen_operator != workspace.context.text("operator"):
            members["account"] = ""
    operator = chosen_operator or workspace.operator_choice().name
    if chosen_account:
        store.account(operator, chosen_account)
        members |= {"operator": operator, "account": chosen_account}
    if members:
        if workspace.context.ignored:
            raise Failure("NSC_CWD_ONLY is set: the context file is not used", code="context-ignored", hint="unset it")
        members.setdefault("store_root", str(store.root))
        workspace.context.update(**members)
        document.done.append(f"set {', '.join(f'{name} {value!r}' for name, value in members.items() if value)}")
    current = workspace.operator_choice()
    account = workspace.account_choice()
    places: Places = workspace.places
    data = {
        "context_file": str(places.context_file),
        "stores": str(store.root),
        "keys": str(places.keys),
        "operator": {"name": chosen_operator or current.name or None, "source": current.source},
        "account": {"name": chosen_account or account.name or None, "source": account.source},
        "variables": {name: os.environ.get(name) for name in VARIABLES},
    }
    document.data = data
    document.sections = [
        Facts(
            title="Context",
            pairs=(
                ("context file", str(places.context_file)),
                ("stores", str(store.root)),
                ("keys", str(places.keys)),
                ("operator", f"{current.name} ({current.source})" if current.name else "none"),
                ("account", f"{account.name} ({account.source})" if account.name else "none"),
            ),
        ),
        Table(
            title="Environment",
            columns=("Variable", "Value"),
            rows=tuple((name, os.environ.get(name, "")) for name in VARIABLES),
        ),
    ]
    return document
