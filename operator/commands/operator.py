"""``gossamer operator``."""

from typing import Any

import click

from gossamer.operator.commands import options, views
from gossamer.operator.commands.adopt import import_operator
from gossamer.operator.commands.amounts import show_moment, split_list
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.failure import Failure
from gossamer.operator.output.document import Document, Table
from gossamer.operator.tenants import operators, reissue
from gossamer.operator.tenants.operators import OperatorEdit
from gossamer.operator.tenants.result import Outcome


@click.group()
def operator() -> None:
    """Create, edit, list and describe operators."""


operator.add_command(import_operator, "import")


_edit_options = options.together(
    options.claim_options,
    click.option("-u", "--account-jwt-server-url", metavar="URL", default=None, help="Where accounts are pushed to."),
    options.many("-n", "--service-url", help_text="URLs of the servers, for clients."),
    options.many("--sk", help_text="Signing keys to add: a public key, a path, or the word generate."),
    click.option("--require-signing-keys/--no-require-signing-keys", default=None, help="Identity keys may not sign."),
)


@operator.command()
@click.argument("name")
@click.option("--sys", "system", is_flag=True, help="Make a system account SYS with a user sys and its credentials.")
@click.option("--generate-signing-key", is_flag=True, help="The same as --sk generate.")
@click.option("--exist-ok", is_flag=True, help="Bring an operator that exists to what is asked.")
@_edit_options
@writing
def create(
    session: Session, name: str, system: bool, generate_signing_key: bool, exist_ok: bool, **given: Any
) -> Document:
    """Create an operator."""
    edit = _edit(given)
    if generate_signing_key and operators.GENERATE not in edit.signing_keys:
        edit = _with_generated_key(edit)
    outcome = operators.create_operator(
        session.workspace, name, now=now_seconds(), edit=edit, system=system, exist_ok=exist_ok
    )
    return _answer(session, name, outcome)


operator.add_command(create, "add")


@operator.command()
@click.argument("name", required=False)
@_edit_options
@click.option("--rm-account-jwt-server-url", is_flag=True, help="Remove that URL.")
@options.many("--rm-service-url", help_text="URLs to remove.")
@options.many("--rm-sk", help_text="Signing keys to remove.")
@click.option("--system-account", metavar="NAME", default="", help="Name or public key of the system account.")
@options.remove_tag_option
@click.option("--resign-accounts", is_flag=True, help="Sign anew the accounts whose signer is no longer trusted.")
@writing
def edit(session: Session, name: str | None, resign_accounts: bool, **given: Any) -> Document:
    """Change an operator."""
    workspace = session.workspace
    name = name or workspace.operator().claims.name
    outcome = operators.edit_operator(workspace, name, _edit(given), now=now_seconds(), wish=session.signer)
    if resign_accounts:
        outcome.include(reissue.resign_accounts(workspace, name, now=now_seconds()))
        # All of them are signed by a trusted key now: the warning has been taken care of.
        outcome.warnings = [remark for remark in outcome.warnings if remark.code != "signed-by-removed-key"]
    return _answer(session, name, outcome)


@operator.command("reissue")
@click.argument("name", required=False)
@click.option("--convert-to-signing-key", "convert", is_flag=True, help="Keep the old identity key as a signing key.")
@writing
def reissue_command(session: Session, name: str | None, convert: bool) -> Document:
    """Give an operator a new identity key, and sign anew what the old one signed. -K names a key to use."""
    name = name or session.workspace.operator().claims.name
    outcome = reissue.reissue_operator(session.workspace, name, now=now_seconds(), key=session.signer, convert=convert)
    return _answer(session, name, outcome)


@operator.command()
@click.argument("name", required=False)
@click.option("-R", "--raw", is_flag=True, help="The token itself.")
@reading
def describe(session: Session, name: str | None, raw: bool) -> Document:
    """Show an operator."""
    workspace = session.workspace
    stored = workspace.store.operator(name) if name else workspace.operator()
    if raw:
        return views.raw_document(stored)
    return Document(data=views.payload(stored.claims), sections=views.operator_sections(workspace, stored))


@operator.command("list")
@reading
def list_operators(session: Session) -> Document:
    """List the operators of the store."""
    store = session.workspace.store
    found = [store.operator(name).claims for name in store.operators()]
    chosen = session.workspace.operator_choice().name
    rows = tuple(
        (claims.name, claims.subject, show_moment(claims.expires), "*" if claims.name == chosen else "")
        for claims in found
    )
    return Document(
        data=[views.summary(claims) | {"chosen": claims.name == chosen} for claims in found],
        sections=[Table(title="Operators", columns=("Name", "Key", "Expires", "Chosen"), rows=rows)],
    )


@operator.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also if it has accounts: they are removed with it.")
@click.option("-D", "--rm-nkey", is_flag=True, help="Remove its keys and those of its accounts and users.")
@click.option("-C", "--rm-creds", is_flag=True, help="Remove the credentials of its users.")
@writing
def delete(session: Session, name: str, force: bool, rm_nkey: bool, rm_creds: bool) -> Document:
    """Remove an operator from the store."""
    accounts = session.workspace.store.accounts(name) if session.workspace.store.operator(name) else []
    if accounts and not force:
        raise Failure(
            f"operator {name!r} has {len(accounts)} accounts",
            code="not-empty",
            hint="pass --force to remove them with it",
        )
    outcome = operators.delete_operator(session.workspace, name, remove_keys=rm_nkey, remove_credentials=rm_creds)
    return Document(data={"name": name, "removed": True}, done=outcome.done, warnings=outcome.warnings)


def _edit(given: dict[str, Any]) -> OperatorEdit:
    url = "" if given.pop("rm_account_jwt_server_url", False) else given.pop("account_jwt_server_url")
    return OperatorEdit(
        claim=options.claim_edit(given),
        account_server_url=url,
        service_urls=tuple(split_list(given["service_url"])),
        remove_service_urls=tuple(split_list(given.get("rm_service_url", ()))),
        system_account=given.get("system_account", ""),
        signing_keys=tuple(split_list(given["sk"])),
        remove_signing_keys=tuple(split_list(given.get("rm_sk", ()))),
        require_signing_keys=given["require_signing_keys"],
    )


def _with_generated_key(edit: OperatorEdit) -> OperatorEdit:
    from msgspec import structs

    return structs.replace(edit, signing_keys=(*edit.signing_keys, operators.GENERATE))


def _answer(session: Session, name: str, outcome: Outcome) -> Document:
    claims = session.workspace.store.operator(name.strip()).claims
    data = views.summary(claims) | {"created": outcome.created, "changed": outcome.changed}
    return Document(data=data, done=outcome.done, warnings=outcome.warnings)
