"""Who is asked about: everybody a callout is responsible for, but the users that answer (spec auth section 25.2)."""

from msgspec import structs

from gossamer.auth.callout.question import SUBJECT, Callout, Question
from gossamer.auth.decisions import Admission, Attempt, Method, Refusal
from gossamer.auth.permissions import Permissions
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings

#: Refusals that no service can lift.
_FINAL = frozenset({ReasonCode.PROXY_NOT_TRUSTED, ReasonCode.PROXY_REQUIRED})


def question_about(
    settings: AuthSettings, attempt: Attempt, local: Admission | Refusal, proxy: str = ""
) -> Question | None:
    """What to ask about somebody who was judged here already; None: the verdict stands.

    A configuration's callout is asked about those who failed here as well. In operator mode somebody who fails a check
    is refused at once: his account is not known for sure, so there is nobody to ask.
    """
    if isinstance(local, Refusal) and local.reason.code in _FINAL:
        return None
    callout = _of_operator(local) if settings.operator_mode else _of_configuration(settings, attempt, local)
    if callout is None:
        return None
    sentinel = settings.default_sentinel if settings.operator_mode and not attempt.connect.jwt else ""
    return Question(attempt=attempt, callout=callout, local=local, proxy=proxy, sentinel=sentinel)


def guarded(settings: AuthSettings, admission: Admission) -> Admission:
    """Users in the service's account may not ask in the server's name: a deny is added to their permissions."""
    if not _in_callout_account(settings, admission):
        return admission
    return structs.replace(admission, permissions=without_asking(admission.permissions))


def without_asking(permissions: Permissions | None) -> Permissions:
    """The same permissions, but for requests to the service."""
    permissions = permissions or Permissions()
    publish = permissions.publish
    if SUBJECT not in publish.deny:
        publish = structs.replace(publish, deny=(*publish.deny, SUBJECT))
    return structs.replace(permissions, publish=publish)


def _of_operator(local: Admission | Refusal) -> Callout | None:
    if not isinstance(local, Admission) or local.claims is None or local.account_claims is None:
        return None
    account = local.account_claims
    external = account.authorization
    if not external.auth_users or local.claims.subject in external.auth_users:
        return None
    return Callout(
        account=account.subject,
        issuer=account.subject,
        operator_mode=True,
        signing_keys=account.signing_key_texts,
        allowed_accounts=external.allowed_accounts,
        xkey=external.xkey,
        place=f"authorization of account {account.name or account.subject}",
    )


def _of_configuration(settings: AuthSettings, attempt: Attempt, local: Admission | Refusal) -> Callout | None:
    callout = settings.callout
    if callout is None:
        return None
    if _claimed(attempt, local) in callout.auth_users:
        return None
    home = local.account if isinstance(local, Admission) else GLOBAL_ACCOUNT
    if callout.allowed_accounts and home != GLOBAL_ACCOUNT and home not in callout.allowed_accounts:
        return None
    return Callout(
        account=callout.account, issuer=callout.issuer, xkey=callout.xkey, place="authorization.auth_callout"
    )


def _claimed(attempt: Attempt, local: Admission | Refusal) -> str:
    if isinstance(local, Admission) and local.method is Method.NO_AUTH_USER:
        return local.user
    return attempt.connect.nkey or attempt.connect.user


def _in_callout_account(settings: AuthSettings, admission: Admission) -> bool:
    if settings.operator_mode:
        account = admission.account_claims
        return account is not None and bool(account.authorization.auth_users)
    return settings.callout is not None and admission.account == settings.callout.account
