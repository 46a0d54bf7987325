"""One writer at a time: an advisory lock on a stores folder."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.store.changes import FILE_MODE, REMEDY_WRITE, make_folder

LOCK_NAME = ".gossamer.lock"
WAIT_S = 10.0
_POLL_S = 0.05


@contextlib.contextmanager
def locked(root: Path, wait_s: float | None = None) -> Iterator[None]:
    """Hold the lock of the stores folder ``root`` (made if missing).

    Waits at most ``wait_s`` seconds (``WAIT_S`` if None) for another command to end; raises Failure after that. It is
    the kernel's lock and ends with the process, so there is never a stale one to remove.
    """
    make_folder(root)
    path = root / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise from_os_error(error, "lock", path, REMEDY_WRITE) from None
    try:
        _acquire(descriptor, path, WAIT_S if wait_s is None else wait_s)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise Failure(
                    f"another command holds the lock {path}",
                    code="locked",
                    hint="wait until it has ended and try again",
                    path=str(path),
                ) from None
            time.sleep(_POLL_S)
        except OSError as error:
            raise from_os_error(error, "lock", path, REMEDY_WRITE) from None
