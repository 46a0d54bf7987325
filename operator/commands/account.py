"""``gossamer account`` and ``gossamer account signing-key``."""

from typing import Any

import click

from gossamer.operator.commands import options, views
from gossamer.operator.commands.adopt import import_account
from gossamer.operator.commands.amounts import show_limit, show_moment, split_list
from gossamer.operator.commands.callout import callout
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.failure import usage
from gossamer.operator.output.document import Document, Table, cell
from gossamer.operator.tenants import accounts, closing
from gossamer.operator.tenants.accounts import AccountEdit
from gossamer.operator.tenants.renaming import rename_account
from gossamer.operator.tenants.result import Outcome


@click.group()
def account() -> None:
    """Create, edit, list, describe and delete accounts."""


account.add_command(callout)
account.add_command(import_account, "import")


_edit_options = options.together(
    options.claim_options,
    options.limit_options,
    options.permission_options,
    options.many("--sk", help_text="Signing keys to add: a public key, a path, or the word generate."),
    click.option("--description", default=None, help="What it is for."),
    click.option("--info-url", metavar="URL", default=None, help="Where more is said about it."),
    click.option("--trace-context-subject", metavar="SUBJECT", default=None, help="Where traces go; empty: nowhere."),
    click.option("--trace-context-sampling", type=int, default=None, help="Percentage of messages traced."),
)


@account.command()
@click.argument("name")
@click.option("-k", "--public-key", metavar="KEY", default="", help="Use this account key: public, or a path.")
@click.option("--exist-ok", is_flag=True, help="Bring an account that exists to what is asked.")
@_edit_options
@writing
def create(session: Session, name: str, public_key: str, exist_ok: bool, **given: Any) -> Document:
    """Create an account. Permission options are the defaults of its users."""
    outcome = accounts.create_account(
        session.workspace,
        session.workspace.operator().claims.name,
        name,
        now=now_seconds(),
        edit=_edit(given),
        public=public_key,
        wish=session.signer,
        exist_ok=exist_ok,
    )
    return _answer(session, name, outcome)


account.add_command(create, "add")


@account.command()
@click.argument("name", required=False)
@_edit_options
@options.many("--rm-sk", help_text="Signing keys, or roles, to remove.")
@options.remove_permission_options
@options.remove_tag_option
@click.option("--resign", is_flag=True, help="Sign it anew even if nothing changes.")
@writing
def edit(session: Session, name: str | None, **given: Any) -> Document:
    """Change an account. Permission options are the defaults of its users."""
    name = session.workspace.account(name or "").claims.name
    outcome = accounts.edit_account(
        session.workspace,
        session.workspace.operator().claims.name,
        name,
        _edit(given),
        now=now_seconds(),
        wish=session.signer,
    )
    return _answer(session, name, outcome)


@account.command()
@click.argument("name", required=False)
@click.option("-R", "--raw", is_flag=True, help="The token itself.")
@reading
def describe(session: Session, name: str | None, raw: bool) -> Document:
    """Show an account."""
    stored = session.workspace.account(name or "")
    if raw:
        return views.raw_document(stored)
    return Document(data=views.payload(stored.claims), sections=views.account_sections(stored.claims))


@account.command("list")
@reading
def list_accounts(session: Session) -> Document:
    """List the accounts of the operator."""
    workspace = session.workspace
    operator = workspace.operator().claims
    chosen = workspace.account_choice().name
    found = [workspace.store.account(operator.name, name).claims for name in workspace.store.accounts(operator.name)]
    rows = tuple(
        (
            claims.name,
            claims.subject,
            show_limit(claims.limits.connections),
            show_moment(claims.expires),
            "system" if claims.subject == operator.system_account else "*" if claims.name == chosen else "",
        )
        for claims in found
    )
    data = [
        views.summary(claims)
        | {
            "system": claims.subject == operator.system_account,
            "chosen": claims.name == chosen,
            "users": len(workspace.store.users(operator.name, claims.name)),
        }
        for claims in found
    ]
    table = Table(
        title=f"Accounts of {operator.name}", columns=("Name", "Key", "Connections", "Expires", ""), rows=rows
    )
    return Document(data=data, sections=[table])


@account.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also the system account.")
@click.option("-D", "--rm-nkey", is_flag=True, help="Remove its keys and those of its users.")
@click.option("-C", "--rm-creds", is_flag=True, help="Remove the credentials of its users.")
@writing
def delete(session: Session, name: str, force: bool, rm_nkey: bool, rm_creds: bool) -> Document:
    """Remove an account and its users from the store. Servers keep it: close it first (account close), and push. The
    answer shows all steps; --dry-run shows them without taking any."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    claims = workspace.account(name).claims
    name = claims.name
    plan = closing.removal_plan(claims)
    importers = closing.importers_of(workspace, operator, claims)
    outcome = accounts.delete_account(
        workspace, operator, name, force=force, remove_keys=rm_nkey, remove_credentials=rm_creds
    )
    if not closing.is_closed(claims):
        outcome.warn(
            "not-closed",
            f"account {name!r} was not closed: its users stay connected to servers that have it",
            f"the clean way is: gossamer account close {name}, push, account delete, prune",
        )
    if importers:
        outcome.warn("ends-imports", f"imports from it lead nowhere now: {', '.join(importers)}")
    rows = tuple((str(step["step"]), step["command"], step["effect"], cell(step["done"])) for step in plan)
    return Document(
        data={"name": name, "key": claims.subject, "removed": True, "importers": importers, "plan": plan},
        sections=[Table(title="How an account ends", columns=("Step", "Command", "Effect", "Done"), rows=rows)],
        done=outcome.done,
        warnings=outcome.warnings,
    )


@account.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also the system account.")
@writing
def close(session: Session, name: str, force: bool) -> Document:
    """Let nobody into an account any more: the first step of its end. Push it afterwards."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    name = workspace.account(name).claims.name
    outcome = closing.close_account(workspace, operator, name, now=now_seconds(), force=force, wish=session.signer)
    document = _answer(session, name, outcome)
    document.data["plan"] = closing.removal_plan(workspace.store.account(operator, name).claims)
    document.done.append(f"next: gossamer push -a {name}, then gossamer account delete {name}")
    return document


