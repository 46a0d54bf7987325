"""The command line of ``gossamer up``."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.output.document import Document, Remark, Table
from gossamer.operator.output.render import Form, envelope, show
from gossamer.operator.up import reading
from gossamer.operator.up.compose import render


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.argument("name", required=False, default="")
@click.option("--once", is_flag=True, help="End after the tour: 0 if every step held, 1 if not.")
@click.option(
    "--directory", metavar="DIR", default="", help="Keep trust chain, configurations and logs in DIR (new or empty)."
)
@click.option("--base-port", type=click.IntRange(1024, 60_000), help="Client ports from here on; default: free ports.")
@click.option(
    "--kind", type=click.Choice(["gossamer", "nats-server"]), help="Run every node as this, whatever the file says."
)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON: one document, when the tour is over.")
@click.option("--list", "list_all", is_flag=True, help="List the topologies that come with Gossamer.")
@click.option("--render-compose", is_flag=True, help="Print the docker-compose.yml of this topology, start nothing.")
@click.option(
    "--prepare", metavar="DIR", default="", help="Write trust chain and configurations for containers, start nothing."
)
@click.option("--relay", "be_relay", is_flag=True, help="Be the relay between containers, until Ctrl-C.")
def up(
    name: str,
    once: bool,
    directory: str,
    base_port: int | None,
    kind: Any,
    as_json: bool,
    list_all: bool,
    render_compose: bool,
    prepare: str,
    be_relay: bool,
) -> int:
    """Start the mesh NAME: a topology that comes with Gossamer, or the path of a topology.toml.

    Issues the trust chain and credentials, starts every node as a process, waits until the mesh is whole, walks the
    tour, and serves until Ctrl-C. Nothing is left behind.
    """
    if list_all:
        return _list(as_json)
    if not name:
        raise usage("which topology?", f"there are: {', '.join(reading.names())}")
    path = reading.find(name)
    topology = reading.read(path)
    label = path.resolve().parent.name
    if render_compose:
        sys.stdout.write(render(label, topology))
        return int(ExitCode.OK)
    # Only now what takes long to import: a mistake in the command line is told at once.
    from gossamer.operator.up import mesh_life

    if prepare:
        document = mesh_life.prepare(topology, Path(prepare).expanduser().absolute())
        show(document, "up", Form.JSON if as_json else Form.AUTO)
        return int(ExitCode.OK)
    if be_relay:
        return asyncio.run(mesh_life.relay(topology))
    wishes = mesh_life.Wishes(
        name=label,
        once=once,
        directory=Path(directory).expanduser().absolute() if directory else None,
        base_port=base_port,
        kind=kind,
        as_json=as_json,
    )
    return asyncio.run(mesh_life.live(topology, wishes))


def run(arguments: Sequence[str]) -> int:
    """Run it: usage errors 64, failures as they say, one line each."""
    try:
        outcome: Any = up.main(list(arguments), prog_name="gossamer up", standalone_mode=False)
    except click.UsageError as error:
        failure = Failure(
            error.format_message(), code="usage", hint="see: gossamer up --help", exit_code=ExitCode.USAGE
        )
        return _failed(failure, arguments)
    except Failure as failure:
        return _failed(failure, arguments)
    except (KeyboardInterrupt, click.Abort):
        return _failed(Failure("interrupted", code="interrupted"), arguments)
    except BrokenPipeError:
        sys.stdout = None
        return int(ExitCode.FAILURE)
    return outcome if isinstance(outcome, int) else int(ExitCode.OK)


def _failed(failure: Failure, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        remark = Remark(code=failure.code, message=failure.message, path=failure.path, hint=failure.hint)
        print(envelope(Document(errors=[remark], exit_code=int(failure.exit_code)), "up"))
    print(f"[ERR ] {failure.line()}", file=sys.stderr)
    return int(failure.exit_code)


def _list(as_json: bool) -> int:
    found = {name: reading.read(reading.find(name)).description for name in reading.names()}
    table = Table(columns=("name", "what it is"), rows=tuple(found.items()))
    show(Document(data=found, sections=[table]), "up", Form.JSON if as_json else Form.AUTO)
    return int(ExitCode.OK)
