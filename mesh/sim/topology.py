"""A mesh on paper: places, the links between them by kind, and the accounts, as data.

Gateways and leaf nodes are further kinds of links; what there is now is ``route``.
"""

from msgspec import Struct

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.options.loading import load
from gossamer.mesh.options.options import ClusterOptions, LameDuckOptions, LimitOptions, Options

CLIENT_PORT = 4222
ROUTE_PORT = 6222
_SECOND_NS = 1_000_000_000

#: Two tenants who share nothing.
TWO_TENANTS = """
accounts {
  A: { users: [ { user: a, password: p } ] }
  B: { users: [ { user: b, password: p } ] }
}
"""

#: B asks a service of A under another name and hears A's stream under another name; C shares nothing.
SHARING = """
accounts {
  A: {
    users: [ { user: a, password: p } ]
    exports: [ { service: "svc.*" }, { stream: "ev.>" } ]
  }
  B: {
    users: [ { user: b, password: p } ]
    imports: [
      { service: { account: A, subject: "svc.*" }, to: "ask.*" }
      { stream: { account: A, subject: "ev.>" }, to: "in.ev.>" }
    ]
  }
  C: { users: [ { user: c, password: p } ] }
}
"""


class LinkPlan(Struct, frozen=True):
    """Somebody to dial: the kind of link, and the name of the place at its other end."""

    kind: str
    to: str


class Place(Struct, frozen=True, kw_only=True):
    """Where a node runs. ``links`` are the configured ones; gossip brings the rest."""

    name: str
    host: str
    cluster: str = "sim"
    links: tuple[LinkPlan, ...] = ()
    pool_size: int = 3
    ping_interval_ns: int = 5 * _SECOND_NS
    skew_ns: int = 0
    drift_ppm: int = 0


class Topology(Struct, frozen=True, kw_only=True):
    """``accounts`` is configuration text; the user of account ``X`` is ``x`` with the password ``p``."""

    places: tuple[Place, ...]
    accounts: str = TWO_TENANTS

    @property
    def names(self) -> list[str]:
        return [place.name for place in self.places]

    def place(self, name: str) -> Place:
        return next(place for place in self.places if place.name == name)

    def authorization(self) -> AuthSettings:
        """Raises FaultyConfiguration."""
        text = self.accounts.encode()
        return load(["-c", "accounts.conf"], reader=lambda path: text, environment={}).authorization

    def options(self, place: Place, authorization: AuthSettings) -> Options:
        """What the node at that place is told."""
        routes = tuple(f"nats-route://{self.place(link.to).host}:{ROUTE_PORT}" for link in place.links)
        return Options(
            host=place.host,
            port=CLIENT_PORT,
            server_name=place.name,
            authorization=authorization,
            limits=LimitOptions(ping_interval_ns=20 * _SECOND_NS),
            lame_duck=LameDuckOptions(duration_ns=4 * _SECOND_NS, grace_period_ns=_SECOND_NS),
            cluster=ClusterOptions(
                name=place.cluster,
                host=place.host,
                port=ROUTE_PORT,
                routes=routes,
                pool_size=place.pool_size,
                ping_interval_ns=place.ping_interval_ns,
            ),
        )


def cluster(count: int, *, shape: str = "star", accounts: str = TWO_TENANTS, pool_size: int = 3) -> Topology:
    """A cluster ``n1 ... n<count>``. ``shape`` is whom each one dials by configuration: ``star`` the first, ``chain``
    the one before, ``ring`` the next, ``full`` everybody. Raises ValueError for another shape."""
    names = [f"n{number}" for number in range(1, count + 1)]
    places = []
    for index, name in enumerate(names):
        if shape == "star":
            targets = names[:1]
        elif shape == "chain":
            targets = names[max(0, index - 1) : index]
        elif shape == "ring":
            targets = [names[(index + 1) % count]]
        elif shape == "full":
            targets = names
        else:
            raise ValueError(f"no shape {shape!r}")
        links = tuple(LinkPlan("route", target) for target in targets if target != name)
        host = f"10.0.{(index + 1) // 250}.{(index + 1) % 250 + 1}"
        places.append(Place(name=name, host=host, links=links, pool_size=pool_size))
    return Topology(places=tuple(places), accounts=accounts)
