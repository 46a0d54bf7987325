"""``gossamer generate``."""

import json
import os
from pathlib import Path
from typing import Any

import click

from gossamer.operator.commands import options
from gossamer.operator.commands.place import account_place
from gossamer.operator.commands.session import Session, writing
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Text
from gossamer.operator.store.places import PlaceFlags
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.configuration import RESOLVER_DIRECTORY, ResolverForm, server_configuration
from gossamer.operator.tenants.diagrams import component_diagram, object_diagram
from gossamer.operator.tenants.profile import context_path, context_text, profile, read_profile_url

STANDARD_OUTPUT = "--"

_output_option = click.option(
    "-o",
    "--output-file",
    metavar="FILE",
    default=STANDARD_OUTPUT,
    help="Where to write it; -- (the default) prints it.",
)
_force_option = click.option("-F", "--force", is_flag=True, help="Overwrite the file.")


@click.group()
def generate() -> None:
    """Write what other programs read: a server's configuration, profiles, contexts, diagrams."""


@generate.command()
@click.option("--mem-resolver", is_flag=True, help="All accounts in the file (the default).")
@click.option("--nats-resolver", is_flag=True, help="A directory of accounts that servers share.")
@click.option("--nats-resolver-cache", is_flag=True, help="A directory that only caches accounts.")
@click.option("--config-file", metavar="FILE", default="", help="Where to write it; default: standard output.")
@click.option("-F", "--force", is_flag=True, help="Overwrite the file.")
@click.option("--sys-account", metavar="NAME", default="", help="The system account, if the operator names none.")
@click.option(
    "--dir", "directory", metavar="DIR", default=RESOLVER_DIRECTORY, show_default=True, help="That directory."
)
@writing
def config(
    session: Session,
    mem_resolver: bool,
    nats_resolver: bool,
    nats_resolver_cache: bool,
    config_file: str,
    force: bool,
    sys_account: str,
    directory: str,
) -> Document:
    """Write the part of a server's configuration that says whom it trusts: for nats-server and gossamer serve."""
    if mem_resolver + nats_resolver + nats_resolver_cache > 1:
        raise usage("more than one form is asked for", "--mem-resolver, --nats-resolver or --nats-resolver-cache")
    form = ResolverForm.MEMORY
    if nats_resolver:
        form = ResolverForm.FULL
    elif nats_resolver_cache:
        form = ResolverForm.CACHE
    workspace = session.workspace
    text = server_configuration(workspace, form, system_account=sys_account, directory=directory)
    if not config_file or config_file == STANDARD_OUTPUT:
        return Document(data={"form": form, "config": text}, sections=[Text(content=text)])
    return _written(session, Path(config_file).expanduser().absolute(), text, force, form=form)


@generate.command("profile")
@click.argument("url", metavar="nsc://OPERATOR/ACCOUNT/USER[?names&keys&seeds]")
@_output_option
@_force_option
@click.option("--show-secrets", is_flag=True, help="Print seeds that the URL asks for.")
@writing
def profile_command(session: Session, url: str, output_file: str, force: bool, show_secrets: bool) -> Document:
    """Write what a program needs to come in as a user, as JSON. In the URL names, keys and seeds say what more belongs
    into it, store=DIR and keystore=DIR where to look."""
    asked = read_profile_url(url)
    to_output = output_file == STANDARD_OUTPUT
    if asked.asks_for_secrets and to_output and not show_secrets:
        raise usage("the profile would show seeds", "write it to a file with -o, or pass --show-secrets")
    workspace = session.workspace
    if asked.store or asked.keystore:
        places = workspace.places
        flags = PlaceFlags(
            config_dir=str(places.config),
            data_dir=asked.store or str(workspace.store.root),
            keystore_dir=asked.keystore or str(places.keys),
        )
        unlocking = workspace.keystore.custodian.unlocking
        workspace = Workspace.open(flags, os.environ, None, unlocking=unlocking)
    found = profile(workspace, asked)
    text = json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    if to_output:
        return Document(data=found, sections=[Text(content=text)])
    return _written(session, Path(output_file).expanduser().absolute(), text, force)


@generate.command("context")
@options.account_option
@click.option("-u", "--user", "user_name", required=True, metavar="NAME", help="Whose credentials.")
@click.option("--context", "context_name", required=True, metavar="NAME", help="Name of the context.")
@_force_option
@writing
def context_command(session: Session, account_name: str, user_name: str, context_name: str, force: bool) -> Document:
    """Write a context of the nats command: the servers and the credentials of a user."""
    operator, account = account_place(session, account_name)
    path = context_path(os.environ, context_name)
    before = session.workspace.changes.read(path)
    text = context_text(session.workspace, operator, account, user_name, before)
    return _written(session, path, text, force)


@generate.command("diagram")
@click.argument("kind", type=click.Choice(["component", "object"]))
@_output_option
@_force_option
@click.option("--detail", is_flag=True, help="Descriptions of accounts too (component).")
@click.option("--users", is_flag=True, help="Users too (object).")
@writing
def diagram_command(session: Session, kind: str, output_file: str, force: bool, detail: bool, users: bool) -> Document:
    """Draw what accounts share (component), or who signed whom (object): text for PlantUML."""
    workspace = session.workspace
    operator = workspace.operator().claims.name
    if kind == "component":
        text = component_diagram(workspace, operator, detail=detail)
    else:
        text = object_diagram(workspace, operator, users=users)
    if output_file == STANDARD_OUTPUT:
        return Document(data={"kind": kind, "diagram": text}, sections=[Text(content=text)])
    return _written(session, Path(output_file).expanduser().absolute(), text, force)


def _written(session: Session, path: Path, text: str, force: bool, **data: Any) -> Document:
    """Write a file, unless it is so already. Raises Failure for one with other content, unless ``force``."""
    changes = session.workspace.changes
    before = changes.read(path)
    document = Document(data=data | {"path": str(path), "changed": before != text.encode()})
    if before == text.encode():
        document.done.append(f"{path} is so already")
        return document
    if before is not None and not force:
        raise Failure(f"{path} exists", code="exists", hint="pass --force to overwrite it", path=str(path))
    changes.write(path, text.encode())
    document.done.append(f"wrote {path}")
    return document
