"""What the node says and answers on its accounts by itself.

Now: ``$SYS.REQ.USER.INFO`` in every account; in the system account heartbeat, LAMEDUCK and SHUTDOWN, and the requests
PING, IDZ, STATSZ, VARZ, CONNZ, ROUTEZ, SUBSZ, HEALTHZ, KICK, LDM. Connection events and the requests about accounts
come with a later issue; whoever asks for them gets no responders.

A request is a control-plane subscription; ``Message.link`` tells where it entered, so a question that another node
already answers for its own client is left alone.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.engine.events import Message
from gossamer.mesh.monitor import connz, healthz, routez, subsz, varz
from gossamer.mesh.monitor.parameters import BadParameter
from gossamer.mesh.system.filters import matches_filter
from gossamer.mesh.system.server_info import ServerInfo
from gossamer.mesh.system.statsz import statsz
from gossamer.mesh.system.user_info import SUBJECT as USER_INFO
from gossamer.mesh.system.user_info import user_info

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.node import Node

HEARTBEAT_FIRST_S = 0.25
HEARTBEAT_MAX_S = 10.0

Body = dict[str, Any]


class SystemService:
    """``start`` subscribes, ``stop`` says SHUTDOWN."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._server = ServerInfo(node)
        self._timer: asyncio.TimerHandle | None = None
        self._gap_s = 1.0
        self._user_info: dict[int, int] = {}  # account number -> subscription
        self._requests: dict[str, Callable[[Body], Any]] = {
            "VARZ": lambda body: varz.varz(node, dict(node.monitor.requests) if node.monitor is not None else {}),
            "CONNZ": lambda body: connz.connz(node, _connz_options(body)),
            "ROUTEZ": lambda body: routez.routez(
                node,
                subscriptions=bool(body.get("subscriptions") or body.get("subscriptions_detail")),
                in_detail=bool(body.get("subscriptions_detail")),
            ),
            "SUBSZ": lambda body: subsz.subsz(node, _subsz_options(body)),
            "HEALTHZ": self._healthz,
        }
        self._orders: dict[str, Callable[[Body], str]] = {"KICK": self._kick, "LDM": self._send_lame_duck}

    def start(self) -> None:
        for account in self._node.accounts:
            self.serve_account(account)
        self._node.accounts.made = self.serve_account
        self._node.accounts.gone = self.forget_account
        system = self._node.accounts.system
        if system is None:
            return
        identity = self._node.identity.server_id
        subscribe = self._node.subscribe
        subscribe(system.number, b"$SYS.REQ.SERVER.PING", self._asked_statsz)
        for name in ("STATSZ", "IDZ", *self._requests):
            handler = self._handler(name)
            subscribe(system.number, f"$SYS.REQ.SERVER.PING.{name}".encode(), handler)
            subscribe(system.number, f"$SYS.REQ.SERVER.{identity}.{name}".encode(), handler)
        for name in self._orders:
            subscribe(system.number, f"$SYS.REQ.SERVER.{identity}.{name}".encode(), self._order_handler(name))
        if self._node.routes is not None:
            self._timer = asyncio.get_running_loop().call_later(HEARTBEAT_FIRST_S, self._beat)

    def serve_account(self, account: "Account") -> None:
        """Answer ``USER.INFO`` to the clients of one more account."""
        number = self._node.subscribe(account.number, USER_INFO, self._asked_user_info)
        self._user_info[account.number] = number

    def forget_account(self, account: "Account") -> None:
        """The account ends: nothing of ours may hold it."""
        number = self._user_info.pop(account.number, 0)
        if number:
            self._node.unsubscribe(number)

    def lame_duck(self) -> None:
        self._announce("LAMEDUCK", self._server.take())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._announce("SHUTDOWN", self._server.take())

    # --- telling ------------------------------------------------------------------------------------------------
    def _announce(self, event: str, content: Any) -> None:
        system = self._node.accounts.system
        if system is not None:
            subject = f"$SYS.SERVER.{self._node.identity.server_id}.{event}".encode()
            self._node.engine.publish(system.number, subject, msgspec.json.encode(content))

    def _statsz_message(self) -> dict[str, Any]:
        return {"server": self._server.take(), "statsz": statsz(self._node)}

    def _beat(self) -> None:
        self._announce("STATSZ", self._statsz_message())
        self._timer = asyncio.get_running_loop().call_later(self._gap_s, self._beat)
        self._gap_s = min(HEARTBEAT_MAX_S, self._gap_s * 2)

    # --- answering ----------------------------------------------------------------------------------------------
    def _answer(self, request: Message, content: Any) -> None:
        self._node.engine.publish(request.account, request.reply, msgspec.json.encode(content))

    def _fail(self, request: Message, code: int, description: str) -> None:
        self._answer(request, {"server": self._server.take(), "error": {"code": code, "description": description}})

    def _asked_user_info(self, request: Message) -> None:
        client = self._node.clients.find(request.link)
        if client is not None and request.reply:
            data = user_info(client, self._node.world.clock.wall_ns())
            self._answer(request, {"server": self._server.take(), "data": data})

    def _asked_statsz(self, request: Message) -> None:
        body = _body(request)
        if body is None:
            if request.reply:
                self._fail(request, 400, "the request is not a JSON object")
            return
        if not matches_filter(self._node, body):
            return
        if request.reply:
            self._answer(request, self._statsz_message())
        else:
            self._announce("STATSZ", self._statsz_message())

    def _handler(self, name: str) -> Callable[[Message], None]:
        if name == "STATSZ":
            return self._asked_statsz
        if name == "IDZ":
            return self._asked_id
        document = self._requests[name]

        def answer(request: Message) -> None:
            if not request.reply:
                return
            body = _body(request)
            if body is None:
                self._fail(request, 400, "the request is not a JSON object")
                return
            if not matches_filter(self._node, body):
                return
            try:
                data = document(body)
            except BadParameter as error:
                self._fail(request, 500, str(error))
                return
            except msgspec.ValidationError as error:
                self._fail(request, 400, str(error))
                return
            self._answer(request, {"server": self._server.take(), "data": data})

        return answer

    def _asked_id(self, request: Message) -> None:
        node = self._node
        if request.reply:
            self._answer(request, {"name": node.name, "host": node.options.host, "id": node.identity.server_id})

    def _order_handler(self, name: str) -> Callable[[Message], None]:
        order = self._orders[name]

        def obey(request: Message) -> None:
            body = _body(request)
            if not body or not isinstance(body.get("cid"), int) or not matches_filter(self._node, body):
                return
            trouble = order(body)
            if not request.reply:
                return
            if trouble:
                self._fail(request, 500, trouble)
            else:
                self._answer(request, {"server": self._server.take()})

        return obey

    def _kick(self, body: Body) -> str:
        return "" if self._node.clients.kick(body["cid"]) else "no such client or leafnode id"

    def _send_lame_duck(self, body: Body) -> str:
        client = self._node.clients.find(body["cid"])
        if client is None:
            return "no such client id"
        if not self._node.clients.announce_to(client, lame_duck=True):
            return "client does not support Lame Duck Mode or is not ready to receive the notification"
        return ""

    def _healthz(self, body: Body) -> dict[str, Any]:
        query = {name: value for name, value in body.items() if isinstance(value, str)}
        query |= {name: "true" for name, value in body.items() if value is True}
        status, document = healthz.healthz(self._node, query)
        return document | {"status_code": status}


