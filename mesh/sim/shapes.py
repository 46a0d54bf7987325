"""The usual topologies: clusters, superclusters, hubs with leaf nodes, leaf clusters, leafs of leafs.

Hosts are ``10.<number of the cluster>.<...>``, so that the clients' 10.128 stays free.
"""

from collections.abc import Callable, Sequence

from msgspec import structs

from gossamer.mesh.sim.topology import TWO_TENANTS, LeafPlan, LinkPlan, Place, Topology

_SECOND_NS = 1_000_000_000
#: Gateways and leaf nodes are pinged as often as clients: dead machines must be found in a time worth simulating.
_PING_INTERVAL_NS = 4 * _SECOND_NS


def cluster(count: int, *, shape: str = "star", accounts: str = TWO_TENANTS, pool_size: int = 3) -> Topology:
    """A cluster ``n1 ... n<count>``. ``shape`` is whom each one dials by configuration: ``star`` the first, ``chain``
    the one before, ``ring`` the next, ``full`` everybody. Raises ValueError for another shape."""
    names = [f"n{number}" for number in range(1, count + 1)]
    return Topology(places=_places("sim", 0, names, shape, pool_size), accounts=accounts)


def supercluster(
    sizes: Sequence[int],
    *,
    shape: str = "full",
    inner: str = "star",
    accounts: str = TWO_TENANTS,
    pool_size: int = 3,
    known: int = 1,
) -> Topology:
    """Clusters ``c1 ... c<n>`` of these sizes with nodes ``c1-1``, ``c1-2`` and so on, joined by gateways. ``shape`` is
    which clusters know which by configuration (as for ``cluster``), ``inner`` the same within each; ``known``: how many
    nodes of another cluster are configured."""
    numbers = range(1, len(sizes) + 1)
    names = {number: [f"c{number}-{each}" for each in range(1, sizes[number - 1] + 1)] for number in numbers}
    places: list[Place] = []
    for number in numbers:
        others = [int(text) for text in targets([str(each) for each in numbers], number - 1, shape)]
        links = tuple(LinkPlan("gateway", name) for other in others for name in names[other][:known])
        places.extend(
            structs.replace(
                place, gateway=True, links=(*place.links, *links), client_ping_interval_ns=_PING_INTERVAL_NS
            )
            for place in _places(f"c{number}", number, names[number], inner, pool_size)
        )
    return Topology(places=tuple(places), accounts=accounts)


def with_hub(topology: Topology, *names: str) -> Topology:
    """The same, whose named places (none: all) take leaf nodes. Beside gateways that needs a named system account."""
    if any(place.gateway for place in topology.places) and "system_account" not in topology.accounts:
        named = "system_account: SYS\n" + topology.accounts.replace("accounts {", "accounts {\n  SYS: {}", 1)
        topology = structs.replace(topology, accounts=named)
    return topology.with_places(
        *(
            structs.replace(place, hub=True, client_ping_interval_ns=_PING_INTERVAL_NS)
            if not names or place.name in names
            else place
            for place in topology.places
        )
    )


def with_leafs(
    topology: Topology,
    count: int,
    plans: Sequence[LeafPlan],
    *,
    prefix: str = "leaf",
    cluster_name: str = "",
    hub: bool = False,
    shape: str = "star",
    accounts: str = "",
) -> Topology:
    """The same with more places ``<prefix>1`` and so on, each with these remotes: nodes alone, or one leaf cluster.
    ``hub``: they take leaf nodes in their turn. ``accounts``: theirs, if not the topology's. Raises ValueError if the
    prefix is taken."""
    if any(place.name == f"{prefix}1" for place in topology.places):
        raise ValueError(f"there are leafs {prefix!r} already")
    block = 1 + max(int(place.host.split(".")[1]) for place in topology.places)
    names = [f"{prefix}{number}" for number in range(1, count + 1)]
    places = _places(cluster_name, block, names, shape if cluster_name else "none", 3)
    return topology.with_places(
        *topology.places,
        *(
            structs.replace(
                place, remotes=tuple(plans), hub=hub, accounts=accounts, client_ping_interval_ns=_PING_INTERVAL_NS
            )
            for place in places
        ),
    )


def with_pinned(topology: Topology, *accounts: str) -> Topology:
    """The same, where these accounts have routes of their own."""
    return topology.with_places(*(structs.replace(place, pinned=accounts) for place in topology.places))


def with_compression(topology: Topology, words: Sequence[str], choose: Callable[[Sequence[str]], str]) -> Topology:
    """The same, each of whose places is configured with one of these words for routes and leaf nodes."""
    return topology.with_places(*(structs.replace(place, compression=choose(words)) for place in topology.places))


def targets(names: Sequence[str], index: int, shape: str) -> list[str]:
    """Whom the one with that index dials. Raises ValueError for an unknown shape."""
    if shape == "star":
        found = list(names[:1])
    elif shape == "chain":
        found = list(names[max(0, index - 1) : index])
    elif shape == "ring":
        found = [names[(index + 1) % len(names)]]
    elif shape == "full":
        found = list(names)
    elif shape == "none":
        found = []
    else:
        raise ValueError(f"no shape {shape!r}")
    return [name for name in found if name != names[index]]


def _places(cluster_name: str, block: int, names: Sequence[str], shape: str, pool_size: int) -> tuple[Place, ...]:
    if block >= 128:
        raise ValueError("too many clusters: from 10.128 on there are clients")
    return tuple(
        Place(
            name=name,
            host=f"10.{block}.{(index + 1) // 250}.{(index + 1) % 250 + 1}",
            cluster=cluster_name,
            links=tuple(LinkPlan("route", target) for target in targets(names, index, shape)),
            pool_size=pool_size,
        )
        for index, name in enumerate(names)
    )
