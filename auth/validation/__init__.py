"""Does a claim make sense, and is it valid now (spec auth section 5)?

Reading a token (``gossamer.auth.jwt``) says that it is whole and who signed it; validating says whether to use it.
"""

from collections.abc import Iterable

from gossamer.auth.claims import (
    AccountClaims,
    ActivationClaims,
    AuthorizationRequest,
    AuthorizationResponse,
    Claims,
    OperatorClaims,
    UserClaims,
)
from gossamer.auth.issues import Findings, Issue, Level
from gossamer.auth.validation.account import check_account
from gossamer.auth.validation.callout import check_request, check_response
from gossamer.auth.validation.operator import check_operator
from gossamer.auth.validation.sharing import check_activation
from gossamer.auth.validation.user import check_user

__all__ = ["Issue", "Level", "blocking", "validate"]


def validate(claims: Claims, now: float) -> list[Issue]:
    """All findings, each once. ``now``: unix seconds. Which of them count is the caller's choice; see blocking."""
    found = Findings()
    if 0 < claims.expires < now:
        found.time("claim is expired")
    if claims.not_before > now:
        found.time("claim is not yet valid")
    match claims:
        case OperatorClaims():
            check_operator(claims, found)
        case AccountClaims():
            check_account(claims, found)
        case UserClaims():
            check_user(claims, found)
        case ActivationClaims():
            check_activation(claims, found)
        case AuthorizationRequest():
            check_request(claims, found)
        case AuthorizationResponse():
            check_response(claims, found)
        case _:
            pass
    return found.all()


def blocking(issues: Iterable[Issue], *, times: bool) -> list[str]:
    """The descriptions of those that block; with ``times`` also those that depend on the time."""
    return [i.description for i in issues if i.level is Level.BLOCKING or (times and i.level is Level.TIME)]
