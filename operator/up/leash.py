"""Run a program that ends when its parent does: ``leash.py PARENT PROGRAM ARGUMENTS...``.

A killed parent cannot end its children. Linux sends them a signal if they ask for it, and the wish outlives ``exec``,
so this small program asks and then becomes the real one. Started with ``python -I -S``: it imports nothing of ours.
"""

import ctypes
import os
import signal
import sys

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main() -> None:
    """Become ``argv[2]``."""
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)  # it was gone before we asked
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
