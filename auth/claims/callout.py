"""What a server asks an auth callout service, and the answer (spec auth sections 25.3 and 25.4)."""

from typing import ClassVar

from msgspec import field

from gossamer.auth.claims.envelope import Claims
from gossamer.auth.claims.part import Integer, Part
from gossamer.auth.keys import KeyKind


class ServerIdentity(Part, frozen=True, kw_only=True):
    """The asking server. ``xkey`` only when the request is sealed."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"name", "host", "id"})

    name: str = ""
    host: str = ""
    id: str = ""
    version: str = ""
    cluster: str = ""
    tags: tuple[str, ...] = ()
    xkey: str = ""


class ClientInformation(Part, frozen=True, kw_only=True):
    """The client as the server sees it. ``nonce`` only if it signed."""

    host: str = ""
    id: Integer = 0
    user: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    name_tag: str = ""
    kind: str = ""
    type: str = ""
    mqtt_id: str = ""
    nonce: str = ""


class ClientConnect(Part, frozen=True, kw_only=True):
    """What the client said in CONNECT: secrets in clear."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"protocol"})

    jwt: str = ""
    nkey: str = ""
    sig: str = ""
    auth_token: str = ""
    user: str = ""
    password: str = field(default="", name="pass")
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: Integer = 0


class ClientTls(Part, frozen=True, kw_only=True):
    """The client's TLS session; certificates in PEM."""

    version: str = ""
    cipher: str = ""
    certs: tuple[str, ...] = ()
    verified_chains: tuple[tuple[str, ...], ...] = ()


class AuthorizationRequest(Claims, frozen=True, kw_only=True):
    """Signed by the server's own key; ``user_nkey`` is made for this request, and the answer must name it."""

    TYPE: ClassVar[str] = "authorization_request"
    ALWAYS: ClassVar[frozenset[str]] = frozenset({"user_nkey"})
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.SERVER,)

    server: ServerIdentity = field(default_factory=ServerIdentity, name="nats.server_id")
    user_nkey: str = field(default="", name="nats.user_nkey")
    client: ClientInformation = field(default_factory=ClientInformation, name="nats.client_info")
    connect: ClientConnect = field(default_factory=ClientConnect, name="nats.connect_opts")
    tls: ClientTls | None = field(default=None, name="nats.client_tls")
    request_nonce: str = field(default="", name="nats.request_nonce")


class AuthorizationResponse(Claims, frozen=True, kw_only=True):
    """Either a user JWT or an error."""

    TYPE: ClassVar[str] = "authorization_response"
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.USER,)
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT,)
    SUBJECT_ERROR: ClassVar[str] = "expected subject to be user public key"

    jwt: str = field(default="", name="nats.jwt")
    error: str = field(default="", name="nats.error")
    issuer_account: str = field(default="", name="nats.issuer_account")
