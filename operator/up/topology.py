"""A mesh as data: nodes, tenants and their users, services, and the steps of its tour.

The form of ``topologies/<name>/topology.toml``. Users are named ``tenant/user`` everywhere outside their tenant.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
Kind = Literal["gossamer", "nats-server"]
Count = Annotated[int, Meta(ge=1, le=100_000)]

#: The user that every tenant gets besides its own: the tour sees with it when interest has crossed the mesh.
GUIDE = "tour-guide"


class NodePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node. ``routes`` are the nodes it is told of at its start; the others it finds by gossip."""

    name: Name
    kind: Kind = "gossamer"
    routes: tuple[str, ...] = ()


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
    """A tenant: an account and its users."""

    name: Name
    users: tuple[UserPlan, ...]


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


Step = RequestStep | QueueStep | HeadersStep | IsolationStep | DeniedStep | FailoverStep | MembershipStep | SurvivalStep


class Topology(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. ``cluster`` is the cluster's name, needed as soon as there is more than one node."""

    description: str
    operator: Name
    cluster: str = ""
    nodes: Annotated[tuple[NodePlan, ...], Meta(min_length=1)]
    tenants: tuple[TenantPlan, ...] = ()
    services: tuple[ServicePlan, ...] = ()
    tour: tuple[Step, ...] = ()

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of the nodes, in the order of the file."""
        return tuple(node.name for node in self.nodes)

    def service(self, name: str) -> ServicePlan:
        """A service by its name. Raises KeyError."""
        for plan in self.services:
            if plan.name == name:
                return plan
        raise KeyError(name)


def tenant_of(user: str) -> str:
    """The tenant in ``tenant/user``."""
    return user.partition("/")[0]
