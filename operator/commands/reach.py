"""Options of the commands that talk to a mesh, and progress while they wait."""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from gossamer.operator.commands.amounts import parse_duration, split_list
from gossamer.operator.commands.options import together
from gossamer.operator.failure import usage
from gossamer.operator.mesh.reaching import Reach

TIMEOUT_S = 5.0
_TIMEOUT_MAX_S = 600.0

reach_options = together(
    click.option(
        "-u", "--url", metavar="URL", multiple=True, help="Where the mesh is; default: what the operator's claim says."
    ),
    click.option(
        "--system-user",
        metavar="FILE",
        default="",
        help="Credentials of a user of the system account; default: a user made for two minutes.",
    ),
    click.option(
        "--timeout", metavar="SECONDS", default="", help="How long a server may take to answer: 5, 500ms, 1m."
    ),
)


def reach_of(given: dict[str, Any], signer: str = "") -> Reach:
    """Take the options above out of ``given``. Raises Failure (usage)."""
    return Reach(
        urls=tuple(split_list(given.pop("url", ()))),
        system_user=str(given.pop("system_user", "")),
        timeout_s=seconds(str(given.pop("timeout", "")), TIMEOUT_S),
        signer=signer,
    )


def seconds(text: str, default: float) -> float:
    """A span in seconds: a bare number, or a duration (``500ms``, ``2m``). Raises Failure (usage)."""
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = parse_duration(text) / 1e9
    if not 0 < found <= _TIMEOUT_MAX_S:
        raise usage(f"{text!r} is not a time to wait", f"between 0 and {_TIMEOUT_MAX_S:.0f} seconds")
    return found


def span_s(text: str) -> float:
    """A span in seconds, of ``90s``, ``1h30m``, ``30d``, ``2w``; 0 for ``0``. Raises Failure (usage)."""
    days = re.fullmatch(r"(\d{1,5})([dw])", text.strip())
    if days:
        return int(days[1]) * (86400.0 if days[2] == "d" else 604800.0)
    return parse_duration(text) / 1e9


@contextlib.contextmanager
def progress_bar(what: str, count: int) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while a long job runs; none where nobody looks, or where there is little to do."""
    if count < 50 or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=count)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
