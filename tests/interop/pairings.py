"""What is put together with what: every mesh of the interop tests, as data.

A letter is a node: ``O`` one of ours, ``R`` nats-server. Names of meshes read like the map: clusters side by side are
joined by gateways, ``<`` means that what follows is a leaf (or a cluster of leaf nodes) of what stands before.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A node to be. ``cluster``: its name, empty outside of clusters. ``gateways``: clusters that it is configured
    with, None for a node without gateways. ``hubs``: names of those that it dials as a leaf; with ``exchanged`` it
    is the hub of these links all the same. ``shares``: are there imports and exports in its configuration?"""

    name: str
    kind: str
    cluster: str = ""
    gateways: tuple[str, ...] | None = None
    hubs: tuple[str, ...] = ()
    exchanged: bool = False
    shares: bool = True

    @property
    def home(self) -> str:
        """What is near: the own cluster, or the node alone."""
        return self.cluster or self.name


@dataclass(frozen=True)
class Pairing:
    """Nodes in the order in which they are started: whom one dials stands before it. ``shared_below``: imports and
    exports are configured in a leaf. What comes to it from a hub by one account does not go back to a hub by another
    one, with nats-server alone neither."""

    name: str
    places: tuple[Place, ...]
    shared_below: bool = False

    @property
    def homes(self) -> list[str]:
        return list(dict.fromkeys(place.home for place in self.places))

    def shares(self, one: str, other: str) -> bool:
        """Can a message go from one node to the other through an import?"""
        return not self.shared_below or any(place.shares for place in self.places if place.name in (one, other))

    def of_home(self, home: str) -> list[Place]:
        return [place for place in self.places if place.home == home]


def _nodes(
    name: str,
    kinds: str,
    *,
    knows: tuple[str, ...] | None = None,
    hubs: tuple[str, ...] = (),
    exchanged: bool = False,
    shares: bool = True,
) -> tuple[Place, ...]:
    """A cluster, or a single node; only its first node is configured with other clusters. Hubs are taken in turn."""
    alone = len(kinds) == 1 and knows is None
    return tuple(
        Place(
            name=name if alone else f"{name}{position + 1}",
            kind=kind,
            cluster="" if alone else name,
            gateways=None if knows is None else () if position else knows,
            hubs=(hubs[position % len(hubs)],) if hubs else (),
            exchanged=exchanged,
            shares=shares,
        )
        for position, kind in enumerate(kinds)
    )


def cluster(kinds: str) -> Pairing:
    """One cluster."""
    return Pairing(f"cluster {kinds}", _nodes("C", kinds))


def superclusters(*kinds: str) -> Pairing:
    """Clusters in a chain: each knows the one before."""
    places: tuple[Place, ...] = ()
    for position, each in enumerate(kinds):
        knows = (f"G{position}",) if position else ()
        places += _nodes(f"G{position + 1}", each, knows=knows)
    return Pairing(f"gateways {' '.join(kinds)}", places)


def leafs(*tiers: str, exchanged: bool = False, sharing: int = 0) -> Pairing:
    """Tiers of one node or a cluster each, from the top hub down. ``sharing``: the tier with imports and exports."""
    places: tuple[Place, ...] = ()
    above: tuple[str, ...] = ()
    for position, each in enumerate(tiers):
        tier = _nodes(f"L{position + 1}", each, hubs=above, exchanged=exchanged, shares=position == sharing)
        above = tuple(place.name for place in tier)
        places += tier
    words = f"{', exchanged' if exchanged else ''}{f', sharing in tier {sharing + 1}' if sharing else ''}"
    return Pairing(f"leafs {' < '.join(tiers)}{words}", places, shared_below=exchanged or sharing > 0)


def both(clusters: tuple[str, str], leaf: str) -> Pairing:
    """Two clusters, and a leaf node of the last one of the second."""
    above = superclusters(*clusters)
    below = _nodes("L", leaf, hubs=(above.places[-1].name,), shares=False)
    return Pairing(f"{above.name} < {leaf}", above.places + below)


#: Few and quick, for every run of the tests.
SMALL = (both(("OR", "R"), "O"),)

WHOLE = (
    *(cluster(kinds) for kinds in ("ORR", "ROR", "RRO", "OOR", "ORO", "ROO")),
    *(
        superclusters(*kinds)
        for kinds in (
            ("OO", "RR"),
            ("RR", "OO"),
            ("OR", "RR"),
            ("RR", "RO"),
            ("OR", "OO"),
            ("OO", "RO"),
            ("OR", "OR"),
            ("OR", "RO"),
            ("O", "R", "OR"),
            ("R", "O", "R"),
        )
    ),
    *(leafs(*tiers) for tiers in (("O", "R"), ("R", "O"))),
    *(leafs(*tiers, sharing=1) for tiers in (("O", "R"), ("R", "O"))),
    *(leafs(*tiers, exchanged=True) for tiers in (("O", "R"), ("R", "O"))),
    *(leafs(*tiers) for tiers in (("OO", "RR"), ("RR", "OO"), ("OR", "OR"), ("OR", "RO"), ("RR", "OR"), ("OR", "OO"))),
    *(leafs(*tiers) for tiers in ("ORO", "ROR", "OOR", "RRO", "ORR", "ROO")),
    both(("OR", "R"), "O"),
    both(("R", "OO"), "R"),
    both(("RR", "RO"), "O"),
)

#: The same with nats-server alone: what fails here is a mistake of the test.
CONTROLS = (
    cluster("RRR"),
    superclusters("RR", "RR"),
    superclusters("R", "R", "RR"),
    leafs("R", "R"),
    leafs("R", "R", sharing=1),
    leafs("R", "R", exchanged=True),
    leafs("RR", "RR"),
    leafs("R", "R", "R"),
    both(("RR", "R"), "R"),
)
