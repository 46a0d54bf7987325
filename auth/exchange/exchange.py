"""The exchange itself: a platform's token in, a user of ours out (spec auth section 25; docs: the rules file).

Sans-IO: ``examine`` and ``answer`` may say that a document is needed; whoever drives this fetches it (``Needed``).
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gossamer.auth.callout.question import AUDIENCE, TOKEN_START
from gossamer.auth.claims import AuthorizationRequest, AuthorizationResponse, SubjectList, UserClaims
from gossamer.auth.exchange.keysets import KeySets
from gossamer.auth.exchange.outcomes import Cause, Denied, Granted, Needed
from gossamer.auth.exchange.rules import Issuer, Rule, Rules, filled, find, places, texts
from gossamer.auth.exchange.verifying import Verifier, looks_like_one
from gossamer.auth.jwt import TokenError, decode_as, encode
from gossamer.auth.keys import NkeyError

#: What a claim must look like to become part of a subject, a tag or the name of a scoped user: one token.
_TOKEN = re.compile(r"[^\s.*>\x00-\x1f\x7f]+\Z")
#: And the name of another user.
_NAME = re.compile(r"[^\s*>\x00-\x1f\x7f]+\Z")
#: Of an error that goes to the server.
_ERROR_LENGTH_MAX = 400


class RequestError(ValueError):
    """Something came that is no request of a server; nobody is to be answered."""


class Exchange:
    """By one set of rules. Keeps the keys of issuers and nothing else."""

    def __init__(self, rules: Rules) -> None:
        """See ``gossamer.auth.exchange.reading`` for where rules come from."""
        self.rules = rules
        self.keys = KeySets(rules.issuers)
        self._verifier = Verifier(rules, self.keys)

    # --- a token ------------------------------------------------------------------------------------------------
    def examine(self, token: str, now: float) -> Granted | Denied | Needed:
        """Who would come in by it, or why nobody. ``now``: unix seconds."""
        if not token:
            text = "no platform token was given: it belongs into auth_token or the password"
            return Denied(cause=Cause.TOKEN_MISSING, text=text)
        verified = self._verifier.verify(token, now)
        if isinstance(verified, Needed | Denied):
            return verified
        issuer, claims = verified
        steps = [f"the token of {issuer.name} holds: sub {claims.get('sub')!r}"]
        for rule in self.rules.rules:
            failing = _failing(rule, issuer, claims)
            steps.append(f"{rule.name}: {failing or 'fits'}")
            if not failing:
                return self._granted(rule, issuer, claims, now, tuple(steps))
        text = f"no rule admits sub {str(claims.get('sub'))[:200]!r} of {issuer.name}"
        return Denied(cause=Cause.NO_RULE, text=text, issuer=issuer.name, steps=tuple(steps))

    def _granted(
        self, rule: Rule, issuer: Issuer, claims: Mapping[str, Any], now: float, steps: tuple[str, ...]
    ) -> Granted | Denied:
        values: dict[str, str] = {}
        subjects = (rule.grant.publish, rule.grant.subscribe)
        entries = [entry for lists in subjects for entry in (*lists.allow, *lists.deny)]
        named = dict.fromkeys(places(rule.user), False)
        named |= {claim: True for template in (*rule.tags, *entries) for claim in places(template)}
        for claim, strict in named.items():
            found = texts(find(claims, claim))
            what = f"{rule.name} needs claim {claim!r}"
            if len(found) != 1 or not found[0]:
                why = "which the token has not" if not found else "which has more than one value"
                text = f"{what}, {why}"
                return Denied(cause=Cause.CLAIM_MISSING, text=text, issuer=issuer.name, rule=rule.name, steps=steps)
            pattern = _TOKEN if strict or rule.scoped else _NAME
            if not pattern.match(found[0]):
                text = f"{what}, whose value {found[0][:100]!r} could mean another subject"
                return Denied(cause=Cause.CLAIM_UNSAFE, text=text, issuer=issuer.name, rule=rule.name, steps=steps)
            values[claim] = found[0]
        expires = min(int(claims["exp"]), int(now) + rule.lifetime_s)
        if expires <= now:
            text = "the token has just expired"
            return Denied(cause=Cause.EXPIRED, text=text, issuer=issuer.name, rule=rule.name, steps=steps)
        publish, subscribe = (
            SubjectList(
                allow=tuple(filled(entry, values) for entry in lists.allow),
                deny=tuple(filled(entry, values) for entry in lists.deny),
            )
            for lists in subjects
        )
        return Granted(
            rule=rule.name,
            issuer=issuer.name,
            target=rule.target,
            user=filled(rule.user, values),
            tags=tuple(filled(tag, values).lower() for tag in rule.tags),
            grant=structs.replace(rule.grant, publish=publish, subscribe=subscribe),
            expires=expires,
            scoped=rule.scoped,
            claims=claims,
            steps=steps,
        )

    def user_jwt(self, granted: Granted, user_nkey: str, now: float) -> str:
        """The user, signed. ``user_nkey``: the public user key it is for."""
        target = granted.target
        signer = target.signer
        claims = UserClaims(
            subject=user_nkey,
            name=granted.user,
            audience="" if target.key else target.name,
            issuer_account=target.key if target.key and signer.public != target.key else "",
            expires=granted.expires,
            tags=granted.tags,
            grant=granted.grant,
        )
        return encode(claims, signer, issued_at=int(now))

    # --- a server's request -------------------------------------------------------------------------------------
    def opened(self, body: bytes, server_xkey: str, now: float) -> AuthorizationRequest:
        """A request as a server sent it; ``server_xkey``: of its header ``Nats-Server-Xkey``, empty: there was none.

        Raises RequestError.
        """
        if not body.startswith(TOKEN_START):
            if self.rules.curve is None:
                raise RequestError("the request is sealed, and there is no curve key to open it (xkey)")
            try:
                body = self.rules.curve.open(body, server_xkey)
            except NkeyError as error:
                raise RequestError(f"the request cannot be opened: {error}") from None
        try:
            request = decode_as(AuthorizationRequest, body.decode("ascii"))
        except (TokenError, UnicodeDecodeError) as error:
            raise RequestError(f"the request is not one of a server: {error}") from None
        if request.audience != AUDIENCE:
            raise RequestError(f"the request is meant for {request.audience!r}")
        if 0 < request.expires < now:
            raise RequestError("the request came too late: its server no longer waits")
        if request.issuer != request.server.id:
            raise RequestError("the request was signed by another server than it names")
        return request

    @staticmethod
    def token_of(request: AuthorizationRequest) -> str:
        """The platform's token that the client brought: as token, as password or as JWT; empty: none."""
        said = request.connect
        brought = [text for text in (said.auth_token, said.password, said.jwt) if looks_like_one(text)]
        return brought[0] if brought else said.auth_token or said.password

    def answer(self, request: AuthorizationRequest, outcome: Granted | Denied, server_xkey: str, now: float) -> bytes:
        """The body of the answer: sealed if the request was (``server_xkey``)."""
        token = error = ""
        if isinstance(outcome, Granted):
            token = self.user_jwt(outcome, request.user_nkey, now)
        else:
            error = f"{outcome.cause}: {outcome.text}"[:_ERROR_LENGTH_MAX]
        account = self.rules.account
        response = AuthorizationResponse(
            subject=request.user_nkey,
            audience=request.server.id,
            jwt=token,
            error=error,
            issuer_account=account if account and self.rules.signer.public != account else "",
        )
        body = encode(response, self.rules.signer, issued_at=int(now)).encode()
        if server_xkey and self.rules.curve is not None:
            return self.rules.curve.seal(body, server_xkey)
        return body


def _failing(rule: Rule, issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """Why a rule does not apply; empty: it does."""
    if rule.issuer != issuer.name:
        return f"is about issuer {rule.issuer}"
    for condition in rule.conditions:
        if not condition.holds(claims):
            wanted = " or ".join(repr(pattern) for pattern in condition.patterns)
            found = texts(find(claims, condition.claim))
            said = ", ".join(repr(text[:100]) for text in found[:5]) or "nothing"
            return f"{condition.claim} is {said}, not {wanted}"
    return ""