def _body(request: Message) -> Body | None:
    """The JSON object of a request, headers left out; empty means no options. None: it is something else."""
    text = request.data[request.header_size :].strip()
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class _ConnzBody(msgspec.Struct):
    """The keys of the request form; Go tools send zero values and null for what is not given."""

    sort: str | None = None
    auth: bool | None = None
    subscriptions: bool | None = None
    subscriptions_detail: bool | None = None
    offset: int | None = None
    limit: int | None = None
    cid: int | None = None
    state: int | None = None
    user: str | None = None
    acc: str | None = None


def _connz_options(body: Body) -> connz.ConnzOptions:
    asked = msgspec.convert(body, _ConnzBody)
    state = asked.state or 0
    options = connz.ConnzOptions(
        sort=asked.sort or "",
        auth=bool(asked.auth),
        subscriptions=bool(asked.subscriptions or asked.subscriptions_detail),
        detail=bool(asked.subscriptions_detail),
        offset=max(0, asked.offset or 0),
        limit=asked.limit or 0,
        cid=asked.cid or 0,
        opened=state != 1,
        closed=state in (1, 2),
        user=asked.user or "",
        account=asked.acc or "",
    )
    connz.check(options)
    return options


class _SubszBody(msgspec.Struct):
    offset: int | None = None
    limit: int | None = None
    subscriptions: bool | None = None
    account: str | None = None
    test: str | None = None


def _subsz_options(body: Body) -> subsz.SubszOptions:
    asked = msgspec.convert(body, _SubszBody)
    options = subsz.SubszOptions(
        subscriptions=bool(asked.subscriptions),
        offset=max(0, asked.offset or 0),
        limit=asked.limit or 0,
        account=asked.account or "",
        test=asked.test or "",
    )
    subsz.check(options)
    return options
