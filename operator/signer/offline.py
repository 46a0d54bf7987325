"""Signing on a machine without a network: a request file goes there, a response file comes back (checklist 59).

The request holds the decoded claim and who should sign it; the response holds the token and the digest of the request.
Whoever imports the response compares all of it with the request's store: it is believed for its signature alone.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gossamer.auth.claims import AccountClaims, Claims, OperatorClaims, UserClaims
from gossamer.auth.jwt import TokenError, decode
from gossamer.auth.keys import KeyPair
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.signer.claimset import claims_from, digest_of, signed_token
from gossamer.operator.signer.refusal import Refused
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.stored import Stored, same_content
from gossamer.operator.store.workspace import Workspace

REQUEST_SCHEMA = "gossamer/sign-request/v1"
RESPONSE_SCHEMA = "gossamer/sign-response/v1"


class RequestFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What should be signed. ``newer_than``: the time of issue of the version that it replaces, unix seconds."""

    kind: str
    key: str
    claim: dict[str, Any]
    digest: str
    operator: str = ""
    account: str = ""
    newer_than: int = 0
    reason: str = ""
    created: str = ""
    schema: str = REQUEST_SCHEMA


class ResponseFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was signed."""

    kind: str
    key: str
    digest: str
    token: str
    operator: str = ""
    account: str = ""
    schema: str = RESPONSE_SCHEMA


AnyFile = TypeVar("AnyFile", RequestFile, ResponseFile)


def make_request(
    kind: str,
    key: str,
    claim_json: str,
    *,
    operator: str,
    account: str = "",
    newer_than: int = 0,
    reason: str = "",
    now: int,
) -> RequestFile:
    """A request. Raises Failure for a claim that is none, or that says somebody else issued it."""
    claims = _claims(kind, claim_json, key)
    return RequestFile(
        kind=kind,
        key=key,
        claim=claims.members(),
        digest=digest_of(kind, key, claims),
        operator=operator,
        account=account,
        newer_than=newer_than,
        reason=reason,
        created=datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
    )


def read_request(path: str) -> RequestFile:
    """Raises Failure for a file that is no request, or whose claim is not the one its digest names."""
    request = _read(path, RequestFile, REQUEST_SCHEMA)
    claims = _claims(request.kind, json.dumps(request.claim), request.key)
    if digest_of(request.kind, request.key, claims) != request.digest:
        raise Failure(f"{path} was altered: its digest does not fit", code="altered", hint="ask for a new request")
    return request


def answer_request(request: RequestFile, pair: KeyPair, *, now: int) -> ResponseFile:
    """Sign what a request asks for. Raises Failure when the key is not the one that it names."""
    if pair.public != request.key:
        raise Failure(
            f"the request wants the signature of {request.key}, this is {pair.public}",
            code="wrong-signer",
            hint="name the right key with -K",
        )
    claims = _claims(request.kind, json.dumps(request.claim), request.key)
    try:
        token = signed_token(claims, pair, now=now, newer_than=request.newer_than)
    except Refused as refused:
        raise Failure(str(refused), code="unsignable") from None
    return ResponseFile(
        kind=request.kind,
        key=request.key,
        digest=request.digest,
        token=token,
        operator=request.operator,
        account=request.account,
    )


def read_response(path: str) -> ResponseFile:
    """Raises Failure for a file that is no response."""
    return _read(path, ResponseFile, RESPONSE_SCHEMA)


def import_response(workspace: Workspace, response: ResponseFile, request: RequestFile | None) -> Claims:
    """Put what was signed into the store. With ``request`` it must be what was asked for.

    Raises Failure when the token is unsound, by another key, of an operator or account that is not here, not trusted by
    it, or older than what is stored.
    """
    claims = _opened(response)
    if digest_of(response.kind, response.key, claims) != response.digest:
        raise _foreign("the token does not say what its digest names")
    if request is not None:
        wanted = _claims(request.kind, json.dumps(request.claim), request.key)
        if response.digest != request.digest or not same_content(wanted, claims):
            raise _foreign("it is the answer to another request")
    operator = workspace.store.operator(response.operator).claims
    store = workspace.store
    if isinstance(claims, OperatorClaims):
        _check_place(claims, operator.subject, {operator.subject}, operator.issued_at)
        store.put_operator(Stored(response.token, claims), managed=store.is_managed(operator.name))
    elif isinstance(claims, AccountClaims):
        before = store.find_account(operator.name, claims.name)
        subject = claims.subject if before is None else before.claims.subject
        issued = 0 if before is None else before.claims.issued_at
        _check_place(claims, subject, set(operator.trusted_keys), issued)
        store.put_account(operator.name, Stored(response.token, claims))
    elif isinstance(claims, UserClaims):
        account = store.account(operator.name, response.account).claims
        allowed = set(account.signing_key_texts) | (set() if operator.strict_signing_key_usage else {account.subject})
        if claims.account != account.subject:
            raise _foreign(f"the user belongs to account {claims.account}")
        known = store.find_user(operator.name, account.name, claims.name)
        issued = 0 if known is None else known.claims.issued_at
        _check_place(claims, claims.subject if known is None else known.claims.subject, allowed, issued)
        store.put_user(operator.name, account.name, Stored(response.token, claims))
    else:
        raise _foreign(f"a {claims.TYPE} claim has no place in a store")
    return claims


def _check_place(claims: Claims, subject: str, trusted: set[str], issued_at: int) -> None:
    if claims.subject != subject:
        raise _foreign(f"{claims.name!r} has the key {subject} here, {claims.subject} there")
    if claims.issuer not in trusted:
        raise _foreign(f"{claims.issuer} may not sign it")
    if claims.issued_at <= issued_at:
        raise Failure(
            f"what is stored of {claims.name!r} is as new or newer", code="older", hint="it was imported already?"
        )


def _opened(response: ResponseFile) -> Claims:
    try:
        claims = decode(response.token)
    except TokenError as error:
        raise _foreign(str(error)) from None
    if response.kind != claims.TYPE or claims.issuer != response.key:
        raise _foreign(f"its token is a {claims.TYPE} claim by {claims.issuer}")
    return claims


def _claims(kind: str, claim_json: str, key: str) -> Claims:
    try:
        return claims_from(kind, claim_json, key)
    except Refused as refused:
        raise Failure(str(refused), code="bad-claim") from None


def _read(path: str, kind: type[AnyFile], schema: str) -> AnyFile:
    content = ChangeSet().read(Path(path).expanduser())
    if content is None:
        raise Failure(f"there is no file {path}", code="not-found", hint="name another one", path=path)
    try:
        found = msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Failure(f"{path} cannot be read: {error}", code="bad-file", hint="give another file", path=path) from None
    if found.schema != schema:
        raise Failure(f"{path} is no {schema}", code="bad-file", hint="give another file", path=path)
    return found


def _foreign(why: str) -> Failure:
    return Failure(
        f"the response cannot be used: {why}",
        code="bad-response",
        hint="ask for it again",
        exit_code=ExitCode.INVALID,
    )
