"""What the types of a topology cannot say: names that must be declared, ways that must exist, steps that could be
walked. Every fault is told with its key, all of them at once."""

from collections.abc import Iterator, Sequence

from gossamer.auth.subjects import has_wildcards, is_valid
from gossamer.operator.up import topology
from gossamer.operator.up.topology import (
    GUIDE,
    ClusterPlan,
    DeniedStep,
    FailoverStep,
    IsolationStep,
    MembershipStep,
    QueueStep,
    RequestStep,
    Step,
    SurvivalStep,
    Topology,
    seated,
    tenant_of,
)

#: Names that containers have beside those of nodes.
RESERVED = ("trust", "relay")

_SEAT_FIELDS = ("asker", "responder", "inside", "outside")
_SEATS_FIELDS = ("askers", "publishers", "subscribers", "strangers")


def faults_of(found: Topology) -> Iterator[str]:
    """Everything that is wrong with it, as ``key: what``."""
    if bool(found.nodes) == bool(found.clusters):
        yield "nodes: say either nodes, for one cluster, or clusters"
        return
    if found.clusters and found.cluster:
        yield "cluster: belongs to a topology with nodes; clusters have names of their own"
    nodes = found.node_names
    yield from _twice("nodes", nodes)
    yield from _twice("clusters", [cluster.name for cluster in found.clusters])
    yield from _twice("tenants", [tenant.name for tenant in found.tenants])
    yield from _twice("services", [service.name for service in found.services])
    for name in RESERVED:
        if name in nodes:
            yield f"nodes: {name!r} is the name of a container beside the nodes"
    for position, cluster in enumerate(found.all_clusters):
        yield from _cluster_faults(found, cluster, f"clusters[{position}]." if found.clusters else "")
    yield from _user_faults(found)
    if list(_leaf_rings(found)):
        yield "clusters: their remotes go round in a ring"
        return
    yield from _latency_faults(found)
    users = [f"{tenant.name}/{user.name}" for tenant in found.tenants for user in tenant.users]
    for position, service in enumerate(found.services):
        key = f"services[{position}]"
        yield from _seat_faults(found, f"{key}.user", f"{key}.node", service.user, service.node, users)
        if not is_valid(service.subject):
            yield f"{key}.subject: {service.subject!r} is not a subject"
    for position, step in enumerate(found.tour):
        yield from _step_faults(found, f"tour[{position}]", step, users)


def _cluster_faults(found: Topology, cluster: ClusterPlan, key: str) -> Iterator[str]:
    names = [node.name for node in cluster.nodes]
    if len(names) > 1 and not cluster.name:
        yield "cluster: missing, and there is more than one node"
    for position, node in enumerate(cluster.nodes):
        for route in node.routes:
            yield from _known(f"{key}nodes[{position}].routes", "node", route, names)
            if route == node.name:
                yield f"{key}nodes[{position}].routes: {route!r} is the node itself"
    yield from _unreachable(cluster, key)
    names_of_clusters = [other.name for other in found.clusters]
    tenants = [tenant.name for tenant in found.tenants]
    users = [f"{tenant.name}/{user.name}" for tenant in found.tenants for user in tenant.users]
    here = [tenant.name for tenant in found.tenants_of(cluster)]
    for position, remote in enumerate(cluster.remotes):
        place = f"{key}remotes[{position}]"
        yield from _known(f"{place}.hub", "cluster", remote.hub, names_of_clusters)
        yield from _known(f"{place}.tenant", "tenant", remote.tenant, tenants)
        yield from _known(f"{place}.user", "user", remote.user, users)
        if remote.hub == cluster.name:
            yield f"{place}.hub: {remote.hub!r} is the cluster itself"
        elif remote.tenant in tenants and remote.tenant not in here:
            yield f"{place}.tenant: cluster {cluster.name!r} does not know {remote.tenant!r}"
        elif remote.hub in names_of_clusters and remote.user in users:
            there = found.tenants_of(found.cluster_named(remote.hub))
            if tenant_of(remote.user) not in [tenant.name for tenant in there]:
                yield f"{place}.user: cluster {remote.hub!r} does not know {tenant_of(remote.user)!r}"


