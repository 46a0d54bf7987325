"""Is the generator believable? It must notice every kind of damage, and be faster than what it measures.

    python bench/selftest.py

A false server in a thread of this process sends prepared bytes: good ones, then ones in which a message is lost,
repeated, swapped, altered in its head, number, pattern or end, or has another size. Only the good ones may pass.
"""

import socket
import struct
import sys
import threading
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCH.parent / "build" / "bench"), str(BENCH.parent / "build" / "tree")]

from build import build  # noqa: E402

build()

from load import Load, LoadError  # noqa: E402

INFO = b'INFO {"max_payload":1048576}\r\n'


class FalseServer(threading.Thread):
    """Accepts subscriber, then publisher; echoes what is published as ``MSG`` after ``damage`` has had its way."""

    def __init__(self, damage: object) -> None:
        super().__init__(daemon=True)
        self._damage = damage
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10.0)
        self.port = self._listener.getsockname()[1]

    def _accept(self) -> socket.socket:
        connection, _ = self._listener.accept()
        connection.settimeout(10.0)
        connection.sendall(INFO)
        received = b""
        while not received.endswith(b"PING\r\n"):
            received += connection.recv(4096)
        connection.sendall(b"PONG\r\n")
        return connection

    def run(self) -> None:
        """Until the publisher goes away."""
        subscriber, publisher = self._accept(), self._accept()
        kept, sent = b"", 0
        try:
            while data := publisher.recv(1 << 20):
                kept += data
                messages, kept = _split(kept)
                ended = kept == b"PING\r\n"
                batch = [b"MSG bench.msg 1 16\r\n" + payload + b"\r\n" for payload in messages]
                if batch and sent == 0 and len(batch) > 8:
                    batch = self._damage(batch)  # type: ignore[operator]
                    sent = 1
                subscriber.sendall(b"".join(batch))
                if ended:
                    publisher.sendall(b"PONG\r\n")
                    kept = b""
        except OSError:
            pass
        finally:
            for connection in (subscriber, publisher, self._listener):
                connection.close()


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    head, size = len(b"PUB bench.msg 16\r\n"), 16
    frame = head + size + 2
    whole = 0 if data.startswith(b"PING") else len(data) // frame
    found = [data[n * frame + head : n * frame + head + size] for n in range(whole)]
    return found, data[whole * frame :]


def _replace(at: int, value: bytes) -> object:
    def damage(batch: list[bytes]) -> list[bytes]:
        message = bytearray(batch[5])
        message[at : at + len(value)] = value
        return [*batch[:5], bytes(message), *batch[6:]]

    return damage


DAMAGES: dict[str, object] = {
    "lost": lambda batch: batch[:5] + batch[6:],
    "repeated": lambda batch: batch[:6] + batch[5:],
    "swapped": lambda batch: [*batch[:5], batch[6], batch[5], *batch[7:]],
    "the last one lost": lambda batch: batch[:-1],
    "subject altered": _replace(8, b"X"),
    "sid altered": _replace(14, b"2"),
    "size altered": _replace(17, b"7"),
    "number altered": _replace(20, b"\xfe"),
    "pattern altered, first byte": _replace(28, b"\x00"),
    "pattern altered, last byte": _replace(35, b"\x00"),
    "end altered": _replace(36, b"\n\r"),
    "an error": lambda batch: [*batch[:5], b"-ERR 'Slow Consumer'\r\n", *batch[5:]],
}


def outcome(damage: object, *, queue: bool = False) -> str:
    """What the generator says of it; empty when nothing."""
    server = FalseServer(damage)
    server.start()
    load = Load(links_max=2, queue=queue)
    try:
        load.connect("subscriber", 1, port=server.port, hello=b"")
        load.connect("publisher", 1, port=server.port, hello=b"")
        load.flood(0.02, 0.5)
    except LoadError as error:
        return str(error)
    finally:
        load.close()
        server.join(10.0)
    return ""


def speed() -> tuple[float, float]:
    """Verified 16-byte messages in millions a second: for the whole generator, and for the time it was not waiting."""
    listener = socket.create_server(("127.0.0.1", 0))
    frame = b"MSG bench.msg 1 16\r\n"
    pattern = bytes(33 + (at * 7 + (at >> 6) * 3) % 93 for at in range(80))
    count = 3_000_000
    stream = b"".join(
        frame + struct.pack("<Q", number) + pattern[number & 63 : (number & 63) + 8] + b"\r\n"
        for number in range(count)
    )
    load = Load(links_max=2)

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            connection.sendall(INFO)
            connection.recv(4096)
            connection.sendall(b"PONG\r\n")
            connections.append(connection)
        connections[0].sendall(stream)

    connections: list[socket.socket] = []
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    load.connect("subscriber", 1, port=listener.getsockname()[1], hello=b"")
    load.connect("publisher", 1, port=listener.getsockname()[1], hello=b"")
    found = load.receive(count, 20.0)
    thread.join(20.0)
    load.close()
    for connection in (*connections, listener):
        connection.close()
    return count / found["seconds"] / 1e6, count / found["client_cpu_s"] / 1e6


def main() -> int:
    """Exit status 1 when damage passes or the undamaged does not."""
    failed = 0
    for queue in (False, True):
        kind = "queue group" if queue else "subscriber"
        for name, damage in {"undamaged": list, **DAMAGES}.items():
            said = outcome(damage, queue=queue)
            right = bool(said) != (name == "undamaged")
            failed += not right
            print(f"{'ok  ' if right else 'FAIL'} {kind}: {name}: {said[:80]!r}")
    begun = time.monotonic()
    rate, own = speed()
    print(f"speed: {rate:.1f} M messages/s of 16 B verified; {own:.1f} M for each second of its own CPU time")
    print(f"{failed} failed, {time.monotonic() - begun:.1f} s for the speed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
