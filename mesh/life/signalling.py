"""``--signal``: telling a running server what to do (spec client-protocol section 26.1)."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from gossamer.mesh.world import Disk

COMMANDS = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "ldm": signal.SIGUSR2,
    "reload": signal.SIGHUP,
}

#: How log lines call the signals a server traps.
SPOKEN = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
}

#: Arguments by which a process is known as a server: the module that runs, or nats-server's name.
_PROGRAMS = ("gossamer.mesh.app", "nats-server")


class SignalTrouble(Exception):
    """The order cannot be given; the text says why, for standard error."""


class Order(Struct, frozen=True):
    """``target``: a pid, a pid file, a prefix of pids with ``*``, or empty for the one that runs."""

    command: str
    target: str = ""


def parse_order(text: str) -> Order:
    """``command[=target]``. Raises SignalTrouble."""
    parts = text.split("=")
    if len(parts) > 2:
        raise SignalTrouble(f"invalid signal parameters: [{' '.join(parts[2:])}]")
    command = parts[0]
    if command not in COMMANDS:
        raise SignalTrouble(f'unknown signal "{command}"; choose from {", ".join(COMMANDS)}')
    return Order(command, parts[1] if len(parts) == 2 else "")


def give(order: Order, disk: "Disk", kill: Callable[[int, int], None] = os.kill) -> None:
    """Send the signal. Raises SignalTrouble."""
    troubles = []
    for pid in _targets(order.target, disk):
        try:
            kill(pid, COMMANDS[order.command])
        except OSError as error:
            troubles.append(f'signal "{order.command}" {pid}: {(error.strerror or str(error)).lower()}')
    if troubles:
        raise SignalTrouble("\n".join(troubles))


def _targets(target: str, disk: "Disk") -> list[int]:
    if target.endswith("*"):
        prefix = target[:-1]
        if prefix and not prefix.isdigit():
            raise SignalTrouble(f"invalid pid: {target}")
        found = [pid for pid in _servers(disk) if str(pid).startswith(prefix)]
        if not found:
            raise SignalTrouble("no nats-server processes running")
        return found
    if target.isdigit():
        return [int(target)]
    if target:
        return [_from_file(target, disk)]
    found = _servers(disk)
    if not found:
        raise SignalTrouble("no nats-server processes running")
    if len(found) > 1:
        raise SignalTrouble("\n".join(["multiple nats-server processes running:", *map(str, found)]))
    return found


def _from_file(path: str, disk: "Disk") -> int:
    try:
        text = disk.read(path).decode("ascii", "replace").strip()
    except OSError:
        raise SignalTrouble(f"invalid pid: {path}") from None
    if not text.isdigit():
        raise SignalTrouble(f"invalid pid: {text}")
    return int(text)


def _servers(disk: "Disk") -> list[int]:
    """Other processes that are servers, by what /proc says they run."""
    found = []
    for name in disk.names("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            arguments = disk.read(f"/proc/{name}/cmdline").decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if any(os.path.basename(argument) in _PROGRAMS for argument in arguments[:4]):
            found.append(int(name))
    return sorted(found)
