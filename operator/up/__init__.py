"""``gossamer up``: a whole mesh from a topology file, with trust chain, processes, tour and live status."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Run ``gossamer up ARGUMENTS`` and return the exit code (0: every step of the tour held)."""
    from gossamer.operator.up.command import run

    return run(arguments)
