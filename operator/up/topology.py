"""A mesh as data: clusters and what joins them, tenants and their users, services, and the steps of its tour.

The form of ``topologies/<name>/topology.toml``. Users are named ``tenant/user`` everywhere outside their tenant; a
*seat*, ``tenant/user@node``, is a user on a node.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Kind = Literal["gossamer", "nats-server"]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Seat = Annotated[str, Meta(pattern="^[^/@]+/[^/@]+@[^/@]+$")]

#: The user that every tenant gets besides its own: the tour sees with it when interest has crossed the mesh.
GUIDE = "tour-guide"


class NodePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node. ``routes`` are the nodes it is told of at its start; the others it finds by gossip."""

    name: Name
    kind: Kind = "gossamer"
    routes: tuple[str, ...] = ()


class RemotePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A leaf link that each node of a cluster has to the cluster ``hub``: ``tenant`` here is joined with the tenant of
    ``user`` there, as far as that user's permissions go."""

    hub: str
    tenant: str
    user: str


class ClusterPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cluster. Without ``remotes`` it has gateways to all others of that kind; with them it is a leaf of its hubs."""

    name: Name
    nodes: Annotated[tuple[NodePlan, ...], Meta(min_length=1)]
    remotes: tuple[RemotePlan, ...] = ()

    @property
    def is_leaf(self) -> bool:
        """Does it hang on other clusters?"""
        return bool(self.remotes)


class LatencyPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far two clusters are from each other: the time there and back, in milliseconds."""

    between: tuple[str, str]
    round_trip_ms: Annotated[float, Meta(ge=0, le=10_000)]


class SubjectPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One side of a user's permissions; nothing at all: everything is allowed."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class UserPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user. ``responses``: how many answers it may give to each request, whatever ``publish`` says; 0: none."""

    name: Name
    publish: SubjectPlan = SubjectPlan()
    subscribe: SubjectPlan = SubjectPlan()
    responses: Annotated[int, Meta(ge=0)] = 0


class TenantPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: an account and its users. Only the nodes of ``clusters`` know it; none named: all do."""

    name: Name
    users: tuple[UserPlan, ...]
    clusters: tuple[str, ...] = ()


class ServicePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that answers requests on ``subject``, started on ``node``, in queue group ``group`` if it is named."""

    name: Name
    user: str
    node: str
    subject: str
    group: str = ""


# --- the tour: one struct for each kind of step, told apart by ``step`` -------------------------------------------


class RequestStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="request"):
    """``user`` on ``node`` asks ``service``; every answer is its own."""

    service: str
    user: str
    node: str
    requests: Count = 20


class QueueStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="queue"):
    """A queue group with a member on each of ``members`` shares what comes from ``publishers``: every message once,
    each member some."""

    user: str
    subject: str
    group: str
    members: tuple[str, ...]
    publishers: tuple[str, ...]
    messages: Count = 300


class HeadersStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="headers"):
    """Messages with headers arrive with just these headers and payloads, empty ones too."""

    user: str
    subject: str
    publisher: str
    subscriber: str


class IsolationStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="isolation"):
    """On the same subject, on every node, ``stranger`` hears nothing of ``user``, and the reverse."""

    user: str
    stranger: str
    subject: str


class DeniedStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="denied"):
    """``user`` may not: the node says so, ``witness`` hears nothing of it, and the command line names the rule."""

    user: str
    node: str
    action: Literal["pub", "sub"]
    subject: str
    witness: str


class FailoverStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="failover"):
    """``node`` is killed: its clients move on and go on receiving, ``service`` answers again; it comes back, the mesh
    is whole again and messages cross it."""

    node: str
    user: str
    subject: str
    service: str = ""


class MembershipStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="membership"):
    """``node`` is a full member, both ways, towards each other one: messages, headers, queue groups, requests."""

    node: str
    user: str
    subject: str
    messages: Count = 60


class SurvivalStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="survival"):
    """Each node is killed in turn while numbered messages flow between the others: none is lost, doubled or late."""

    user: str
    subject: str
    messages: Count = 1000


class NearestStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="nearest"):
    """Of the services on ``subject`` the one nearest to each asker answers it, every time."""

    subject: str
    askers: Annotated[tuple[Seat, ...], Meta(min_length=1)]
    requests: Count = 20


class TakeoverStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="takeover"):
    """The service nearest to ``asker`` on ``subject`` ends: the next nearest answers. It returns, and answers again."""

    subject: str
    asker: Seat
    requests: Count = 20


class CloudLossStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="cloud-loss"):
    """All nodes of the cluster whose service on ``subject`` is nearest to ``asker`` are killed: the service of another
    cluster answers. They come back, the mesh is whole, and the nearest answers again."""

    cluster: str
    subject: str
    asker: Seat


class EventsStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="events"):
    """A stream of events from each publisher is heard by every subscriber, each event once and in order, and by no
    stranger."""

    subject: str
    publishers: Annotated[tuple[Seat, ...], Meta(min_length=1)]
    subscribers: Annotated[tuple[Seat, ...], Meta(min_length=1)]
    strangers: tuple[Seat, ...] = ()
    messages: Count = 200


class IslandStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="island"):
    """The leaf links of ``cluster`` are cut: inside, requests to ``service`` and messages go on, and nothing passes
    to ``outside``. They are mended, and messages pass both ways."""

    cluster: str
    inside: Seat
    outside: Seat
    subject: str
    service: str
    messages: Count = 50


class WithdrawalStep(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="step", tag="withdrawal"):
    """While ``responder`` subscribes, every asker has answers; when it unsubscribes, the askers' own nodes say that
    nobody is there."""

    subject: str
    responder: Seat
    askers: Annotated[tuple[Seat, ...], Meta(min_length=1)]


Step = (
    RequestStep
    | QueueStep
    | HeadersStep
    | IsolationStep
    | DeniedStep
    | FailoverStep
    | MembershipStep
    | SurvivalStep
    | NearestStep
    | TakeoverStep
    | CloudLossStep
    | EventsStep
    | IslandStep
    | WithdrawalStep
)


class Topology(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. A mesh of one cluster may say ``nodes``, and ``cluster`` for its name, needed as soon as there is
    more than one node; others say ``clusters``. Whoever reads it asks ``all_clusters``."""

    description: str
    operator: Name
    cluster: str = ""
    nodes: tuple[NodePlan, ...] = ()
    clusters: tuple[ClusterPlan, ...] = ()
    latency: tuple[LatencyPlan, ...] = ()
    tenants: tuple[TenantPlan, ...] = ()
    services: tuple[ServicePlan, ...] = ()
    tour: tuple[Step, ...] = ()

    @property
    def all_clusters(self) -> tuple[ClusterPlan, ...]:
        """Every cluster, in the order of the file; the name is empty for a single node without one."""
        return self.clusters or (ClusterPlan(name=self.cluster, nodes=self.nodes),)

    @property
    def all_nodes(self) -> tuple[NodePlan, ...]:
        """Every node, cluster by cluster."""
        return tuple(node for cluster in self.all_clusters for node in cluster.nodes)

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes, in the order of the file."""
        return tuple(node.name for node in self.all_nodes)

    def cluster_of(self, node: str) -> ClusterPlan:
        """The cluster that a node belongs to. Raises KeyError."""
        for cluster in self.all_clusters:
            if any(node == plan.name for plan in cluster.nodes):
                return cluster
        raise KeyError(node)

    def cluster_named(self, name: str) -> ClusterPlan:
        """A cluster by its name. Raises KeyError."""
        for cluster in self.all_clusters:
            if cluster.name == name:
                return cluster
        raise KeyError(name)

    def gateway_peers(self, cluster: ClusterPlan) -> tuple[ClusterPlan, ...]:
        """The clusters that it has gateways to."""
        if cluster.is_leaf:
            return ()
        return tuple(other for other in self.all_clusters if not other.is_leaf and other.name != cluster.name)

    def leaf_clusters(self, hub: ClusterPlan) -> tuple[ClusterPlan, ...]:
        """The clusters that hang on it."""
        return tuple(other for other in self.all_clusters if any(remote.hub == hub.name for remote in other.remotes))

    def tenants_of(self, cluster: ClusterPlan) -> tuple[TenantPlan, ...]:
        """The tenants that its nodes know."""
        return tuple(tenant for tenant in self.tenants if not tenant.clusters or cluster.name in tenant.clusters)

    def homes(self, *tenants: str) -> tuple[str, ...]:
        """The nodes that know all of these tenants."""
        return tuple(
            node.name
            for cluster in self.all_clusters
            if set(tenants) <= {tenant.name for tenant in self.tenants_of(cluster)}
            for node in cluster.nodes
        )

    def round_trip_ms(self, one: str, other: str) -> float:
        """The latency added between two clusters that are joined by a link."""
        for plan in self.latency:
            if set(plan.between) == {one, other}:
                return plan.round_trip_ms
        return 0.0

    def distance_ms(self, one: str, other: str) -> float:
        """The latency added on the way between any two clusters, leaf links included."""
        if one == other:
            return 0.0
        for here, there in ((one, other), (other, one)):
            remotes = self.cluster_named(here).remotes
            if remotes:
                # A leaf has one way out, whatever hub it leads to; a leaf of leafs has it to the same ones.
                return min(
                    self.round_trip_ms(here, remote.hub) + self.distance_ms(remote.hub, there) for remote in remotes
                )
        return self.round_trip_ms(one, other)

    def service(self, name: str) -> ServicePlan:
        """A service by its name. Raises KeyError."""
        for plan in self.services:
            if plan.name == name:
                return plan
        raise KeyError(name)


def tenant_of(user: str) -> str:
    """The tenant in ``tenant/user``."""
    return user.partition("/")[0]


def seated(seat: str) -> tuple[str, str]:
    """User and node of a seat."""
    user, _, node = seat.partition("@")
    return user, node
