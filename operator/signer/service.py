"""The signing service itself, whatever carries its messages.

One call at a time: a lock around everything keeps the log, the quotas and the requests in one order. Signing takes a
fraction of a millisecond; what takes longer (the disk) is meant to be waited for.
"""

import json
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from gossamer.auth.claims import (
    AccountClaims,
    ActivationClaims,
    Claims,
    OperatorClaims,
    UserClaims,
    UserGrant,
    UserScope,
    clean_tags,
)
from gossamer.auth.claims.grant import GRANT_MEMBERS, shaped_grant
from gossamer.auth.claims.part import ClaimsError, read_part
from gossamer.auth.jwt import decode
from gossamer.auth.keys import KeyKind, KeyPair, is_public
from gossamer.operator.audit.log import AuditLog, Entry
from gossamer.operator.audit.record import operator_log
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.signer.claimset import claims_from, digest_of, signed_token
from gossamer.operator.signer.idempotency import Answers
from gossamer.operator.signer.judging import candidates, covers_key, faults, read_json_object
from gossamer.operator.signer.messages import (
    Decision,
    Empty,
    IssuedUser,
    IssueUserRequest,
    Key,
    KeyList,
    Message,
    Pending,
    PendingId,
    PendingList,
    Signed,
    SignRequest,
)
from gossamer.operator.signer.policy import Client, Policy, Rule, matches
from gossamer.operator.signer.quota import Quota
from gossamer.operator.signer.refusal import Grounds, Refused
from gossamer.operator.signer.requests import Requests
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import account_signer, role_key

REASON_CHARACTERS_MAX = 1000

AnyMessage = TypeVar("AnyMessage", bound=Message)


class Target(Struct, frozen=True, kw_only=True):
    """Where a signature belongs: the key, whose it is, and its scope. Empty account: the operator's own claim."""

    key: str
    identity: str
    account: str = ""
    account_key: str = ""
    scope: UserScope | None = None
    newer_than: int = 0