@account.command()
@click.argument("old")
@click.argument("new")
@writing
def rename(session: Session, old: str, new: str) -> Document:
    """Give an account another name. Its key, its users and their credentials stay."""
    operator = session.workspace.operator().claims.name
    outcome = rename_account(session.workspace, operator, old, new, now=now_seconds(), wish=session.signer)
    return _answer(session, new.strip(), outcome)


@account.group("signing-key")
def signing_key() -> None:
    """Signing keys of an account: plain ones, and roles (scoped keys)."""


@signing_key.command("create")
@options.account_option
@click.option("--sk", default=accounts.GENERATE, metavar="KEY", help="A public key or a path; default: a new key.")
@click.option("--role", default="", help="Make it a role: users it signs get what follows, and nothing else.")
@click.option("--description", default="", help="What the role is for.")
@click.option("--exist-ok", is_flag=True, help="Bring a role that exists to what is asked.")
@options.grant_options
@writing
def create_signing_key(
    session: Session, account_name: str, sk: str, role: str, description: str, exist_ok: bool, **given: Any
) -> Document:
    """Add a signing key. Without --role it is a plain one, whose users have permissions of their own."""
    operator = session.workspace.operator().claims.name
    name = session.workspace.account(account_name).claims.name
    grant = options.grant_edit(given)
    if role:
        outcome = accounts.create_scope(
            session.workspace,
            operator,
            name,
            role,
            grant,
            now=now_seconds(),
            key=sk,
            description=description,
            wish=session.signer,
            exist_ok=exist_ok,
        )
    elif not grant.is_empty or description:
        raise usage("permissions and limits belong to a role", "name it with --role")
    else:
        outcome = accounts.edit_account(
            session.workspace,
            operator,
            name,
            AccountEdit(signing_keys=(sk,)),
            now=now_seconds(),
            wish=session.signer,
        )
    return _answer(session, name, outcome)


@signing_key.command("edit")
@click.argument("role_or_key")
@options.account_option
@click.option("--role", default=None, help="A new name for the role.")
@click.option("--description", default=None, help="What the role is for.")
@options.grant_options
@options.remove_grant_options
@writing
def edit_signing_key(
    session: Session, role_or_key: str, account_name: str, role: str | None, description: str | None, **given: Any
) -> Document:
    """Change what a role grants."""
    operator = session.workspace.operator().claims.name
    name = session.workspace.account(account_name).claims.name
    outcome = accounts.edit_scope(
        session.workspace,
        operator,
        name,
        role_or_key,
        options.grant_edit(given),
        now=now_seconds(),
        role=role,
        description=description,
        wish=session.signer,
    )
    return _answer(session, name, outcome)


@signing_key.command("delete")
@click.argument("role_or_key")
@options.account_option
@writing
def delete_signing_key(session: Session, role_or_key: str, account_name: str) -> Document:
    """Remove a signing key: what it signed is void once servers get the account's claim."""
    operator = session.workspace.operator().claims.name
    name = session.workspace.account(account_name).claims.name
    edit = AccountEdit(remove_signing_keys=(role_or_key,))
    outcome = accounts.edit_account(session.workspace, operator, name, edit, now=now_seconds(), wish=session.signer)
    return _answer(session, name, outcome)


@signing_key.command("list")
@options.account_option
@reading
def list_signing_keys(session: Session, account_name: str) -> Document:
    """List the signing keys of an account."""
    claims = session.workspace.account(account_name).claims
    keystore = session.workspace.keystore
    data: list[dict[str, Any]] = []
    for key in claims.signing_key_texts:
        scope = claims.scope(key)
        data.append(
            {
                "key": key,
                "stored": keystore.has_seed(key),
                "role": None if scope is None else scope.role,
                "description": "" if scope is None else scope.description,
                "template": None if scope is None else scope.template.members(),
            }
        )
    return Document(data=data, sections=[views.signing_key_table(claims)])


def _edit(given: dict[str, Any]) -> AccountEdit:
    return AccountEdit(
        claim=options.claim_edit(given),
        limits=options.limit_edit(given),
        default_permissions=options.permission_edit(given),
        signing_keys=tuple(split_list(given["sk"])),
        remove_signing_keys=tuple(split_list(given.get("rm_sk", ()))),
        description=given["description"],
        info_url=given["info_url"],
        trace_destination=given["trace_context_subject"],
        trace_sampling=given["trace_context_sampling"],
        resign=given.get("resign", False),
    )


def _answer(session: Session, name: str, outcome: Outcome) -> Document:
    operator = session.workspace.operator().claims.name
    claims = session.workspace.store.account(operator, name).claims
    data = views.summary(claims) | {"created": outcome.created, "changed": outcome.changed}
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)
