"""Commands that take over what was made elsewhere: operators, accounts, users, a whole store of nsc."""

from pathlib import Path

import click

from gossamer.operator.commands import options, views
from gossamer.operator.commands.place import account_answer
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Document
from gossamer.operator.tenants import adoption
from gossamer.operator.tenants.audit import audit_store

_overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an older one that is here.")
_skip_option = click.option("--skip", is_flag=True, help="Take it even if it is not valid.")
_file_options = options.together(
    click.argument("file_name", metavar="FILE|URL"),
    _overwrite_option,
)


@click.command("nsc")
@click.argument("folder", required=False, metavar="[DIR]")
@click.option("--stores", metavar="DIR", default="", help="The stores of nsc; default: DIR/stores, or DIR.")
@click.option("--keys", metavar="DIR", default="", help="The keystore of nsc; default: DIR/keys, or DIR.")
@click.option("--only", metavar="OPERATOR", default="", help="Only this operator.")
@_overwrite_option
@writing
def adopt_nsc(session: Session, folder: str | None, stores: str, keys: str, only: str, overwrite: bool) -> Document:
    """Take over operators, accounts, users, keys and credentials of a store that nsc keeps elsewhere. What it keeps in
    the usual places is used where it is: there is nothing to do."""
    home = Path(folder).expanduser().absolute() if folder else None
    if home is None and not stores:
        raise Failure("nothing to take over was named", code="usage", hint="name the folder: gossamer import nsc DIR")
    if home is not None and not home.is_dir():
        raise Failure(f"there is no folder {home}", code="not-found", hint="check the path", path=str(home))
    from_stores = Path(stores).expanduser().absolute() if stores else _inner(home, "stores")
    # With nsc's -H everything is in one folder, and the keys are in DIR/keys/O/...: then DIR is the keystore.
    one_folder = home is not None and not (home / "keys" / "keys").is_dir()
    from_keys = Path(keys).expanduser().absolute() if keys else home if one_folder else _inner(home, "keys")
    assert from_stores is not None
    names, outcome = adoption.adopt_store(
        session.workspace, from_stores, from_keys or from_stores, only=only, overwrite=overwrite
    )
    document = Document(
        data={"operators": names, "changed": outcome.changed}, done=outcome.done, warnings=outcome.warnings
    )
    for name in names:
        report = audit_store(session.workspace, name, now_seconds())
        for finding in report.findings:
            document.warn("finding", f"{finding.object}: {finding.message}")
    return document


@click.command("import")
@_file_options
@writing
def import_operator(session: Session, file_name: str, overwrite: bool) -> Document:
    """Take over an operator's JWT. Without its key the store is a managed one: its accounts sign themselves, and wait
    for the operator's signature."""
    outcome = adoption.import_operator(session.workspace, file_name, now=now_seconds(), overwrite=overwrite)
    claims = adoption.read_claim(file_name)[1]
    store = session.workspace.store
    data = views.summary(claims) | {"changed": outcome.changed, "managed": store.is_managed(claims.name)}
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)


@click.command("import")
@_file_options
@click.option("--force", is_flag=True, help="Sign it with the operator's key if somebody else did.")
@_skip_option
@click.option("--users", is_flag=True, help="Also the users in the folder users beside FILE, as in a store.")
@writing
def import_account(session: Session, file_name: str, overwrite: bool, force: bool, skip: bool, users: bool) -> Document:
    """Take over an account's JWT: one that the operator signed elsewhere, or with --force one that it shall sign."""
    operator = session.workspace.operator().claims.name
    name, outcome = adoption.import_account(
        session.workspace,
        operator,
        file_name,
        now=now_seconds(),
        overwrite=overwrite,
        force=force,
        skip_validation=skip,
        wish=session.signer,
    )
    for path in sorted((Path(file_name).expanduser().absolute().parent / "users").glob("*.jwt")) if users else ():
        outcome.include(
            adoption.import_user(
                session.workspace,
                operator,
                str(path),
                now=now_seconds(),
                overwrite=overwrite,
                skip_validation=skip,
            )[2]
        )
    return account_answer(session, operator, name, outcome)


@click.command("import")
@_file_options
@_skip_option
@writing
def import_user(session: Session, file_name: str, overwrite: bool, skip: bool) -> Document:
    """Take over a user's JWT or credentials; a seed in the file goes into the keystore."""
    operator = session.workspace.operator().claims.name
    account, name, outcome = adoption.import_user(
        session.workspace,
        operator,
        file_name,
        now=now_seconds(),
        overwrite=overwrite,
        skip_validation=skip,
    )
    claims = session.workspace.store.user(operator, account, name).claims
    data = views.summary(claims) | {"account": account, "created": outcome.created, "changed": outcome.changed}
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)


def _inner(home: Path | None, name: str) -> Path | None:
    if home is None:
        return None
    return home / name if (home / name).is_dir() else home
