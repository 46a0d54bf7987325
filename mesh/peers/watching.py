"""Who wants to hear of clients as they come, go and are refused: the system account's events."""

from typing import Protocol

from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.closed import ClosedClient
from gossamer.mesh.peers.denials import Denial, RefusedClient


class ClientWatcher(Protocol):
    """Told on the control plane's thread, in the order in which things happened; must be quick and never raise."""

    def admitted(self, client: Client) -> None:
        """It is in: its account is set."""

    def gone(self, client: Client, closed: ClosedClient) -> None:
        """The connection ended, however; the record still says what it was while it was in."""

    def refused(self, client: Client, refused: RefusedClient) -> None:
        """It is not let in; ``gone`` follows."""

    def denied(self, client: Client, denial: Denial) -> None:
        """It may not publish or subscribe there."""


class NobodyWatches:
    """Before there is a system account, and where there is none."""

    def admitted(self, client: Client) -> None:
        """See ClientWatcher."""

    def gone(self, client: Client, closed: ClosedClient) -> None:
        """See ClientWatcher."""

    def refused(self, client: Client, refused: RefusedClient) -> None:
        """See ClientWatcher."""

    def denied(self, client: Client, denial: Denial) -> None:
        """See ClientWatcher."""
