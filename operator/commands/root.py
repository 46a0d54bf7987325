"""The top of the command line: which commands there are, and one way out for every answer and every failure."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click
from msgspec import Struct

from gossamer.mesh.version import VERSION
from gossamer.operator.cli import DIRECT, run_direct
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.output.document import Document, Remark
from gossamer.operator.output.render import Form, envelope


class Entry(Struct, frozen=True):
    """A command that is loaded when it is named: where it is, and its line in the help."""

    module: str
    attribute: str
    help: str
    section: str = "Other"
    hidden: bool = False  # another name for something: it works, and the help does not list it


_HERE = "gossamer.operator.commands"

_OBJECTS = "Who may do what"
_SHARING = "What accounts share"
_STORE = "The store and its keys"
_MESH = "Nodes and meshes"
_LIVE = "A live mesh and the store"
#: The order of the sections in the help; commands of any other section come at the end.
SECTIONS = (_MESH, _LIVE, _OBJECTS, _SHARING, _STORE)

#: Every command that is loaded when it is named. This is the one list of them; add a line here.
COMMANDS = {
    "completion": Entry(f"{_HERE}.completion", "completion", "What a shell needs to complete our words.", _STORE),
    "tool": Entry(f"{_HERE}.tool", "tool", "Try a mesh as a stored user: pub, sub, req, reply, rtt.", _MESH),
    "lint": Entry(f"{_HERE}.lint", "lint", "Say what works but could be safer.", _STORE),
    "jwt": Entry(f"{_HERE}.jwt", "jwt", "Look into loose tokens.", _STORE),
    "fix": Entry(f"{_HERE}.fix", "fix", "Make a store anew from loose files.", _STORE),
    "apply": Entry(f"{_HERE}.apply", "apply", "Make the store, and the servers, as a tenants file says.", _LIVE),
    "plan": Entry(f"{_HERE}.plan", "plan", "How store and servers differ from a tenants file.", _LIVE),
    "spec": Entry(f"{_HERE}.plan", "spec", "The tenants file of a store.", _STORE),
    "drift": Entry(f"{_HERE}.drift", "drift", "How accounts on the servers differ from the store's.", _LIVE),
    "prune": Entry(f"{_HERE}.prune", "prune", "Remove accounts from the servers that the store has not.", _LIVE),
    "pull": Entry(f"{_HERE}.pull", "pull", "Take accounts of the servers into the store.", _LIVE),
    "push": Entry(f"{_HERE}.push", "push", "Give the store's accounts to every server.", _LIVE),
    "credentials": Entry(f"{_HERE}.credentials", "credentials", "What expires when, and who uses it.", _LIVE),
    "revoke": Entry(f"{_HERE}.revoke", "revoke", "Void a user's credentials, and tell the servers.", _LIVE),
    "rotate": Entry(f"{_HERE}.rotate", "rotate", "Replace keys while the mesh runs.", _LIVE),
    "status": Entry(f"{_HERE}.status", "status", "The servers of the mesh at a glance.", _LIVE),
    "revocation": Entry(
        f"{_HERE}.revocations", "revocation", "Void credentials of users: by name, by key, or all.", _OBJECTS
    ),
    "mapping": Entry(f"{_HERE}.mappings", "mapping", "Map subjects of an account to others, in shares.", _SHARING),
    "import": Entry(
        f"{_HERE}.imports", "import_group", "Use subjects of other accounts; or adopt a store of nsc.", _SHARING
    ),
    "export": Entry(f"{_HERE}.exports", "export", "Offer subjects of an account to others.", _SHARING),
    "activation": Entry(
        f"{_HERE}.activations", "activation", "Let accounts import a private export; take that back.", _SHARING
    ),
    "account": Entry(f"{_HERE}.account", "account", "Create, edit, list, describe and delete accounts.", _OBJECTS),
    "audit": Entry(f"{_HERE}.audit", "audit", "What was done to a store; is the log of it whole?", _STORE),
    "backup": Entry(f"{_HERE}.backup", "backup", "Make, check and restore encrypted backups.", _STORE),
    "env": Entry(f"{_HERE}.env", "env", "Show the folders and the context, or set the context.", _STORE),
    "explain": Entry(
        f"{_HERE}.explain", "explain", "The way of a message: who decides, who gets it, where it stops.", _OBJECTS
    ),
    "generate": Entry(
        f"{_HERE}.generate", "generate", "Write configurations, profiles, contexts and diagrams.", _STORE
    ),
    "callout": Entry(f"{_HERE}.callout_service", "callout", "Let workloads in by their platform's identity.", _MESH),
    "init": Entry(
        f"{_HERE}.init", "init", "Make an operator, a system account, an account and a user in one go.", _OBJECTS
    ),
    "key": Entry(f"{_HERE}.key", "key", "List and make keys; seal and unlock them; take them offline.", _STORE),
    "keys": Entry(f"{_HERE}.custody", "keys", "Another name for commands of key.", _STORE, hidden=True),
    "operator": Entry(f"{_HERE}.operator", "operator", "Create, edit, list and describe operators.", _OBJECTS),
    "signer": Entry(f"{_HERE}.signer", "signer", "Sign for others by a policy, or have things signed.", _STORE),
    "user": Entry(
        f"{_HERE}.user", "user", "Create, edit, list, describe and delete users; write credentials.", _OBJECTS
    ),
    "validate": Entry(f"{_HERE}.validate", "validate", "Check the claims of a store, or of a file.", _STORE),
}

_DIRECT_HELP = {
    "serve": "Run a node (takes nats-server's flags).",
    "check": "Check a node's configuration file.",
    "up": "Start a whole mesh from a topology.",
}


class LazyGroup(click.Group):
    """Knows every command's name and help line, and imports only the one that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted([*COMMANDS, *DIRECT])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; None if there is none of that name."""
        if cmd_name in DIRECT:
            return _direct_command(cmd_name)
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(entry.module), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list, without loading anything."""
        lines = {name: (_MESH, text) for name, text in _DIRECT_HELP.items()}
        lines |= {name: (entry.section, entry.help) for name, entry in COMMANDS.items() if not entry.hidden}
        width = max(map(len, lines))
        others = sorted({section for section, _ in lines.values()} - set(SECTIONS))
        for title in (*SECTIONS, *others):
            # Every list has the same first column: names padded to the longest of all.
            rows = [(name.ljust(width), lines[name][1]) for name in sorted(lines) if lines[name][0] == title]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _direct_command(name: str) -> click.Command:
    @click.command(
        name,
        help=_DIRECT_HELP[name],
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def direct(arguments: tuple[str, ...]) -> None:
        raise SystemExit(run_direct(name, list(arguments)))

    return direct


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(VERSION, prog_name="gossamer")
def root() -> None:
    """A messaging mesh that speaks NATS: run nodes, and issue the credentials of those who use them."""


def run(arguments: Sequence[str]) -> int:
    """Run a click command and return the exit code: usage errors 64, failures as they say, one line each."""
    try:
        outcome: Any = root.main(list(arguments), prog_name="gossamer", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.UsageError as error:
        return _usage_error(error, arguments)
    except Failure as failure:
        return _failed(failure, arguments)
    except click.Abort:
        return _failed(Failure("interrupted", code="interrupted"), arguments)
    except KeyboardInterrupt:
        return _failed(Failure("interrupted", code="interrupted"), arguments)
    except BrokenPipeError:
        # Whoever read our output has gone: nothing more to say, and no complaint at exit either.
        sys.stdout = None
        return int(ExitCode.FAILURE)
    except OSError as error:
        # Whatever touches the disk says so itself; this is for what nobody thought of.
        return _failed(Failure(str(error), code="storage", path=str(error.filename or "")), arguments)
    return outcome if isinstance(outcome, int) else int(ExitCode.OK)


def _usage_error(error: click.UsageError, arguments: Sequence[str]) -> int:
    hint = f"see: {error.ctx.command_path} --help" if error.ctx is not None else "see: gossamer --help"
    message = error.format_message()
    return _failed(Failure(message, code="usage", hint=hint, exit_code=ExitCode.USAGE), arguments)


def _failed(failure: Failure, arguments: Sequence[str]) -> int:
    # The options may be what is wrong, so the wish for JSON is read from the bare arguments.
    if wants_json(arguments):
        remark = Remark(code=failure.code, message=failure.message, path=failure.path, hint=failure.hint)
        command = " ".join(_command_words(arguments))
        print(envelope(Document(errors=[remark], exit_code=int(failure.exit_code)), command))
    print(f"[ERR ] {failure.line()}", file=sys.stderr)
    return int(failure.exit_code)


def wants_json(arguments: Sequence[str]) -> bool:
    """Do the arguments ask for JSON, whatever else is wrong with them?"""
    for place, argument in enumerate(arguments):
        if argument in {"--json", f"--output={Form.JSON}"}:
            return True
        if argument == "--output" and list(arguments[place + 1 : place + 2]) == [Form.JSON]:
            return True
    return False


def _command_words(arguments: Sequence[str]) -> list[str]:
    """The names of the commands at the head of the arguments."""
    words: list[str] = []
    command: click.Command | None = root
    context = click.Context(root, info_name="gossamer")
    for argument in arguments:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(context, argument)
        if command is None:
            break
        words.append(argument)
    return words


Action = Callable[..., Document]
