"""Questions to the other nodes on the system account, with an inbox for their answers."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gossamer.mesh.engine.events import Message

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

Answered = Callable[[bytes], None]


class Inbox:
    """One subscription for all questions of the node."""

    def __init__(self, node: "Node", account: int) -> None:
        """``account``: number of the system account."""
        self._node = node
        self._account = account
        self._prefix = f"$SYS._INBOX.{node.world.randomness.token(8).hex()}."
        self._waiting: dict[str, Answered] = {}
        self._numbers = 0
        node.subscribe(account, f"{self._prefix}*".encode(), self._came)

    def ask(self, subject: str, body: bytes, answered: Answered) -> str:
        """Publish a request; ``answered`` gets each answer's payload until ``close`` of what is returned."""
        self._numbers += 1
        reply = f"{self._prefix}{self._numbers}"
        self._waiting[reply] = answered
        self._node.engine.publish(self._account, subject.encode(), body, reply=reply.encode())
        return reply

    def close(self, reply: str) -> None:
        """No more answers to this question, please."""
        self._waiting.pop(reply, None)

    def _came(self, message: Message) -> None:
        answered = self._waiting.get(message.subject.decode("utf-8", "replace"))
        if answered is not None:
            answered(message.data[message.header_size :])


class LookUp:
    """Asks all other nodes for an account; the first that has it is believed to have it (section 22.2)."""

    def __init__(self, node: "Node", inbox: Inbox, *, timeout_ns: int) -> None:
        """``timeout_ns``: how long nodes that say nothing are waited for."""
        self._node = node
        self._inbox = inbox
        self.timeout_ns = timeout_ns

    async def __call__(self, key: str) -> str | None:
        """The JWT; None: all others said they have none, or time is up."""
        others = self._node.routes.remotes if self._node.routes is not None else 0
        if not others:
            return None
        found: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        empty = 0

        def answered(body: bytes) -> None:
            nonlocal empty
            empty += not body
            if found.done():
                return
            if body:
                found.set_result(body.decode("ascii", "replace"))
            elif empty >= others:
                found.set_result(None)

        reply = self._inbox.ask(f"$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP", b"", answered)
        try:
            return await asyncio.wait_for(found, self.timeout_ns / 1_000_000_000)
        except TimeoutError:
            return None
        finally:
            self._inbox.close(reply)
