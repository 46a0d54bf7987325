"""What goes over the wire between the signing service and its clients. ``schema`` makes the protobuf description of
these, so this is the one place where they are written down.

Times are unix seconds, 0 for none; ``..._json`` is JSON text: a decoded claim or a part of one.
"""

from msgspec import Struct


class Message(Struct, frozen=True, kw_only=True):
    """Everything that goes over the wire. A member never changes its place: append new ones."""


class Empty(Message, frozen=True, kw_only=True):
    """Nothing to say."""


class ChallengeRequest(Message, frozen=True, kw_only=True):
    """Who wants to prove itself: a public user key."""

    public_key: str = ""


class Challenge(Message, frozen=True, kw_only=True):
    """To be signed once, within ``expires_in_s``, as ``identity.signed_text`` says."""

    nonce: str = ""
    audience: str = ""
    expires_in_s: int = 0


class Proof(Message, frozen=True, kw_only=True):
    """A signed challenge; the signature is unpadded base64url."""

    public_key: str = ""
    nonce: str = ""
    signature: str = ""


class Session(Message, frozen=True, kw_only=True):
    """To be sent as metadata ``authorization: Bearer TOKEN``."""

    token: str = ""
    expires_at: int = 0


class Key(Message, frozen=True, kw_only=True):
    """A key the caller may have something signed with. ``role`` is empty for a key without a scope."""

    public_key: str = ""
    kind: str = ""
    account: str = ""
    account_key: str = ""
    role: str = ""
    claim_kinds: tuple[str, ...] = ()


class KeyList(Message, frozen=True, kw_only=True):
    """Answer to ListKeys."""

    keys: tuple[Key, ...] = ()


class IssueUserRequest(Message, frozen=True, kw_only=True):
    """A user to be made. ``account`` is a name or public key. The key is named by ``role`` or ``key``, or it is the
    account's first plain one. ``public_key`` is the user's; with ``generate`` the service makes one and answers its
    seed. ``grant_json``: permissions and limits, only under a key without a scope."""

    name: str = ""
    account: str = ""
    role: str = ""
    key: str = ""
    public_key: str = ""
    generate: bool = False
    tags: tuple[str, ...] = ()
    expires_at: int = 0
    not_before: int = 0
    grant_json: str = ""
    reason: str = ""
    idempotency_key: str = ""


class IssuedUser(Message, frozen=True, kw_only=True):
    """The user's token; ``seed`` only if the service made the key."""

    token: str = ""
    public_key: str = ""
    seed: str = ""
    expires_at: int = 0


class SignRequest(Message, frozen=True, kw_only=True):
    """A decoded claim to be signed by ``key``. What it says about issuer, id and time of issue is the service's."""

    kind: str = ""
    key: str = ""
    claim_json: str = ""
    reason: str = ""
    idempotency_key: str = ""


class Signed(Message, frozen=True, kw_only=True):
    """A signed claim."""

    token: str = ""


class Pending(Message, frozen=True, kw_only=True):
    """A request that waits for others to look at it. ``state``: pending, signed or rejected; ``digest`` is that of the
    claim, and whoever decides names it, so that what is approved is what was shown."""

    id: str = ""
    state: str = ""
    digest: str = ""
    kind: str = ""
    key: str = ""
    claim_json: str = ""
    reason: str = ""
    submitter: str = ""
    submitted_at: int = 0
    approvals_needed: int = 0
    approved_by: tuple[str, ...] = ()
    rejected_by: str = ""
    token: str = ""


class PendingList(Message, frozen=True, kw_only=True):
    """Answer to ListRequests."""

    requests: tuple[Pending, ...] = ()


class PendingId(Message, frozen=True, kw_only=True):
    """Which request is meant."""

    id: str = ""


class Decision(Message, frozen=True, kw_only=True):
    """Yes or no to a request."""

    id: str = ""
    digest: str = ""
    reason: str = ""


class WatchRequest(Message, frozen=True, kw_only=True):
    """From which number of the audit log on; 0: only what is new."""

    from_number: int = 0


class AuditLine(Message, frozen=True, kw_only=True):
    """A line of the audit log."""

    number: int = 0
    time: str = ""
    action: str = ""
    actor_json: str = ""
    details_json: str = ""
    previous: str = ""
    hash: str = ""


class Method(Struct, frozen=True):
    """A method of the service. ``open``: callable before one has proved who one is."""

    request: type[Message]
    response: type[Message]
    streams: bool = False
    open: bool = False


PACKAGE = "gossamer.signer.v1"
SERVICE = f"{PACKAGE}.Signer"

METHODS: dict[str, Method] = {
    "GetChallenge": Method(ChallengeRequest, Challenge, open=True),
    "Authenticate": Method(Proof, Session, open=True),
    "ListKeys": Method(Empty, KeyList),
    "IssueUser": Method(IssueUserRequest, IssuedUser),
    "Sign": Method(SignRequest, Signed),
    "SubmitRequest": Method(SignRequest, Pending),
    "ListRequests": Method(Empty, PendingList),
    "GetRequest": Method(PendingId, Pending),
    "Approve": Method(Decision, Pending),
    "Reject": Method(Decision, Pending),
    "Watch": Method(WatchRequest, AuditLine, streams=True),
}

#: Every message, in the order of the protobuf description.
MESSAGES: tuple[type[Message], ...] = (
    Empty,
    ChallengeRequest,
    Challenge,
    Proof,
    Session,
    Key,
    KeyList,
    IssueUserRequest,
    IssuedUser,
    SignRequest,
    Signed,
    Pending,
    PendingList,
    PendingId,
    Decision,
    WatchRequest,
    AuditLine,
)
