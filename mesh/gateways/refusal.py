"""Why a peer is refused, in the exact words that go into -ERR '...' (spec gateways 2, 3)."""

from typing import Final

UNAUTHORIZED: Final = "Authorization Violation"
WRONG_PORT: Final = "attempted to connect to gateway port"


def unknown_gateway(own: str) -> str:
    """To a cluster that is not configured; ``own`` is our name."""
    return f'Connection to gateway "{own}" rejected'


def not_a_gateway(wanted: str) -> str:
    """To somebody we dialled who is something else."""
    return f'Attempt to connect to gateway "{wanted}" using wrong port'


def wrong_name(own: str, wanted: str, found: str) -> str:
    """To somebody we dialled who is of another cluster."""
    return f'Connection from "{own}" rejected, wanted to connect to "{wanted}", this is "{found}"'
