"""Who is calling: challenges for nkeys, and the sessions that follow.

A challenge is not remembered: it carries its time, some randomness and a code that only this service can make, so
nobody can fill a table with them. What is remembered is a challenge that was answered, until it has expired: it counts
once. What is signed names the protocol, the service and the key, so it is good for nothing else. Sessions live in
memory, by the hash of their token.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Callable

from gossamer.auth.keys import KeyKind, is_public, verify
from gossamer.operator.signer.messages import Challenge, ChallengeRequest, Proof, Session
from gossamer.operator.signer.policy import Client, Policy
from gossamer.operator.signer.refusal import Grounds, Refused

CHALLENGE_S = 30
SESSIONS_MAX = 10_000
_TIME_BYTES, _RANDOM_BYTES, _CODE_BYTES = 8, 16, 16


def signed_text(audience: str, public: str, nonce: str) -> bytes:
    """What the holder of a key signs to prove itself."""
    return f"gossamer-signer-v1\n{audience}\n{public}\n{nonce}".encode()


class Identity:
    """Challenges and sessions of one service. Not for use from several threads at once."""

    def __init__(self, policy: Policy, clock: Callable[[], float], random: Callable[[int], bytes] = os.urandom) -> None:
        self._policy = policy
        self._clock = clock
        self._random = random
        self._secret = random(32)
        self._used: dict[str, float] = {}
        self._sessions: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def challenge(self, request: ChallengeRequest) -> Challenge:
        """A nonce for a key, known or not. Raises Refused for what is no user key."""
        if not is_public(request.public_key, KeyKind.USER):
            raise Refused(Grounds.INVALID, "public_key is not a public user key")
        head = int(self._clock()).to_bytes(_TIME_BYTES, "big") + self._random(_RANDOM_BYTES)
        nonce = base64.urlsafe_b64encode(head + self._code(head, request.public_key)).rstrip(b"=").decode()
        return Challenge(nonce=nonce, audience=self._policy.name, expires_in_s=CHALLENGE_S)

    def prove(self, proof: Proof) -> Session:
        """A session for a signed challenge. Raises Refused, in the same words for an unknown key as for a bad proof."""
        refused = Refused(Grounds.UNAUTHENTICATED, "the proof does not count")
        now = self._clock()
        try:
            raw = base64.urlsafe_b64decode(proof.nonce + "=" * (-len(proof.nonce) % 4))
            signature = base64.urlsafe_b64decode(proof.signature + "=" * (-len(proof.signature) % 4))
        except (binascii.Error, ValueError):
            raise refused from None
        head, code = raw[: _TIME_BYTES + _RANDOM_BYTES], raw[_TIME_BYTES + _RANDOM_BYTES :]
        expires = int.from_bytes(head[:_TIME_BYTES], "big") + CHALLENGE_S
        # The code is over the bytes, of which there are several texts: what is remembered is the bytes' one.
        canonical = raw.hex()
        known = hmac.compare_digest(code, self._code(head, proof.public_key))
        if not known or now > expires or canonical in self._used:
            raise refused
        text = signed_text(self._policy.name, proof.public_key, proof.nonce)
        client = self._policy.by_nkey(proof.public_key)
        if not verify(proof.public_key, text, signature) or client is None:
            raise refused
        self._used = {nonce: until for nonce, until in self._used.items() if until >= now}
        self._used[canonical] = expires
        token = base64.urlsafe_b64encode(self._random(32)).rstrip(b"=").decode()
        ends = now + self._policy.session_s
        self._sessions[_hashed(token)] = (client.name, ends)
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return Session(token=token, expires_at=int(ends))

    def of_session(self, token: str) -> Client:
        """Whose session this is. Raises Refused when it has ended or never was."""
        held = self._sessions.get(_hashed(token))
        client = None
        if held is not None and held[1] > self._clock():
            client = next((client for client in self._policy.clients if client.name == held[0]), None)
        if client is None:
            self._sessions.pop(_hashed(token), None)
            raise Refused(Grounds.UNAUTHENTICATED, "the session has ended, or never was")
        return client

    def of_certificate(self, subject: str, names: tuple[str, ...]) -> Client:
        """Whose certificate this is. Raises Refused when it is nobody's."""
        client = self._policy.by_certificate(subject, names)
        if client is None:
            raise Refused(Grounds.UNAUTHENTICATED, f"no client has the certificate of {subject!r}")
        return client

    def _code(self, head: bytes, public: str) -> bytes:
        return hmac.new(self._secret, head + public.encode(), hashlib.sha256).digest()[:_CODE_BYTES]


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
