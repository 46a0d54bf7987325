"""A mesh on paper: places, the links between them by kind, and the accounts, as data.

A place becomes the configuration text of its node, in the language that operators write, so that what is simulated is
what can be run. ``shapes`` makes the usual ones.
"""

from msgspec import Struct, structs

from gossamer.mesh.options.loading import load
from gossamer.mesh.options.options import LameDuckOptions, Options
from gossamer.mesh.sim.release import NEWEST, Release

CLIENT_PORT = 4222
ROUTE_PORT = 6222
GATEWAY_PORT = 7222
LEAF_PORT = 7422
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


#: The same, and A is told how long each answer took.
TIMED_SHARING = SHARING.replace(
    '{ service: "svc.*" }', '{ service: "svc.*", latency: { sampling: 100%, subject: "lat.svc" } }'
)

#: The accounts of an edge that shares nothing itself.
PLAIN = """
accounts {
  A: { users: [ { user: a, password: p } ] }
  B: { users: [ { user: b, password: p } ] }
  C: { users: [ { user: c, password: p } ] }
}
"""


class LinkPlan(Struct, frozen=True):
    """Somebody to dial: ``route`` and ``gateway`` to a place (a gateway is that place's cluster)."""

    kind: str
    to: str


class LeafPlan(Struct, frozen=True, kw_only=True):
    """A remote of a leaf node: the hub's places, the account here and the one there. What is denied does not cross."""

    to: tuple[str, ...]
    account: str = "A"
    hub_account: str = "A"
    deny_imports: tuple[str, ...] = ()
    deny_exports: tuple[str, ...] = ()


class Place(Struct, frozen=True, kw_only=True):
    """Where a node runs. ``links`` are the configured ones; gossip brings the rest. ``cluster`` empty: a node alone.
    ``accounts`` is configuration text, empty: the topology's. ``pinned``: accounts with routes of their own."""

    name: str
    host: str
    cluster: str = "sim"
    links: tuple[LinkPlan, ...] = ()
    remotes: tuple[LeafPlan, ...] = ()
    gateway: bool = False
    hub: bool = False
    release: Release = NEWEST
    accounts: str = ""
    pool_size: int = 3
    pinned: tuple[str, ...] = ()
    compression: str = "off"
    ping_interval_ns: int = 5 * _SECOND_NS
    client_ping_interval_ns: int = 20 * _SECOND_NS
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

    def with_places(self, *places: Place) -> "Topology":
        """The same with other places."""
        return Topology(places=places, accounts=self.accounts)

    def options(self, place: Place) -> Options:
        """What the node at that place is told. Raises FaultyConfiguration."""
        text = self.configuration(place).encode()
        loaded = load(["-c", f"{place.name}.conf"], reader=lambda path: text, environment={})
        # Shorter than a configuration may say: nobody here has two minutes.
        return structs.replace(
            loaded, lame_duck=LameDuckOptions(duration_ns=4 * _SECOND_NS, grace_period_ns=_SECOND_NS)
        )

    def configuration(self, place: Place) -> str:
        """Its configuration file."""
        lines = [
            f'host: "{place.host}"',
            f"port: {CLIENT_PORT}",
            f"server_name: {place.name}",
            f"ping_interval: {_text(place.client_ping_interval_ns)}",
        ]
        if place.cluster:
            lines += self._cluster(place)
        if place.gateway:
            lines += self._gateway(place)
        if place.hub or place.remotes:
            lines += self._leafnodes(place)
        return "\n".join([*lines, place.accounts or self.accounts])

    def _cluster(self, place: Place) -> list[str]:
        routes = [f'"nats-route://{self.place(link.to).host}:{ROUTE_PORT}"' for link in place.links if _is_route(link)]
        return [
            "cluster {",
            f"  name: {place.cluster}",
            f'  listen: "{place.host}:{ROUTE_PORT}"',
            f"  pool_size: {place.pool_size}",
            f"  ping_interval: {_text(place.ping_interval_ns)}",
            f"  compression: {place.compression}",
            f"  routes: [{', '.join(routes)}]",
            *([f"  accounts: [{', '.join(place.pinned)}]"] if place.pinned else []),
            "}",
        ]

    def _gateway(self, place: Place) -> list[str]:
        urls: dict[str, list[str]] = {}
        for link in place.links:
            if link.kind == "gateway":
                other = self.place(link.to)
                urls.setdefault(other.cluster, []).append(f'"nats://{other.host}:{GATEWAY_PORT}"')
        remotes = [f"    {{ name: {name}, urls: [{', '.join(found)}] }}" for name, found in urls.items()]
        return [
            "gateway {",
            f"  name: {place.cluster}",
            f'  listen: "{place.host}:{GATEWAY_PORT}"',
            "  gateways: [",
            *remotes,
            "  ]",
            "}",
        ]

    def _leafnodes(self, place: Place) -> list[str]:
        lines = ["leafnodes {"]
        if place.hub:
            lines.append(f'  listen: "{place.host}:{LEAF_PORT}"')
        lines.append(f"  compression: {place.compression}")
        if place.remotes:
            lines += ["  remotes: [", *(self._remote(place, plan) for plan in place.remotes), "  ]"]
        return [*lines, "}"]

    def _remote(self, place: Place, plan: LeafPlan) -> str:
        user = f"{plan.hub_account.lower()}:p@"
        urls = ", ".join(f'"nats-leaf://{user}{self.place(name).host}:{LEAF_PORT}"' for name in plan.to)
        denied = "".join(
            f", {key}: [{', '.join(f'{subject!r}' for subject in subjects)}]"
            for key, subjects in (("deny_imports", plan.deny_imports), ("deny_exports", plan.deny_exports))
            if subjects
        )
        return f"    {{ urls: [{urls}], account: {plan.account}{denied}, compression: {place.compression} }}"


def _is_route(link: LinkPlan) -> bool:
    return link.kind == "route"


def _text(duration_ns: int) -> str:
    return f'"{duration_ns // 1_000_000}ms"'
