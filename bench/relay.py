"""A relay for one link between servers, in a process of its own: it counts bytes, and it is shut until told to open.

    python relay.py LISTEN_PORT TARGET_PORT

On standard input: ``open`` (listen from now on; the answer, when the first connection has come in, is its time on the
monotonic clock in ns) and ``count`` (the answer: bytes carried from the one who dialled, and to it). The end of the
input ends it. Who dials before it is open is refused and dials again.
"""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from select import select

PIECE_BYTES = 256 * 1024


class RelayError(ConnectionError):
    """The relay ended, or nobody connected to it in time."""


class Relay:
    """The process, as its owner sees it."""

    def __init__(self, listen_port: int, target_port: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), str(listen_port), str(target_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.is_open = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def open(self) -> None:
        """Let connections in from now on; ``opened_ns`` waits for the first."""
        self._say("open")
        self.is_open = True

    def opened_ns(self, deadline_s: float = 20.0) -> int:
        """When the first connection came in, on the monotonic clock. Raises RelayError."""
        return int(self._hear(deadline_s))

    def count(self) -> tuple[int, int]:
        """Bytes from the one who dialled, and to it, until now."""
        self._say("count")
        up, down = self._hear(5.0).split()
        return int(up), int(down)

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")

    def _hear(self, deadline_s: float) -> str:
        assert self._process.stdout is not None
        if not select([self._process.stdout], [], [], deadline_s)[0]:
            raise RelayError("nobody connected through the relay in time")
        line = self._process.stdout.readline()
        if not line:
            raise RelayError("the relay has ended")
        return line

    def stop(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5.0)
        if self._process.stdout is not None:
            self._process.stdout.close()


class _Process:
    """What runs inside the process."""

    def __init__(self, listen_port: int, target_port: int) -> None:
        self._listen_port, self._target_port = listen_port, target_port
        self._up: list[int] = []
        self._down: list[int] = []

    def run(self) -> None:
        for line in sys.stdin:
            if line.strip() == "open":
                listener = socket.create_server(("127.0.0.1", self._listen_port))
                threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            else:
                print(sum(self._up), sum(self._down), flush=True)

    def _accept(self, listener: socket.socket) -> None:
        first = True
        while True:
            near, _ = listener.accept()
            if first:
                print(time.monotonic_ns(), flush=True)
                first = False
            far = socket.create_connection(("127.0.0.1", self._target_port))
            for connection in (near, far):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, counts in ((near, far, self._up), (far, near, self._down)):
                counts.append(0)
                place = len(counts) - 1
                threading.Thread(target=_carry, args=(source, sink, counts, place), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, counts: list[int], place: int) -> None:
    piece = memoryview(bytearray(PIECE_BYTES))
    try:
        while got := source.recv_into(piece):
            sink.sendall(piece[:got])
            counts[place] += got
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One of the servers has gone; so must the other side of the link.
        for connection in (source, sink):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


if __name__ == "__main__":
    _Process(int(sys.argv[1]), int(sys.argv[2])).run()
