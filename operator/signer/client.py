"""The client of a signing service. It believes no answer: a token must verify and say what was asked for."""

import base64
from collections.abc import Iterator
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
from msgspec import Struct

from gossamer.auth.claims import UserClaims, clean_tags
from gossamer.auth.jwt import TokenError, decode, decode_as
from gossamer.auth.keys import KeyPair
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.signer.identity import signed_text
from gossamer.operator.signer.messages import (
    METHODS,
    SERVICE,
    AuditLine,
    Challenge,
    ChallengeRequest,
    Decision,
    Empty,
    IssuedUser,
    IssueUserRequest,
    KeyList,
    Message,
    Pending,
    PendingId,
    PendingList,
    Proof,
    Session,
    Signed,
    SignRequest,
    WatchRequest,
)
from gossamer.operator.signer.schema import from_wire, to_wire
from gossamer.operator.signer.server import read_pem

CALL_TIMEOUT_S = 20.0
_REMEDIES = {
    grpc.StatusCode.UNAVAILABLE: "is it running there, and does --tls-ca fit?",
    grpc.StatusCode.UNAUTHENTICATED: "name your key with --nkey, or your certificate with --tls-cert and --tls-key",
    grpc.StatusCode.PERMISSION_DENIED: "ask whoever keeps the policy of the service",
    grpc.StatusCode.FAILED_PRECONDITION: "submit it with: gossamer signer request --via",
}

AnyMessage = TypeVar("AnyMessage", bound=Message)


class Connection(Struct, frozen=True, kw_only=True):
    """How to reach a service. Paths of PEM files; ``key``: the nkey that proves who we are."""

    address: str
    tls_ca: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_name: str = ""
    key: KeyPair | None = None


class SignerClient:
    """A connection to a service; use it as a context. Every call raises Failure (exit code 7) when it is refused."""

    def __init__(self, connection: Connection, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._session = ""
        options = [("grpc.ssl_target_name_override", connection.tls_name)] if connection.tls_name else []
        if connection.tls_ca or connection.tls_certificate:
            self._channel = grpc.secure_channel(connection.address, _credentials(connection), options=options)
        else:
            self._channel = grpc.insecure_channel(connection.address, options=options)

    def __enter__(self) -> "SignerClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def list_keys(self) -> KeyList:
        """The keys we may have something signed with."""
        return self._call("ListKeys", Empty(), KeyList)

    def issue_user(self, request: IssueUserRequest) -> IssuedUser:
        """A user. Raises Failure also when the token is not what was asked for."""
        answer = self._call("IssueUser", request, IssuedUser)
        try:
            claims = decode_as(UserClaims, answer.token)
        except TokenError as error:
            raise _unbelievable(str(error)) from None
        same = (
            claims.name == request.name.strip()
            and claims.expires == request.expires_at
            and claims.not_before == request.not_before
            and set(claims.tags) == set(clean_tags(request.tags))
            and claims.subject == (request.public_key or answer.public_key)
        )
        if not same:
            raise _unbelievable("its token does not say what was asked for")
        return answer

    def sign(self, request: SignRequest) -> Signed:
        """A signed claim."""
        answer = self._call("Sign", request, Signed)
        check_signed(answer.token, request.kind, request.key)
        return answer

    def submit(self, request: SignRequest) -> Pending:
        """Ask for somebody's approval."""
        return self._call("SubmitRequest", request, Pending)

    def requests(self) -> PendingList:
        """What waits, and what was decided."""
        return self._call("ListRequests", Empty(), PendingList)

    def request(self, identity: str) -> Pending:
        """One request."""
        return self._call("GetRequest", PendingId(id=identity), Pending)

    def approve(self, identity: str, digest: str, reason: str = "") -> Pending:
        """Agree to what has this digest."""
        return self._call("Approve", Decision(id=identity, digest=digest, reason=reason), Pending)

    def reject(self, identity: str, digest: str, reason: str = "") -> Pending:
        """End a request."""
        return self._call("Reject", Decision(id=identity, digest=digest, reason=reason), Pending)

    def watch(self, from_number: int = 0) -> Iterator[AuditLine]:
        """Lines of the audit log as they come. Has begun to watch when it returns; ends with the connection."""
        kind = METHODS["Watch"]
        call = self._channel.unary_stream(f"/{SERVICE}/Watch")
        stream = call(to_wire(WatchRequest(from_number=from_number)), metadata=self._metadata())
        try:
            stream.initial_metadata()
            if stream.done() and stream.code() is not grpc.StatusCode.OK:
                raise stream
        except grpc.RpcError as error:
            raise _failure(error, self._connection.address) from None

        def lines() -> Iterator[AuditLine]:
            try:
                for data in stream:
                    line = from_wire(kind.response, data)
                    assert isinstance(line, AuditLine)
                    yield line
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.CANCELLED:
                    raise _failure(error, self._connection.address) from None
            finally:
                stream.cancel()

        return lines()

    def _metadata(self) -> list[tuple[str, str]]:
        key = self._connection.key
        if key is not None and not self._session:
            challenge = self._send("GetChallenge", ChallengeRequest(public_key=key.public), Challenge, [])
            signature = key.sign(signed_text(challenge.audience, key.public, challenge.nonce))
            text = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
            proof = Proof(public_key=key.public, nonce=challenge.nonce, signature=text)
            self._session = self._send("Authenticate", proof, Session, []).token
        return [("authorization", f"Bearer {self._session}")] if self._session else []

    def _call(self, name: str, request: Message, answer: type[AnyMessage]) -> AnyMessage:
        return self._send(name, request, answer, self._metadata())

    def _send(
        self, name: str, request: Message, answer: type[AnyMessage], metadata: list[tuple[str, str]]
    ) -> AnyMessage:
        call = self._channel.unary_unary(f"/{SERVICE}/{name}")
        try:
            data: Any = call(to_wire(request), timeout=self._timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            raise _failure(error, self._connection.address) from None
        try:
            found = from_wire(answer, data)
        except ValueError as error:
            raise _unbelievable(str(error)) from None
        assert isinstance(found, answer)
        return found


def check_signed(token: str, kind: str, key: str) -> None:
    """Raises Failure unless it is a sound token of this kind by this key."""
    try:
        claims = decode(token)
    except TokenError as error:
        raise _unbelievable(str(error)) from None
    if kind != claims.TYPE or claims.issuer != key:
        raise _unbelievable(f"it is a {claims.TYPE or 'foreign'} claim signed by {claims.issuer}")


def _unbelievable(why: str) -> Failure:
    return Failure(
        f"the signing service answered something else: {why}",
        code="signer-answer",
        hint="do not use it; look at that service",
        exit_code=ExitCode.SIGNER_UNAVAILABLE,
    )


def _failure(error: Any, address: str) -> Failure:
    code = error.code()
    word = "signer-unavailable" if code is grpc.StatusCode.UNAVAILABLE else "signer-refused"
    return Failure(
        f"the signing service at {address} says: {error.details()}",
        code=word,
        hint=_REMEDIES.get(code, ""),
        exit_code=ExitCode.SIGNER_UNAVAILABLE,
    )


def _credentials(connection: Connection) -> Any:
    return grpc.ssl_channel_credentials(
        read_pem(connection.tls_ca) if connection.tls_ca else None,
        read_pem(connection.tls_key) if connection.tls_key else None,
        read_pem(connection.tls_certificate) if connection.tls_certificate else None,
    )
