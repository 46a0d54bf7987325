"""``gossamer fix``: a store from loose files."""

from pathlib import Path

import click

from gossamer.operator.commands.session import Session, writing
from gossamer.operator.output.document import Document
from gossamer.operator.tenants.repair import rebuild


@click.command()
@click.option("--in", "folders", multiple=True, required=True, metavar="DIR", help="Where files lie; may be repeated.")
@click.option("--out", metavar="DIR", required=True, help="Where the new store goes: DIR/stores and DIR/keys.")
@click.option("--creds", is_flag=True, help="Also take what only credentials files hold.")
@writing
def fix(session: Session, folders: tuple[str, ...], out: str, creds: bool) -> Document:
    """Make a store anew from JWTs, keys and credentials that lie somewhere. The newest version of each claim counts."""
    target = Path(out).expanduser().absolute()
    sources = [Path(folder).expanduser().absolute() for folder in folders]
    outcome = rebuild(sources, target, session.workspace.changes, credentials=creds)
    done = [*outcome.done, f"use it with: --data-dir {target / 'stores'} --keystore-dir {target / 'keys'}"]
    return Document(data={"path": str(target)}, done=done, warnings=outcome.warnings)
