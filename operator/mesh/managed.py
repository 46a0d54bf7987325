"""A store whose operator key somebody else holds (spec operator-cli section 7): what the tenant signed itself goes to
the operator's account server, and comes back with the operator's signature."""

from urllib.parse import urlsplit

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.account_server import AccountServer
from gossamer.operator.mesh.reaching import HTTP_SCHEMES
from gossamer.operator.store.stored import Stored, same_content
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.result import Outcome


def exchange_account(workspace: Workspace, stored: Stored[AccountClaims], url: str, *, timeout_s: float) -> Outcome:
    """Post an account and store what the operator has made of it. Without an account server: a warning.

    Raises Failure when the server refuses it, or answers with something else than this account.
    """
    name = stored.claims.name
    operator = workspace.operator().claims
    outcome = Outcome()
    if urlsplit(url).scheme not in HTTP_SCHEMES:
        outcome.warn(
            "self-signed",
            f"account {name!r} bears only its own signature, and there is no account server to send it to",
            "have the operator sign it, and bring it back with: gossamer account import",
        )
        return outcome
    server = AccountServer(url, timeout_s=timeout_s)
    reply = server.push(stored.claims.subject, stored.token)
    if reply.pending:
        outcome.warn("pending", f"{url} has taken {name!r} (status {reply.status}): it waits for approval")
        return outcome
    if not reply.stored:
        raise Failure(
            f"{url} refused {name!r} with status {reply.status}: {reply.text[:200]}", code="refused", path=name
        )
    outcome.note(f"sent {name!r} to {url}")
    fetched = server.pull(stored.claims.subject)
    if not fetched.stored:
        raise Failure(
            f"{url} does not give {name!r} back: status {fetched.status}",
            code="refused",
            hint="pull it later",
            path=name,
        )
    after = operator_signed(fetched.text, stored.claims.subject, operator.trusted_keys, url)
    if not same_content(after.claims, stored.claims):
        outcome.warn("changed", f"the operator has changed account {name!r}: what it signed is stored")
    workspace.store.put_account(operator.name, after)
    outcome.changed = after.token != stored.token
    outcome.note(f"stored {name!r} with the operator's signature")
    return outcome


def operator_signed(text: str, account: str, trusted: tuple[str, ...], place: str) -> Stored[AccountClaims]:
    """A token that came from elsewhere, if it is this account's and a trusted key has signed it. Raises Failure."""
    try:
        claims = decode_as(AccountClaims, text.strip())
    except TokenError as error:
        raise Failure(f"{place} answers with something that is no account JWT: {error}", code="bad-answer") from None
    if claims.subject != account:
        raise Failure(f"{place} answers with another account ({claims.subject})", code="bad-answer")
    if claims.issuer not in trusted:
        raise Failure(
            f"{place} has account {claims.name!r} signed by {claims.issuer}, which is no key of the operator that may",
            code="untrusted",
            hint="is the operator in the store the newest? fetch it anew",
        )
    return Stored(text.strip(), claims)
