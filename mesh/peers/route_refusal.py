"""Why a peer is refused, in the exact words that go into -ERR '...' (spec routes 3.3, 4.2, 4.3, 7, 8.1)."""

from collections.abc import Callable
from typing import Final

from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import RouteSettings

UNAUTHORIZED: Final = "Authorization Violation"
WRONG_PORT: Final = "attempted to connect to route port"


def refusal_of_accepted(
    info: RouteInfo, settings: RouteSettings, pinned: frozenset[str], account_exists: Callable[[str], bool]
) -> str:
    """Why we cannot let that peer in after its first INFO; empty: we can."""
    size, account = max(settings.pool_size, info.route_pool_size, 1), info.route_account
    if not 0 <= info.route_pool_idx < size:
        return invalid_pool_index(info.route_pool_idx, size)
    if account and not (settings.pooled and info.pooled):
        return no_dedicated_route(account)
    if account and account not in pinned:
        return account_not_pinned(account) if account_exists(account) else account_missing(account)
    return ""


def refusal_of_solicited(info: RouteInfo, settings: RouteSettings, account: str) -> str:
    """Why we do not stay with somebody we dialled, for ``account`` if it is set; empty: we stay."""
    if info.route_pool_idx:
        return index_from_acceptor(info.route_pool_idx)
    if account and not (settings.pooled and info.pooled):
        return no_dedicated_route(account)
    return ""


def wrong_cluster(theirs: str, ours: str) -> str:
    return f'Rejecting connection, cluster name "{theirs}" does not match "{ours}"'


def gateway_on_route_port(name: str) -> str:
    return f'Rejecting connection from gateway "{name}" on the Route port'


def invalid_pool_index(index: int, size: int) -> str:
    return f"Invalid route pool index: {index} - pool size is {size}"


def index_from_acceptor(index: int) -> str:
    return f"Route pool index should not be set but is set to {index}"


def no_dedicated_route(account: str) -> str:
    return f'Not possible to have a dedicated route for account "{account}" between those servers'


def account_not_pinned(account: str) -> str:
    return f'No route for account "{account}"'


def account_missing(account: str) -> str:
    return f'Unable to lookup account "{account}": account missing'


def unsupported_compression(mode: str) -> str:
    return f'unsupported route compression mode "{mode}"'
