"""What every command gets: the global flags, the store behind them, and the way an answer is shown."""

import contextlib
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from gossamer.operator.audit.record import gather, record
from gossamer.operator.custody.unlocking import Unlocking, forget_descriptors
from gossamer.operator.output.document import Document
from gossamer.operator.output.render import Form, show
from gossamer.operator.store.lock import locked
from gossamer.operator.store.places import PlaceFlags
from gossamer.operator.store.workspace import Workspace


class Session(Struct, frozen=True, kw_only=True):
    """The global flags of one command and its workspace."""

    workspace: Workspace
    form: Form = Form.AUTO
    dry_run: bool = False
    signer: str = ""  # -K

    def finish(self, document: Document) -> None:
        """Write the pending changes, unless this is a dry run, which lists them instead."""
        changes = self.workspace.changes
        if self.dry_run:
            document.done = [f"would: {line}" for line in document.done]
            document.done.extend(f"would {verb} {path}" for verb, path in changes.actions())
            return
        stores = self.workspace.store.root
        gathered = gather(changes, stores, self.workspace.keystore.root)
        changes.commit()
        command = " ".join(click.get_current_context().command_path.split(" ")[1:])
        record(gathered, stores, command, os.environ, now=time.time())


Body = Callable[..., Document]
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_PLACE_OPTIONS: tuple[Decorator, ...] = (
    click.option("-H", "--all-dirs", metavar="DIR", default="", help="Configuration, stores and keys all in DIR."),
    click.option("--config-dir", metavar="DIR", default="", help="Folder of nsc.json."),
    click.option("--data-dir", metavar="DIR", default="", help="Folder of the stores."),
    click.option("--keystore-dir", metavar="DIR", default="", help="Folder of keys and credentials."),
)
_OPERATOR_OPTION: Decorator = click.option(
    "--operator", "operator_name", metavar="NAME", default="", help="Operator; default: the context's."
)
_FORM_OPTIONS: tuple[Decorator, ...] = (
    click.option("--json", "as_json", is_flag=True, help="Answer as JSON; the same as --output json."),
    click.option(
        "--output",
        type=click.Choice([form.value for form in Form]),
        default=Form.AUTO.value,
        help="Form of the answer; auto is a table on a terminal, plain elsewhere.",
    ),
)
_UNLOCK_OPTIONS: tuple[Decorator, ...] = (
    click.option("--passphrase-file", metavar="FILE", default="", help="File with the keystore's passphrase."),
    click.option("--passphrase-fd", type=int, default=-1, metavar="N", help="Descriptor to read it from."),
    click.option("--passphrase-env", metavar="NAME", default="", help="Variable that holds it."),
    click.option("--identity-file", metavar="FILE", default="", help="Seed of the X key that things are sealed for."),
    click.option("--seed-fd", type=int, default=-1, metavar="N", help="Descriptor with seeds for this command alone."),
    click.option("--seed-env", metavar="NAME", default="", help="Variable with seeds for this command alone."),
    click.option("--interactive", is_flag=True, help="Ask for a passphrase that is not given."),
)
_DRY_RUN_OPTION: Decorator = click.option("--dry-run", is_flag=True, help="Say what would change; change nothing.")
_SIGNER_OPTION: Decorator = click.option(
    "-K",
    "--private-key",
    "signer",
    metavar="KEY",
    default="",
    help="Sign with this key: a role's name, a public key that is stored, or a path.",
)


def reading(body: Body) -> Callable[..., None]:
    """Decorate a command that only reads: ``body(session, **options) -> Document``."""
    return _with_options(body, (*_PLACE_OPTIONS, _OPERATOR_OPTION, *_FORM_OPTIONS, *_UNLOCK_OPTIONS), writing=False)


def writing(body: Body) -> Callable[..., None]:
    """Decorate a command that changes the store: it holds the lock, and commits when ``body`` has returned."""
    options = (*_PLACE_OPTIONS, _OPERATOR_OPTION, *_FORM_OPTIONS, _DRY_RUN_OPTION, _SIGNER_OPTION, *_UNLOCK_OPTIONS)
    return _with_options(body, options, writing=True)


def migrating(body: Body) -> Callable[..., None]:
    """Like ``writing``, for a command that takes a keystore of the old layout."""
    options = (*_PLACE_OPTIONS, _OPERATOR_OPTION, *_FORM_OPTIONS, _DRY_RUN_OPTION, *_UNLOCK_OPTIONS)
    return _with_options(body, options, writing=True, old_keystore=True)


def writing_context(body: Body) -> Callable[..., None]:
    """Decorate a command that changes the context file only and has an ``--operator`` of its own."""
    return _with_options(body, (*_PLACE_OPTIONS, *_FORM_OPTIONS, _DRY_RUN_OPTION), writing=True, lock=False)


def now_seconds() -> int:
    """Unix seconds."""
    return int(time.time())


def _with_options(
    body: Body, options: tuple[Decorator, ...], *, writing: bool, lock: bool = True, old_keystore: bool = False
) -> Callable[..., None]:
    @functools.wraps(body)
    def command(**given: Any) -> None:
        flags = PlaceFlags(**{name: given.pop(name) for name in ("all_dirs", "config_dir", "data_dir", "keystore_dir")})
        output = Form(given.pop("output"))
        form = Form.JSON if given.pop("as_json") else output
        operator = str(given.pop("operator_name", ""))
        unlocking = _unlocking(given)
        workspace = Workspace.open(
            flags,
            os.environ,
            _working_folder(),
            operator=operator,
            unlocking=unlocking,
            old_keystore=old_keystore,
        )
        session = Session(
            workspace=workspace,
            form=form,
            dry_run=bool(given.pop("dry_run", False)),
            signer=str(given.pop("signer", "")),
        )
        held = writing and lock and not session.dry_run
        try:
            with locked(workspace.store.root) if held else contextlib.nullcontext():
                document = body(session, **given)
                if writing:
                    session.finish(document)
        finally:
            forget_descriptors()
        context = click.get_current_context()
        words = context.command_path.split(" ")[1:]
        show(document, " ".join(words), session.form)
        context.exit(document.exit_code)

    wrapped: Callable[..., None] = command
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _unlocking(given: dict[str, Any]) -> Unlocking:
    # A command without these flags (one that changes the context only) gets the defaults.
    return Unlocking(
        passphrase_fd=given.pop("passphrase_fd", -1),
        passphrase_file=given.pop("passphrase_file", ""),
        passphrase_variable=given.pop("passphrase_env", ""),
        identity_file=given.pop("identity_file", ""),
        seed_fd=given.pop("seed_fd", -1),
        seed_variable=given.pop("seed_env", ""),
        interactive=given.pop("interactive", False),
    )


def _working_folder() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        # The folder we stand in has been removed: it selects nothing.
        return None
