"""What servers answer on the system account, as values (spec auth section 23)."""

from typing import Any

import msgspec
from msgspec import Struct, field


class Server(Struct, frozen=True, kw_only=True):
    """A server of the mesh, as it says itself."""

    id: str
    name: str = ""
    host: str = ""
    cluster: str = ""
    version: str = field(default="", name="ver")

    @property
    def label(self) -> str:
        """How people know it."""
        return self.name or self.id


class Ruling(Struct, frozen=True, kw_only=True):
    """What one server answered to one request. ``code`` is 200 for done; ``message`` is the server's own text."""

    server: Server
    code: int
    message: str

    @property
    def accepted(self) -> bool:
        """Did it do what was asked?"""
        return self.code == 200


class Connection(Struct, frozen=True, kw_only=True):
    """A live connection, by the server that holds it. Keys are public; ``issued_at`` and ``expires`` are unix seconds
    of the user's JWT, 0 where it has none or the server does not show it."""

    server: Server
    cid: int
    name: str = ""
    kind: str = ""
    address: str = ""
    user: str = ""
    user_name: str = ""
    account: str = ""
    issuer: str = ""
    token: str = ""
    issued_at: int = 0
    expires: int = 0

    @property
    def label(self) -> str:
        """The names a person can act on: user, connection, server."""
        who = self.user_name or self.user or "somebody"
        named = f" ({self.name})" if self.name else ""
        return f"{who}{named} from {self.address} on {self.server.label}"


class BadAnswer(ValueError):
    """A server's answer is not of the form it should have."""


class _Error(Struct, frozen=True):
    code: int = 500
    description: str = ""


class Envelope(Struct, frozen=True):
    """The members around every answer."""

    server: Server
    data: Any = None
    error: _Error | None = None
    statsz: dict[str, Any] = {}


_DECODER = msgspec.json.Decoder(Envelope)


def read_envelope(content: bytes) -> Envelope:
    """An answer with its envelope. Raises BadAnswer."""
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"a server's answer cannot be read: {error}") from None


def read_ruling(content: bytes) -> Ruling:
    """The answer to an update or a delete. Raises BadAnswer."""
    envelope = read_envelope(content)
    if envelope.error is not None:
        return Ruling(server=envelope.server, code=envelope.error.code, message=envelope.error.description)
    if not isinstance(envelope.data, dict):
        raise BadAnswer("a server's answer says neither what it did nor what is wrong")
    code, message = envelope.data.get("code"), envelope.data.get("message")
    return Ruling(server=envelope.server, code=code if isinstance(code, int) else 0, message=str(message or ""))
