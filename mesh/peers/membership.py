"""The clients of one account: who they are, and who goes when there are too many."""

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.clients import ACCOUNT_FULL, Clients, full


def members(clients: Clients, account: Account) -> list[Client]:
    """Who is in the account and may stay so far, in the order in which they came."""
    if account.members is None:
        found = [client for client in clients if client.account is account]
    else:
        found = [client for link in account.members if (client := clients.find(link)) is not None]
    return [client for client in found if not clients.is_ending(client)]


def enforce_connections(clients: Clients, account: Account) -> None:
    """A limit that was lowered, or reached in the cluster as a whole, lies below what is there: our newest go."""
    allowed = account.limits.max_connections
    if not 0 <= allowed < account.connections + account.remote_clients:
        return
    here = max(0, allowed - account.remote_clients - account.leafnodes)
    for client in members(clients, account)[here:]:
        clients.refuse(client, ACCOUNT_FULL, CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, full(account))
