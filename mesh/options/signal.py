"""``--signal``: tell a running node to reload, reopen its log, leave or stop (spec client-protocol section 26.1)."""

import os
import signal
from pathlib import Path
from typing import Protocol

from gossamer.mesh.options.flags import PROGRAM, FlagExit
from gossamer.mesh.options.language.faults import quoted

SIGNALS = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "ldm": signal.SIGUSR2,
    "reload": signal.SIGHUP,
}
_NAMES = ("nats-server", "gossamer")


class Processes(Protocol):
    """The machine's processes, as far as they matter here."""

    def nodes(self) -> list[int]:
        """The ids of all running nodes but this process."""

    def read(self, path: str) -> str | None:
        """The text of a file; None if there is none."""

    def send(self, process: int, number: int) -> None:
        """Raises OSError."""


class RunningProcesses:
    """Those of this machine, by way of ``/proc``."""

    def nodes(self) -> list[int]:
        """See Processes. A node is a process whose program is called nats-server, or ``gossamer serve``."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it is gone
            if int(entry.name) != os.getpid() and _is_node([word.decode(errors="replace") for word in words if word]):
                found.append(int(entry.name))
        return sorted(found)

    def read(self, path: str) -> str | None:
        """See Processes."""
        try:
            return Path(path).read_text(errors="replace")
        except (OSError, ValueError):
            return None

    def send(self, process: int, number: int) -> None:
        """See Processes."""
        os.kill(process, number)


def send_signal(argument: str, processes: Processes) -> FlagExit:
    """``argument`` is that of the flag: ``word``, or ``word=`` and a process id, the path of a file with one, or the
    beginning of process ids with ``*``."""
    word, *rest = argument.split("=")
    if len(rest) > 1:
        return _failed(f"invalid signal parameters: [{' '.join(rest[1:])}]")
    target = rest[0] if rest else ""
    several = target.endswith("*")
    if target and not several:
        pid = _process_id(target, processes)
        if pid is None:
            return _failed(f"invalid pid: {target}")
        return _send(word, [pid], processes, named=True)
    found = processes.nodes()
    if several:
        found = [pid for pid in found if str(pid).startswith(target[:-1])]
        return _send(word, found, processes, named=True)
    if not found:
        return _failed(f"no {PROGRAM} processes running")
    if len(found) > 1:
        listed = "\n".join(str(pid) for pid in found)
        return _failed(f"multiple {PROGRAM} processes running:\n{listed}")
    return _send(word, found, processes, named=False)


def _send(word: str, pids: list[int], processes: Processes, *, named: bool) -> FlagExit:
    number = SIGNALS.get(word)
    if number is None:
        return _failed(f"unknown signal {quoted(word)}") if pids or named else FlagExit()
    problems = []
    for pid in pids:
        try:
            processes.send(pid, number)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            problems.append(f"signal {quoted(word)} {pid}: {reason}")
    return _failed("\n" + "\n".join(problems)) if problems else FlagExit()


def _process_id(target: str, processes: Processes) -> int | None:
    text = target
    if not text.isdigit():
        text = (processes.read(target) or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _is_node(words: list[str]) -> bool:
    """Is this the command line of a node? An interpreter in front of the script does not count."""
    if words and Path(words[0]).name.startswith("python"):
        words = words[1:]
        if words[:2] == ["-m", "gossamer.operator.cli"]:
            return words[2:3] == ["serve"]
    if not words or Path(words[0]).name not in _NAMES:
        return False
    return Path(words[0]).name == _NAMES[0] or words[1:2] == ["serve"]


def _failed(text: str) -> FlagExit:
    return FlagExit(stderr=f"{PROGRAM}: {text}\n", code=1)