class Signer:
    """The service. ``workspace`` opens the store as it is now; ``clock`` gives unix seconds."""

    def __init__(
        self, workspace: Callable[[], Workspace], operator: str, policy: Policy, state: Path, clock: Callable[[], float]
    ) -> None:
        self.policy = policy
        self.log: AuditLog = operator_log(workspace().store.root, operator)
        self.lock = threading.RLock()
        self.on_entry: list[Callable[[Entry], None]] = []
        self._workspace = workspace
        self._operator = operator
        self._clock = clock
        self._quota = Quota(clock)
        self._answers = Answers(clock)
        self._requests = Requests(state / "requests")
        self._last_issued: dict[str, int] = {}

    def list_keys(self, client: Client, _: Empty) -> KeyList:
        """The keys that some rule of the client is about and whose seed is here."""
        self._admit(client, "list")
        workspace = self._workspace()
        operator = workspace.store.operator(self._operator).claims
        found = []
        for public in (operator.subject, *operator.signing_keys):
            kinds = self._kinds(client, "", "", public, operator.subject, None)
            if kinds and workspace.keystore.has_seed(public):
                found.append(Key(public_key=public, kind="operator", claim_kinds=kinds))
        for name in workspace.store.accounts(self._operator):
            account = workspace.store.account(self._operator, name).claims
            for public in (account.subject, *account.signing_key_texts):
                scope = account.scope(public)
                kinds = self._kinds(client, name, account.subject, public, account.subject, scope)
                if kinds and workspace.keystore.has_seed(public):
                    role = "" if scope is None else scope.role
                    place = {"account": name, "account_key": account.subject}
                    found.append(Key(public_key=public, kind="account", role=role, claim_kinds=kinds, **place))
        return KeyList(keys=tuple(found))

    def issue_user(self, client: Client, request: IssueUserRequest) -> IssuedUser:
        """A user under a role or a plain key."""
        with self.lock:
            self._admit(client, "issue")
            held = self._answers.find(client.name, request.idempotency_key, request)
            if isinstance(held, IssuedUser):
                return held
            return self._logged(client, "signer issue", request, lambda: self._issue(client, request))

    def sign(self, client: Client, request: SignRequest) -> Signed:
        """A decoded claim of any kind, at once: only under rules that need nobody's approval."""
        with self.lock:
            self._admit(client, "sign")
            held = self._answers.find(client.name, request.idempotency_key, request)
            if isinstance(held, Signed):
                return held
            return self._logged(client, "signer sign", request, lambda: self._sign(client, request))

    def submit(self, client: Client, request: SignRequest) -> Pending:
        """A claim for others to approve. It is judged now, and again when it is signed."""
        with self.lock:
            self._admit(client, "submit")
            held = self._answers.find(client.name, request.idempotency_key, request)
            if isinstance(held, Pending):
                return self.request(client, PendingId(id=held.id))
            return self._logged(client, "signer submit", request, lambda: self._submit(client, request))

    def requests(self, client: Client, _: Empty) -> PendingList:
        """Requests the client may see: its own, and with ``approve`` all of them."""
        self._admit(client, "submit", "approve")
        with self.lock:
            return PendingList(requests=tuple(r for r in self._requests.all() if self._may_see(client, r)))

    def request(self, client: Client, which: PendingId) -> Pending:
        """One request. Raises Refused when there is none that the client may see."""
        self._admit(client, "submit", "approve")
        found = self._requests.find(which.id)
        if found is None or not self._may_see(client, found):
            raise Refused(Grounds.NOT_FOUND, f"there is no request {which.id!r}")
        return found

    def approve(self, client: Client, decision: Decision) -> Pending:
        """Agree to a request of somebody else; the last approval that was missing signs it."""
        with self.lock:
            self._admit(client, "approve")
            return self._logged(client, "signer approve", decision, lambda: self._approve(client, decision))

    def reject(self, client: Client, decision: Decision) -> Pending:
        """End a request. Its submitter may do so too."""
        with self.lock:
            self._admit(client, "approve", "submit")
            return self._logged(client, "signer reject", decision, lambda: self._reject(client, decision))

    # The work, with the lock held.

    def _issue(self, client: Client, request: IssueUserRequest) -> IssuedUser:
        workspace = self._workspace()
        account = self._account(workspace, request.account)
        operator = workspace.store.operator(self._operator).claims
        wish = request.key
        if request.role:
            wish = role_key(account, request.role)
            if not wish:
                raise Refused(Grounds.NOT_FOUND, f"account {account.name!r} has no role {request.role!r}")
        wish = wish or self._usual_key(client, workspace, operator, account)
        pair = account_signer(workspace.keystore, operator, account, wish)
        if request.generate == bool(request.public_key):
            raise Refused(Grounds.INVALID, "give a public_key, or ask for one with generate")
        user = KeyPair.generate(KeyKind.USER) if request.generate else None
        public = request.public_key if user is None else user.public
        if not is_public(public, KeyKind.USER):
            raise Refused(Grounds.INVALID, "public_key is not a public user key")
        scope = account.scope(pair.public)
        claims = UserClaims(
            name=checked_name(request.name, "user"),
            subject=public,
            tags=clean_tags(request.tags),
            expires=request.expires_at,
            not_before=request.not_before,
            grant=_grant(request.grant_json, scope),
            issuer_account="" if pair.public == account.subject else account.subject,
        )
        target = self._target(workspace, "user", claims, pair.public)
        token = self._judged_and_signed(client, "user", claims, target, pair)
        seed = "" if user is None else user.seed
        return IssuedUser(token=token, public_key=public, seed=seed, expires_at=claims.expires)

    def _sign(self, client: Client, request: SignRequest) -> Signed:
        claims = claims_from(request.kind, request.claim_json, request.key)
        workspace = self._workspace()
        target = self._target(workspace, request.kind, claims, request.key)
        pair = self._pair(workspace, target)
        return Signed(token=self._judged_and_signed(client, request.kind, claims, target, pair))

    def _submit(self, client: Client, request: SignRequest) -> Pending:
        claims = claims_from(request.kind, request.claim_json, request.key)
        workspace = self._workspace()
        target = self._target(workspace, request.kind, claims, request.key)
        rule = self._rule(client, request.kind, claims, target)
        if self._requests.is_full():
            raise Refused(Grounds.QUOTA, "too many requests wait for a decision already")
        self._quota.use(client, rule)
        pending = Pending(
            id=secrets.token_hex(8),
            state="pending",
            digest=digest_of(request.kind, request.key, claims),
            kind=request.kind,
            key=request.key,
            claim_json=json.dumps(claims.members(), sort_keys=True),
            reason=request.reason,
            submitter=client.name,
            submitted_at=int(self._clock()),
            # Whoever submits wants another pair of eyes, also where the rule would not insist.
            approvals_needed=max(1, rule.approvals_needed(request.kind)),
        )
        self._requests.put(pending)
        return pending

    def _approve(self, client: Client, decision: Decision) -> Pending:
        pending = self._decidable(client, decision)
        if pending.submitter == client.name:
            raise Refused(Grounds.DENIED, "nobody approves a request of one's own")
        if client.name in pending.approved_by:
            raise Refused(Grounds.CONFLICT, "you approved it already")
        approved = structs.replace(pending, approved_by=(*pending.approved_by, client.name))
        if len(approved.approved_by) >= approved.approvals_needed:
            submitter = next((c for c in self.policy.clients if c.name == pending.submitter), None)
            if submitter is None:
                raise Refused(Grounds.DENIED, f"the policy knows no client {pending.submitter!r} any more")
            claims = claims_from(pending.kind, pending.claim_json, pending.key)
            if digest_of(pending.kind, pending.key, claims) != pending.digest:
                raise Refused(Grounds.CONFLICT, "the request was altered on the disk of the service")
            workspace = self._workspace()
            target = self._target(workspace, pending.kind, claims, pending.key)
            # What was fine when it was submitted may not be so now.
            self._rule(submitter, pending.kind, claims, target)
            token = self._token(claims, target, self._pair(workspace, target))
            approved = structs.replace(approved, state="signed", token=token)
        self._requests.put(approved)
        return approved

    def _reject(self, client: Client, decision: Decision) -> Pending:
        pending = self._decidable(client, decision)
        if pending.submitter != client.name and "approve" not in client.operations:
            raise Refused(Grounds.DENIED, "only its submitter or an approver ends a request")
        rejected = structs.replace(pending, state="rejected", rejected_by=client.name)
        self._requests.put(rejected)
        return rejected

    def _decidable(self, client: Client, decision: Decision) -> Pending:
        pending = self._requests.find(decision.id)
        if pending is None or not self._may_see(client, pending):
            raise Refused(Grounds.NOT_FOUND, f"there is no request {decision.id!r}")
        if pending.digest != decision.digest:
            raise Refused(Grounds.CONFLICT, "the digest is not that of the request: look at it again")
        if pending.state != "pending":
            raise Refused(Grounds.CONFLICT, f"the request is {pending.state} already")
        return pending

    def _usual_key(self, client: Client, workspace: Workspace, operator: OperatorClaims, account: AccountClaims) -> str:
        """The first key without a scope that some rule of the client is about; empty if there is none."""
        usable = [key for key in account.signing_key_texts if account.scope(key) is None]
        if not operator.strict_signing_key_usage:
            usable.append(account.subject)
        for key in usable:
            about = candidates(client, "user", account.name, account.subject, key, account.subject, None)
            if about and workspace.keystore.has_seed(key):
                return key
        return ""

    # Judging.

    def _judged_and_signed(self, client: Client, kind: str, claims: Claims, target: Target, pair: KeyPair) -> str:
        rule = self._rule(client, kind, claims, target)
        needed = rule.approvals_needed(kind)
        if needed:
            raise Refused(Grounds.NEEDS_APPROVAL, f"it needs {needed} approval(s): submit it as a request")
        self._quota.use(client, rule)
        return self._token(claims, target, pair)

    def _token(self, claims: Claims, target: Target, pair: KeyPair) -> str:
        # Two versions of a claim never carry the same second.
        newest = max(target.newer_than, self._last_issued.get(claims.subject, 0))
        token = signed_token(claims, pair, now=int(self._clock()), newer_than=newest)
        self._last_issued.pop(claims.subject, None)
        self._last_issued[claims.subject] = decode(token).issued_at
        while len(self._last_issued) > 10_000:
            self._last_issued.pop(next(iter(self._last_issued)))
        return token

    def _rule(self, client: Client, kind: str, claims: Claims, target: Target) -> Rule:
        """The first rule that has nothing against it. Raises Refused with what the last one has."""
        found = candidates(client, kind, target.account, target.account_key, target.key, target.identity, target.scope)
        now = int(self._clock())
        wrong: list[str] = []
        for rule in found:
            wrong = list(faults(rule, claims, target.scope, now))
            if not wrong:
                return rule
        if not found:
            role = f" (role {target.scope.role!r})" if target.scope else ""
            where = f" of account {target.account!r}" if target.account else ""
            raise Refused(Grounds.DENIED, f"no rule lets {client.name!r} sign a {kind} with {target.key}{role}{where}")
        raise Refused(Grounds.DENIED, *wrong)

    def _target(self, workspace: Workspace, kind: str, claims: Claims, key: str) -> Target:
        """Whose key it is. Raises Refused when it is none of the keys that may sign such a claim."""
        store = workspace.store
        operator = store.operator(self._operator).claims
        if isinstance(claims, UserClaims | ActivationClaims):
            claimed = claims.issuer_account or key
            account = self._account(workspace, claimed)
            if key != account.subject and not account.has_signing_key(key):
                raise Refused(Grounds.DENIED, f"{key} is no key of account {account.name!r}")
            if key == account.subject and operator.strict_signing_key_usage:
                raise Refused(Grounds.DENIED, "the operator does not let identity keys sign")
            if isinstance(claims, UserClaims) and account.is_revoked(claims.subject, int(self._clock())):
                raise Refused(Grounds.DENIED, f"account {account.name!r} revokes {claims.subject}")
            if isinstance(claims, ActivationClaims) and account.scope(key) is not None:
                raise Refused(Grounds.DENIED, "a scoped key signs users only")
            if isinstance(claims, UserClaims):
                checked_name(claims.name, "user")
            return Target(
                key=key,
                identity=account.subject,
                account=account.name,
                account_key=account.subject,
                scope=account.scope(key),
            )
        if isinstance(claims, OperatorClaims):
            if claims.subject != operator.subject or key != operator.subject:
                raise Refused(Grounds.DENIED, "only the operator of this service, by its identity key")
            return Target(key=key, identity=operator.subject, newer_than=operator.issued_at)
        if key not in operator.trusted_keys:
            raise Refused(Grounds.DENIED, f"{key} may not sign accounts of operator {operator.name!r}")
        name = checked_name(claims.name, "account")
        same_name, same_key = (
            store.find_account(self._operator, name),
            store.account_by_key(self._operator, claims.subject),
        )
        if same_name is not None and same_name.claims.subject != claims.subject:
            raise Refused(Grounds.CONFLICT, f"account {name!r} has another key: {same_name.claims.subject}")
        newer_than = same_key.claims.issued_at if same_key else 0
        return Target(
            key=key, identity=operator.subject, account=name, account_key=claims.subject, newer_than=newer_than
        )

    def _pair(self, workspace: Workspace, target: Target) -> KeyPair:
        pair = workspace.keystore.signer(target.key)
        if pair is None:
            raise Refused(Grounds.UNAVAILABLE, f"the seed of {target.key} is not here")
        return pair

    def _account(self, workspace: Workspace, wish: str) -> AccountClaims:
        store = workspace.store
        if is_public(wish, KeyKind.ACCOUNT):
            found = store.account_by_key(self._operator, wish)
        else:
            found = store.find_account(self._operator, checked_name(wish, "account"))
        if found is None:
            raise Refused(Grounds.NOT_FOUND, f"there is no account {wish!r}")
        return found.claims

    def _kinds(
        self, client: Client, account: str, account_key: str, key: str, identity: str, scope: UserScope | None
    ) -> tuple[str, ...]:
        kinds: dict[str, None] = {}
        allowed = {"user", "activation"} if account else {"account", "operator"}
        for rule in client.rules:
            about = not account or matches(account, rule.accounts) or account_key in rule.accounts
            if about and covers_key(rule, key, identity, scope):
                kinds |= {kind: None for kind in rule.kinds if kind in allowed}
        return tuple(kinds)

    def _may_see(self, client: Client, request: Pending) -> bool:
        return "approve" in client.operations or request.submitter == client.name

    # Admission and the log.

    def _admit(self, client: Client, *operations: str) -> None:
        with self.lock:
            self._quota.call(client)
        if not set(operations) & set(client.operations):
            raise Refused(Grounds.DENIED, f"client {client.name!r} may not {' or '.join(operations)}")

    def _logged(self, client: Client, action: str, request: Message, work: Callable[[], AnyMessage]) -> AnyMessage:
        """Do it, write it down, and only then let the answer out."""
        details: dict[str, Any] = {"reason": getattr(request, "reason", "")[:REASON_CHARACTERS_MAX]}
        try:
            answer = work()
        except Refused as refused:
            self._append(f"{action} refused", client, details | _asked(request) | {"faults": list(refused.faults)})
            raise
        except Failure as failure:
            self._append(f"{action} refused", client, details | _asked(request) | {"faults": [failure.message]})
            away = failure.exit_code is ExitCode.SIGNER_UNAVAILABLE
            grounds = Grounds.UNAVAILABLE if away else Grounds.INVALID
            raise Refused(grounds, failure.message) from None
        token = getattr(answer, "token", "")
        details |= {"objects": [_object(token)]} if token else _asked(request)
        if isinstance(answer, Pending):
            details |= {"request": answer.id, "state": answer.state, "digest": answer.digest}
        self._append(action, client, details)
        # Not before it is in the log: a repetition must not bring out what was never written down.
        self._answers.keep(client.name, getattr(request, "idempotency_key", ""), request, answer)
        return answer

    def _append(self, action: str, client: Client, details: dict[str, Any]) -> None:
        try:
            entry = self.log.append(action, {"client": client.name}, details, now=self._clock())
        except Failure:
            raise Refused(Grounds.UNAVAILABLE, "the audit log cannot be written, so nothing is signed") from None
        for hear in list(self.on_entry):
            hear(entry)


def _asked(request: Message) -> dict[str, Any]:
    """What was asked for, as the log keeps it: no claim in full."""
    members = ("kind", "key", "name", "account", "role", "public_key", "id")
    return {name: str(getattr(request, name))[:200] for name in members if getattr(request, name, "")}


def _object(token: str) -> dict[str, Any]:
    claims = decode(token)
    return {
        "action": "sign",
        "kind": claims.TYPE,
        "name": claims.name,
        "subject": claims.subject,
        "issuer": claims.issuer,
        "id": claims.id,
        "issued_at": claims.issued_at,
        "expires": claims.expires,
    }


def _grant(grant_json: str, scope: UserScope | None) -> UserGrant:
    if not grant_json:
        return UserGrant() if scope is not None else UserGrant.fresh()
    try:
        raw: dict[str, Any] = read_json_object(grant_json)
        strange = sorted(set(raw) - GRANT_MEMBERS)
        if strange:
            raise ValueError(f"unknown member {strange[0]!r}")
        return read_part(UserGrant, shaped_grant(raw))
    except (ValueError, ClaimsError, RecursionError, msgspec.DecodeError) as error:
        raise Refused(Grounds.INVALID, f"grant_json cannot be read: {error}") from None