def _unreachable(cluster: ClusterPlan, key: str) -> Iterator[str]:
    """Nodes that no chain of routes joins with the first one could never find it."""
    reached = {cluster.nodes[0].name}
    growing = True
    while growing:
        growing = False
        for node in cluster.nodes:
            touches = node.name in reached or any(route in reached for route in node.routes)
            fresh = {node.name, *node.routes} - reached if touches else set()
            if fresh:
                reached |= fresh
                growing = True
    for position, node in enumerate(cluster.nodes):
        if node.name not in reached:
            yield f"{key}nodes[{position}].routes: no route joins {node.name!r} with {cluster.nodes[0].name!r}"


def _leaf_rings(found: Topology) -> Iterator[str]:
    """Clusters that would be their own hub: a message could go round for ever."""
    hubs = {cluster.name: {remote.hub for remote in cluster.remotes} for cluster in found.clusters}
    for name in hubs:
        seen: set[str] = set()
        ahead = set(hubs[name])
        while ahead:
            one = ahead.pop()
            if one == name:
                yield name
            ahead |= hubs.get(one, set()) - seen
            seen.add(one)


def _latency_faults(found: Topology) -> Iterator[str]:
    clusters = [cluster.name for cluster in found.clusters]
    told = [tuple(sorted(plan.between)) for plan in found.latency]
    for position, plan in enumerate(found.latency):
        key = f"latency[{position}].between"
        for name in plan.between:
            yield from _known(key, "cluster", name, clusters)
        one, other = plan.between
        if one in clusters and other in clusters and not _linked(found, one, other):
            yield f"{key}: no gateway or leaf link joins {one!r} and {other!r}"
        if told.count((min(one, other), max(one, other))) > 1:
            yield f"{key}: {one!r} and {other!r} are told of twice"


def _linked(found: Topology, one: str, other: str) -> bool:
    here, there = found.cluster_named(one), found.cluster_named(other)
    gateway = one != other and not here.is_leaf and not there.is_leaf
    return gateway or here in found.leaf_clusters(there) or there in found.leaf_clusters(here)


def _user_faults(found: Topology) -> Iterator[str]:
    clusters = [cluster.name for cluster in found.clusters]
    for position, tenant in enumerate(found.tenants):
        key = f"tenants[{position}]"
        if tenant.name == "SYS":
            yield f"{key}.name: 'SYS' is the system account"
        for cluster in tenant.clusters:
            yield from _known(f"{key}.clusters", "cluster", cluster, clusters)
        yield from _twice(f"{key}.users", [user.name for user in tenant.users])
        for place, user in enumerate(tenant.users):
            if user.name == GUIDE:
                yield f"{key}.users[{place}].name: {GUIDE!r} is made for every tenant by itself"
            for side, plan in (("publish", user.publish), ("subscribe", user.subscribe)):
                for subject in (*plan.allow, *plan.deny):
                    if not is_valid(subject.partition(" ")[0]):
                        yield f"{key}.users[{place}].{side}: {subject!r} is not a subject"


