"""The trust chain of a mesh: operator, system account, tenants, users with their permissions, credentials on disk.

Made with what stands behind ``gossamer operator``, ``account`` and ``user``, in a store of its own that these commands
can open with ``-H``.
"""

import time
from pathlib import Path

from msgspec import structs

from gossamer.auth.credentials import Credentials, load_credentials
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import accounts, operators, users
from gossamer.operator.tenants.configuration import ResolverForm, server_configuration
from gossamer.operator.tenants.edits import GrantEdit, PermissionEdit
from gossamer.operator.tenants.explaining import Explanation, explain, standing_in_store
from gossamer.operator.tenants.operators import GENERATE, OperatorEdit
from gossamer.operator.up.topology import GUIDE, ClusterPlan, SubjectPlan, Topology, UserPlan

#: What the guide of every tenant may use: the tour looks there whether interest has crossed the mesh.
GUIDE_SUBJECTS = "tour.crossing.>"
_RESPONSE_TTL_NS = 30 * 1_000_000_000

_GUIDE_PLAN = UserPlan(
    name=GUIDE, publish=SubjectPlan(allow=(GUIDE_SUBJECTS,)), subscribe=SubjectPlan(allow=(GUIDE_SUBJECTS,))
)


class Trust:
    """A store of its own in ``folder``, which ``issue`` fills."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self.folder = folder
        self._topology = topology
        self._workspace = Workspace.at(folder)

    def issue(self) -> list[str]:
        """Make everything and return what was done, line by line. Raises Failure."""
        now = int(time.time())
        operator = self._topology.operator
        edit = OperatorEdit(signing_keys=(GENERATE,))
        done = operators.create_operator(self._workspace, operator, now=now, edit=edit, system=True).done
        linking = {remote.user for cluster in self._topology.all_clusters for remote in cluster.remotes}
        for tenant in self._topology.tenants:
            edit_account = accounts.AccountEdit(signing_keys=(GENERATE,))
            made = accounts.create_account(self._workspace, operator, tenant.name, now=now, edit=edit_account)
            done.extend(made.done)
            for user in (*tenant.users, _GUIDE_PLAN):
                guided = f"{tenant.name}/{user.name}" in linking
                grant = GrantEdit(permissions=_permissions(_guided(user) if guided else user))
                given = users.create_user(
                    self._workspace, operator, tenant.name, user.name, now=now, edit=users.UserEdit(grant=grant)
                )
                done.extend(given.done)
        self._workspace.changes.commit()
        return done

    def configuration(self, cluster: ClusterPlan) -> str:
        """The part of the configuration of a cluster's nodes that says whom they trust, with the accounts of the
        tenants they know and of no other."""
        text = server_configuration(self._workspace, ResolverForm.MEMORY)
        known = self._topology.tenants_of(cluster)
        unknown = [tenant for tenant in self._topology.tenants if tenant not in known]
        lines = text.splitlines(keepends=True)
        for tenant in unknown:
            # A comment with the name, then a line with key and token.
            place = next(k for k, line in enumerate(lines) if line.startswith(f"    {self.account_key(tenant.name)}: "))
            del lines[place - 1 : place + 1]
        return "".join(lines)

    def account_key(self, tenant: str) -> str:
        """The public key of a tenant's account."""
        return self._workspace.store.account(self._topology.operator, tenant).claims.subject

    def credentials_path(self, user: str) -> Path:
        """The ``.creds`` file of ``tenant/user``."""
        tenant, _, name = user.partition("/")
        return users.credentials_path(self._workspace, self._topology.operator, tenant, name)

    def credentials(self, user: str) -> Credentials:
        """The credentials of ``tenant/user``."""
        return load_credentials(self.credentials_path(user))

    def explain(self, action: str, user: str, subject: str) -> Explanation:
        """Which rule allows or refuses it."""
        return explain(standing_in_store(self._workspace, user, "", time.time()), action, subject)


def _guided(user: UserPlan) -> UserPlan:
    """A leaf link's user, which lets the guides of the tour through, whatever else it lets through."""
    return structs.replace(user, publish=_with_guides(user.publish), subscribe=_with_guides(user.subscribe))


def _with_guides(plan: SubjectPlan) -> SubjectPlan:
    return structs.replace(plan, allow=(*plan.allow, GUIDE_SUBJECTS)) if plan.allow else plan


def _permissions(user: UserPlan) -> PermissionEdit:
    return PermissionEdit(
        allow_pub=user.publish.allow,
        deny_pub=user.publish.deny,
        allow_sub=user.subscribe.allow,
        deny_sub=user.subscribe.deny,
        response_max=user.responses or None,
        response_ttl_ns=_RESPONSE_TTL_NS if user.responses else None,
    )
