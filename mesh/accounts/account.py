"""One account at run time."""

from msgspec import Struct

from gossamer.auth.settings import AccountLimits

UNLIMITED = AccountLimits()


class Account(Struct, gc=False, eq=False):
    """``number`` is the engine's. ``label`` is what people call it (the JWT's name); the name itself in config mode.

    ``clients`` and ``leafnodes`` count admitted links, ``remote_clients`` and ``remote_leafnodes`` those of all other
    servers;
    ``members`` are the ids of the admitted links in the order in which they came, kept in operator mode only, where
    accounts change while they are used.
    """

    name: str
    number: int
    limits: AccountLimits = UNLIMITED
    system: bool = False
    label: str = ""
    clients: int = 0
    clients_ever: int = 0
    leafnodes: int = 0
    remote_clients: int = 0
    remote_leafnodes: int = 0
    members: dict[int, None] | None = None

    @property
    def connections(self) -> int:
        """Of this node: clients and leaf nodes."""
        return self.clients + self.leafnodes

    @property
    def full(self) -> bool:
        """Would one more client be too many, in the whole cluster?"""
        allowed = self.limits.max_connections
        return 0 <= allowed <= self.connections + self.remote_clients

    @property
    def leafnodes_full(self) -> bool:
        """The same for one more leaf node."""
        allowed = self.limits.max_leafnodes
        return 0 <= allowed <= self.leafnodes + self.remote_leafnodes


def smallest(*limits: int) -> int:
    """The strictest of several limits of which a negative one is none; -1 if none is."""
    return min((limit for limit in limits if limit >= 0), default=-1)