def _step_faults(found: Topology, key: str, step: Step, users: Sequence[str]) -> Iterator[str]:
    nodes = found.node_names
    if isinstance(step, DeniedStep):
        yield from _known(f"{key}.witness", "user", step.witness, users)
    if isinstance(step, IsolationStep):
        yield from _known(f"{key}.stranger", "user", step.stranger, users)
        if tenant_of(step.user) == tenant_of(step.stranger):
            yield f"{key}.stranger: {step.stranger!r} is of the same tenant as {step.user!r}"
        elif len(nodes) > 1 and len(found.homes(tenant_of(step.user), tenant_of(step.stranger))) < 2:
            yield f"{key}: there are no two nodes that know both tenants"
    if hasattr(step, "user"):
        yield from _known(f"{key}.user", "user", step.user, users)
    for field in ("node", "publisher", "subscriber"):
        if hasattr(step, field):
            yield from _known(f"{key}.{field}", "node", getattr(step, field), nodes)
    if isinstance(step, QueueStep):
        for name in (*step.members, *step.publishers):
            yield from _known(f"{key}.members", "node", name, nodes)
        if not step.members or not step.publishers:
            yield f"{key}: a queue group needs members and publishers"
    else:
        yield from _seats_faults(found, key, step, users)
    services = [service.name for service in found.services]
    if isinstance(step, RequestStep | topology.IslandStep) or (isinstance(step, FailoverStep) and step.service):
        yield from _known(f"{key}.service", "service", step.service, services)
    if isinstance(step, FailoverStep | MembershipStep | IsolationStep) and len(nodes) < 2:
        yield f"{key}: needs two nodes or more"
    if isinstance(step, SurvivalStep) and len(nodes) < 3:
        yield f"{key}: needs three nodes or more"
    if isinstance(step, FailoverStep | MembershipStep | SurvivalStep) and len(found.all_clusters) > 1:
        yield f"{key}: is for meshes of one cluster"
    yield from _cluster_step_faults(found, key, step)
    if not isinstance(step, RequestStep):
        wild = has_wildcards(step.subject)
        if not is_valid(step.subject) or (wild and not (isinstance(step, DeniedStep) and step.action == "sub")):
            yield f"{key}.subject: {step.subject!r} is not a subject that a message can be sent to"


def _cluster_step_faults(found: Topology, key: str, step: Step) -> Iterator[str]:
    clusters = [cluster.name for cluster in found.clusters]
    if isinstance(step, topology.NearestStep | topology.TakeoverStep | topology.CloudLossStep):
        answering = [service for service in found.services if service.subject == step.subject]
        least = 1 if isinstance(step, topology.NearestStep) else 2
        if len(answering) < least:
            yield f"{key}.subject: {len(answering)} services answer on {step.subject!r}, it needs {least} or more"
    if isinstance(step, topology.CloudLossStep | topology.IslandStep):
        yield from _known(f"{key}.cluster", "cluster", step.cluster, clusters)
        if step.cluster not in clusters:
            return
        inside = [node.name for node in found.cluster_named(step.cluster).nodes]
        if isinstance(step, topology.IslandStep):
            if not found.cluster_named(step.cluster).is_leaf:
                yield f"{key}.cluster: {step.cluster!r} has no leaf links that could be cut"
            if seated(step.inside)[1] not in inside:
                yield f"{key}.inside: {step.inside!r} is not in cluster {step.cluster!r}"
            if seated(step.outside)[1] in inside:
                yield f"{key}.outside: {step.outside!r} is in cluster {step.cluster!r}"
        elif seated(step.asker)[1] in inside:
            yield f"{key}.asker: {step.asker!r} would die with cluster {step.cluster!r}"


def _seats_faults(found: Topology, key: str, step: Step, users: Sequence[str]) -> Iterator[str]:
    for field in _SEAT_FIELDS:
        if hasattr(step, field):
            where = f"{key}.{field}"
            yield from _seat_faults(found, where, where, *seated(getattr(step, field)), users)
    for field in _SEATS_FIELDS:
        for position, seat in enumerate(getattr(step, field, ())):
            where = f"{key}.{field}[{position}]"
            yield from _seat_faults(found, where, where, *seated(seat), users)


def _seat_faults(
    found: Topology, user_key: str, node_key: str, user: str, node: str, users: Sequence[str]
) -> Iterator[str]:
    yield from _known(user_key, "user", user, users)
    yield from _known(node_key, "node", node, found.node_names)
    if user in users and node in found.node_names and node not in found.homes(tenant_of(user)):
        yield f"{node_key}: node {node!r} does not know tenant {tenant_of(user)!r}"


def _twice(key: str, given: Sequence[str]) -> Iterator[str]:
    for name in sorted({name for name in given if given.count(name) > 1}):
        yield f"{key}: {name!r} is declared twice"


def _known(key: str, what: str, name: str, known: Sequence[str]) -> Iterator[str]:
    if name not in known:
        yield f"{key}: there is no {what} {name!r} (there are: {', '.join(known) or 'none'})"
