"""Orders to this server: ``$SYS.REQ.SERVER.<id>.KICK``, ``LDM`` and ``RELOAD`` (section 6.3)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gossamer.mesh.monitor.leafz import leaf_nodes
from gossamer.mesh.system.filters import matches_filter
from gossamer.mesh.system.request_body import body_of
from gossamer.mesh.system.requests import NOT_JSON
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node

#: Reads the configuration again; the text of what is wrong, empty for success.
Reloader = Callable[[], Awaitable[str]]

NO_FILE = "this server was not started from a configuration file: there is nothing to reload"


class Orders:
    """``start`` subscribes. ``reloader`` is set by whoever knows where the configuration comes from."""

    def __init__(self, node: "Node", voice: Voice) -> None:
        self._node = node
        self._voice = voice
        self._reloading: set[asyncio.Task[None]] = set()
        self.reloader: Reloader | None = None

    def start(self) -> None:
        number, server, subscribe = self._voice.account.number, self._voice.server_id, self._node.subscribe
        subscribe(number, f"$SYS.REQ.SERVER.{server}.KICK".encode(), lambda request: self._obey(request, self._kick))
        subscribe(number, f"$SYS.REQ.SERVER.{server}.LDM".encode(), lambda request: self._obey(request, self._leave))
        subscribe(number, f"$SYS.REQ.SERVER.{server}.RELOAD".encode(), self._asked_to_reload)

    def stop(self) -> None:
        for task in self._reloading:
            task.cancel()

    def _obey(self, request: "Message", order: Callable[[int], str]) -> None:
        body = body_of(request)
        if not body or type(body.get("cid")) is not int or not matches_filter(self._node, body):
            return
        self._report(request, order(body["cid"]))

    def _report(self, request: "Message", trouble: str) -> None:
        if trouble:
            self._voice.fail(request, 500, trouble)
        else:
            self._voice.agree(request)

    def _kick(self, cid: int) -> str:
        if self._node.clients.kick(cid):
            return ""
        leafs = leaf_nodes(self._node)
        return "" if leafs is not None and leafs.kick(cid) else "no such client or leafnode id"

    def _leave(self, cid: int) -> str:
        client = self._node.clients.find(cid)
        if client is None:
            return "no such client id"
        if not self._node.clients.announce_to(client, lame_duck=True):
            return "client does not support Lame Duck Mode or is not ready to receive the notification"
        return ""

    def _asked_to_reload(self, request: "Message") -> None:
        body = body_of(request)
        if body is None:
            self._voice.fail(request, 400, NOT_JSON)
        elif matches_filter(self._node, body):
            task = asyncio.get_running_loop().create_task(self._reload(request))
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)

    async def _reload(self, request: "Message") -> None:
        self._report(request, NO_FILE if self.reloader is None else await self.reloader())
