"""The unlock agent: a small process that holds a master key for a while, so that not every command needs the
passphrase.

It listens on a Unix socket in a folder that only its user may enter (0700), answers only processes of that user, seals
and opens for them (the master key itself never leaves it), and ends by itself after its time. The master key reaches
it through its standard input, never through its arguments or a file.
"""

import base64
import hashlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from gossamer.operator.custody.sealing import MASTER_BYTES, LocalVault, SealingError
from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.store.changes import make_folder

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
ANSWER_TIMEOUT_S = 5.0
START_TIMEOUT_S = 10.0
#: Bytes of a socket's name that every system takes.
PATH_MAX = 100
_LENGTH = struct.Struct("!I")
_PEER = struct.Struct("3i")


class Ask(Struct, frozen=True, kw_only=True):
    """One question: ``seal``, ``open``, ``status`` or ``lock``. ``envelope`` names the master key that is meant."""

    action: str
    envelope: str
    label: str = ""
    content: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """``error`` is empty when it worked. ``remaining_s``: how long the agent goes on."""

    error: str = ""
    content: str = ""
    remaining_s: float = 0.0


def socket_path(root: Path, environment: Mapping[str, str]) -> Path:
    """Where the agent of the keystore ``root`` listens: in the user's own runtime folder, unless the name would be
    longer than a socket's may be."""
    name = hashlib.sha256(str(root).encode()).hexdigest()[:16]
    short = f"/tmp/gossamer-{os.getuid()}"
    path = Path(environment.get("XDG_RUNTIME_DIR") or short) / "gossamer-agent" / f"{name}.sock"
    return path if len(os.fsencode(path)) <= PATH_MAX else Path(short) / "gossamer-agent" / path.name


class Agent:
    """Serves one master key until its time is over, or somebody says ``lock``."""

    def __init__(
        self, path: Path, envelope: str, master: bytes, life_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._envelope = envelope
        self._vault: LocalVault | None = LocalVault(master)
        self._clock = clock
        self._deadline = clock() + life_s
        self._socket = _listening(path)

    def run(self) -> None:
        """Serve. Returns when the time is over or it was locked; the socket is gone then."""
        try:
            while self._vault is not None and (remaining := self._deadline - self._clock()) > 0:
                self._socket.settimeout(remaining)
                try:
                    connection, _ = self._socket.accept()
                except TimeoutError:
                    continue
                with connection:
                    self._serve(connection)
        finally:
            self._vault = None
            self.close()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            if _peer_user(connection) != os.getuid():
                return
            while True:
                ask = msgspec.json.decode(_receive(connection), type=Ask)
                # Time may have run out between two questions of one connection.
                if self._clock() >= self._deadline:
                    return
                _send(connection, msgspec.json.encode(self.answer(ask)))
                if self._vault is None:
                    return
        except (OSError, EOFError, msgspec.DecodeError):
            return  # whoever asked has gone, or asked nonsense: the next one, please

    def answer(self, ask: Ask) -> Answer:
        """The answer to one question."""
        remaining = max(0.0, self._deadline - self._clock())
        if self._vault is None or ask.envelope != self._envelope:
            return Answer(error="this agent holds another key")
        try:
            if ask.action == "open":
                content = self._vault.open(ask.label, base64.b64decode(ask.content))
                return Answer(content=base64.b64encode(content).decode(), remaining_s=remaining)
            if ask.action == "seal":
                content = self._vault.seal(ask.label, base64.b64decode(ask.content))
                return Answer(content=base64.b64encode(content).decode(), remaining_s=remaining)
        except (SealingError, ValueError) as error:
            return Answer(error=str(error))
        if ask.action == "lock":
            self._vault = None
            return Answer()
        return Answer(remaining_s=remaining) if ask.action == "status" else Answer(error="unknown question")


class AgentVault:
    """A vault whose master key is in an agent."""

    def __init__(self, path: Path, envelope: str) -> None:
        self.path = path
        self._envelope = envelope

    def seal(self, label: str, content: bytes) -> bytes:
        """See ``Vault``. Raises SealingError, also when the agent has gone."""
        return base64.b64decode(self._ask("seal", label, content).content)

    def open(self, label: str, sealed: bytes) -> bytes:
        """See ``Vault``. Raises SealingError, also when the agent has gone."""
        return base64.b64decode(self._ask("open", label, sealed).content)

    def remaining_s(self) -> float:
        """How long the agent goes on, in seconds; 0 when there is none with this key."""
        try:
            return self._ask("status").remaining_s
        except SealingError:
            return 0.0

    def lock(self) -> bool:
        """End the agent. False when there was none."""
        try:
            self._ask("lock")
        except SealingError:
            return False
        return True

    def _ask(self, action: str, label: str = "", content: bytes = b"") -> Answer:
        ask = Ask(action=action, envelope=self._envelope, label=label, content=base64.b64encode(content).decode())
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.connect(str(self.path))
                if _peer_user(connection) != os.getuid():
                    raise SealingError("the agent belongs to another user")
                _send(connection, msgspec.json.encode(ask))
                answer = msgspec.json.decode(_receive(connection), type=Answer)
        except (OSError, EOFError, msgspec.DecodeError):
            raise SealingError("the agent does not answer") from None
        if answer.error:
            raise SealingError(answer.error)
        return answer


def start_agent(path: Path, envelope: str, master: bytes, life_s: float) -> int:
    """Start an agent process of its own session and return its process id. Raises Failure when it does not come up."""
    # No buffering in between: what the child says is on the pipe, or the pipe has ended.
    process = subprocess.Popen(
        [sys.executable, "-m", "gossamer.operator.custody.agent", str(path), envelope, str(life_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
        cwd="/",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        process.stdin.write(master)
        process.stdin.close()
        said = process.stdout.readline()
    if said != b"ready\n":
        process.wait()
        raise Failure("the agent did not start", code="agent", hint=f"look at the folder of {path}")
    # It outlives this command: nobody here will wait for it.
    process.returncode = 0
    return process.pid


def main(arguments: list[str]) -> int:
    """``python -m gossamer.operator.custody.agent SOCKET ENVELOPE SECONDS``, the master key on standard input."""
    master = sys.stdin.buffer.read(MASTER_BYTES + 1)
    if len(arguments) != 3 or len(master) != MASTER_BYTES:
        return 64
    try:
        agent = Agent(Path(arguments[0]), arguments[1], master, float(arguments[2]))
    except Failure:
        return 1
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    # Nothing of the terminal that started us is kept.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    agent.run()
    return 0


def _listening(path: Path) -> socket.socket:
    make_folder(path.parent)
    try:
        status = path.parent.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077 or path.parent.is_symlink():
            raise Failure(
                f"{path.parent} is not a private folder of this user",
                code="agent",
                hint="remove it, or set XDG_RUNTIME_DIR",
            )
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(path))
            path.chmod(0o700)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise from_os_error(error, "listen on", path, "set XDG_RUNTIME_DIR to a folder with a short name") from None
    return listener


def _peer_user(connection: socket.socket) -> int:
    if not hasattr(socket, "SO_PEERCRED"):
        return os.getuid()  # elsewhere than on Linux the folder's mode alone keeps others out
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return int(_PEER.unpack(credentials)[1])


def _send(connection: socket.socket, content: bytes) -> None:
    connection.sendall(_LENGTH.pack(len(content)) + content)


def _receive(connection: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if length > MESSAGE_BYTES_MAX:
        raise EOFError
    return _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        piece = connection.recv(count - len(content))
        if not piece:
            raise EOFError
        content += piece
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
