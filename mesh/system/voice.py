"""How the node speaks on the system account: events and answers, each with its ServerInfo."""

from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.system.server_info import ServerInfo

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node
    from gossamer.mesh.world.randomness import Randomness

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX_SIZE, _COUNT_SIZE = 12, 10
_COUNT_LIMIT = len(_DIGITS) ** _COUNT_SIZE

_encode = msgspec.json.Encoder().encode


class EventIds:
    """22 characters that no other event has: a part that is drawn once, and a number that grows."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, randomness: "Randomness") -> None:
        self._prefix = "".join(_DIGITS[byte % len(_DIGITS)] for byte in randomness.token(_PREFIX_SIZE))
        self._count = int.from_bytes(randomness.token(6), "big")

    def take(self) -> str:
        """The next one."""
        self._count = number = (self._count + 1) % _COUNT_LIMIT
        digits = []
        for _ in range(_COUNT_SIZE):
            number, digit = divmod(number, len(_DIGITS))
            digits.append(_DIGITS[digit])
        return self._prefix + "".join(reversed(digits))


class Voice:
    """Everything goes to the account of the system, unless another is named."""

    __slots__ = ("_ids", "_node", "account", "server_id", "server_info")

    def __init__(self, node: "Node", account: "Account") -> None:
        self._node = node
        self._ids = EventIds(node.world.randomness)
        self.account = account
        self.server_id = node.identity.server_id
        self.server_info = ServerInfo(node)

    @property
    def may_be_heard(self) -> bool:
        """Can anybody but this node itself have a subscription in the system account? Cheap, for what happens often:
        only its clients, other servers and accounts that import from it can."""
        if self.account.connections:
            return True
        routes, sharing = self._node.routes, self._node.sharing
        if routes is not None and routes.remotes:
            return True
        return sharing is not None and bool(sharing.resolution.importers(self.account.name))

    def is_heard(self, subject: bytes, account: int = 0) -> bool:
        """Would anybody but this node itself get a message on the subject?"""
        return any(entry.link for entry in self._node.engine.matches(account or self.account.number, subject))

    def is_heard_elsewhere(self, subject: bytes) -> bool:
        """Would another server get it?"""
        found = self._node.engine.matches(self.account.number, subject)
        return any(entry.link and entry.kind != LinkKind.CLIENT for entry in found)

    def say(self, subject: bytes, content: Any, account: int = 0) -> None:
        """Publish an event; ``content`` is anything that becomes JSON."""
        self._node.engine.publish(account or self.account.number, subject, _encode(content))

    def announce(self, event: str, content: Any) -> None:
        """An event about this server: ``$SYS.SERVER.<id>.<event>``."""
        self.say(f"$SYS.SERVER.{self.server_id}.{event}".encode(), content)

    def typed(self, kind: str, at_ns: int) -> dict[str, Any]:
        """How a typed event begins; ``at_ns`` is time of day."""
        return {"type": kind, "id": self._ids.take(), "timestamp": timestamp(at_ns)}

    def answer(self, request: "Message", content: Any) -> None:
        """To who asked, if an answer is wanted."""
        if request.reply:
            self._node.engine.publish(request.account, request.reply, _encode(content))

    def answer_text(self, request: "Message", text: bytes) -> None:
        """The same, for the few answers that are not JSON."""
        if request.reply:
            self._node.engine.publish(request.account, request.reply, text)

    def answer_data(self, request: "Message", data: Any) -> None:
        """In the usual envelope."""
        self.answer(request, {"server": self.server_info.take(), "data": data})

    def agree(self, request: "Message") -> None:
        """The envelope without data: done."""
        self.answer(request, {"server": self.server_info.take()})

    def fail(self, request: "Message", code: int, description: str, *, null_data: bool = False) -> None:
        """``null_data``: the question was fine, only there is no answer; then nats-server sends ``data`` as well."""
        envelope: dict[str, Any] = {"server": self.server_info.take()}
        if null_data:
            envelope["data"] = None
        self.answer(request, envelope | {"error": {"code": code, "description": description}})
