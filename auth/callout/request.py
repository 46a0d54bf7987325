"""The request to a callout service: a token signed by the server, sealed where the service has a curve key
(spec auth section 25.3)."""

from gossamer.auth.callout.question import AUDIENCE, XKEY_HEADER, Question
from gossamer.auth.claims import AuthorizationRequest
from gossamer.auth.claims.callout import ClientConnect, ClientInformation, ServerIdentity
from gossamer.auth.decisions import Admission
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyPair
from gossamer.auth.xkeys import CurveKeyPair

_TYPES = {"WEBSOCKET": "websocket", "LEAFNODE_WS": "websocket", "MQTT": "mqtt", "MQTT_WS": "mqtt"}


def request_token(
    question: Question, server: ServerIdentity, signer: KeyPair, user_nkey: str, *, issued_at: int, expires: int
) -> str:
    """The token. ``user_nkey``: a public user key made for this request; times are unix seconds.

    What the client brought stands in it in clear: seal it, or keep the service's account to the service.
    """
    claims = AuthorizationRequest(
        audience=AUDIENCE,
        expires=expires,
        subject=question.callout.issuer,
        server=server,
        user_nkey=user_nkey,
        client=_client(question),
        connect=_connect(question),
    )
    return encode(claims, signer, issued_at=issued_at)


def sealed_request(token: str, curve: CurveKeyPair, xkey: str, nonce: bytes) -> tuple[bytes, bytes]:
    """Header block and body of a sealed request. ``xkey``: the service's; ``nonce``: 24 bytes, used once.

    Raises NkeyError for an ``xkey`` that is no curve key.
    """
    header = f"NATS/1.0\r\n{XKEY_HEADER}: {curve.public}\r\n\r\n"
    return header.encode(), curve.seal(token.encode(), xkey, nonce=nonce)


def _client(question: Question) -> ClientInformation:
    attempt, local = question.attempt, question.local
    sentinel = local if question.callout.operator_mode and isinstance(local, Admission) else None
    return ClientInformation(
        host=attempt.client_host,
        id=attempt.link,
        user=question.user,
        name=attempt.connect.name,
        tags=sentinel.tags if sentinel is not None else (),
        name_tag=sentinel.user_name if sentinel is not None else "",
        kind="Leafnode" if attempt.connection_type.startswith("LEAFNODE") else "Client",
        type=_TYPES.get(attempt.connection_type, "nats"),
        nonce=attempt.nonce.decode("ascii") if attempt.connect.sig else "",
    )


def _connect(question: Question) -> ClientConnect:
    said = question.attempt.connect
    # Without an operator nobody looks at JWTs, and none is passed on; with one a sentinel stands in for a missing one.
    token = said.jwt if question.callout.operator_mode else ""
    return ClientConnect(
        jwt=token or question.sentinel,
        nkey=said.nkey,
        sig=said.sig,
        auth_token=said.auth_token,
        user=said.user,
        password=said.password,
        name=said.name,
        lang=said.lang,
        version=said.version,
        protocol=said.protocol,
    )
