"""A whole trust chain in one call: for ``gossamer init``, for topologies and for tests."""

from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import accounts, operators, users
from gossamer.operator.tenants.operators import GENERATE, OperatorEdit
from gossamer.operator.tenants.result import Outcome

DEFAULT_SERVICE_URL = "nats://localhost:4222"


def bootstrap(
    workspace: Workspace,
    operator: str,
    *,
    account: str,
    user: str,
    service_url: str = DEFAULT_SERVICE_URL,
    now: int,
    exist_ok: bool = False,
) -> Outcome:
    """Operator with a signing key, system account SYS with user ``sys``, one account, one user, all credentials."""
    edit = OperatorEdit(service_urls=(service_url,), signing_keys=(GENERATE,))
    outcome = operators.create_operator(workspace, operator, now=now, edit=edit, system=True, exist_ok=exist_ok)
    outcome.include(accounts.create_account(workspace, operator, account, now=now, exist_ok=exist_ok))
    outcome.include(users.create_user(workspace, operator, account, user, now=now, exist_ok=exist_ok))
    # Making the operator warns that servers must be restarted: there are none yet.
    outcome.warnings = [remark for remark in outcome.warnings if remark.code != "restart-needed"]
    return outcome
