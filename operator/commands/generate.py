"""``gossamer generate``."""

from pathlib import Path

import click

from gossamer.operator.commands.session import Session, writing
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Text
from gossamer.operator.tenants.configuration import RESOLVER_DIRECTORY, ResolverForm, server_configuration

STANDARD_OUTPUT = "--"


@click.group()
def generate() -> None:
    """Write a server's configuration."""


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
    path = Path(config_file).expanduser().absolute()
    before = workspace.changes.read(path)
    document = Document(data={"form": form, "path": str(path), "changed": before != text.encode()})
    if before == text.encode():
        document.done.append(f"{path} is so already")
        return document
    if before is not None and not force:
        raise Failure(f"{path} exists", code="exists", hint="pass --force to overwrite it", path=str(path))
    workspace.changes.write(path, text.encode())
    document.done.append(f"wrote {path}")
    return document
