"""Requests about this server: ``$SYS.REQ.SERVER.PING.<Z>`` and ``$SYS.REQ.SERVER.<id>.<Z>`` (section 6.1).

A request that does not mean this server (its filters), or that wants no answer, is passed over.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.monitor import accountz, connz, gatewayz, healthz, leafz, routez, subsz, varz
from gossamer.mesh.monitor.parameters import BadParameter
from gossamer.mesh.system.filters import matches_filter
from gossamer.mesh.system.request_body import (
    Body,
    account_option,
    body_of,
    connz_options,
    gatewayz_options,
    subsz_options,
)
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node
    from gossamer.mesh.system.heartbeat import Heartbeat

#: Makes the ``data`` of an answer; raises BadParameter or msgspec.ValidationError.
Document = Callable[[Body], Any]

NOT_JSON = "the request is not a JSON object"


class ServerRequests:
    """``start`` subscribes."""

    def __init__(self, node: "Node", voice: Voice, heartbeat: "Heartbeat") -> None:
        self._node = node
        self._voice = voice
        self._heartbeat = heartbeat
        self._documents: dict[str, Document] = {
            "VARZ": lambda body: varz.varz(node, dict(node.monitor.requests) if node.monitor is not None else {}),
            "CONNZ": lambda body: connz.connz(node, connz_options(body)),
            "ROUTEZ": lambda body: routez.routez(
                node,
                subscriptions=bool(body.get("subscriptions") or body.get("subscriptions_detail")),
                in_detail=bool(body.get("subscriptions_detail")),
            ),
            "GATEWAYZ": lambda body: gatewayz.gatewayz(node, gatewayz_options(body)),
            "LEAFZ": lambda body: leafz.from_body(node, body),
            "SUBSZ": lambda body: subsz.subsz(node, subsz_options(body)),
            "ACCOUNTZ": lambda body: accountz.accountz(node, account_option(body)),
            "HEALTHZ": self._healthz,
        }

    def start(self) -> None:
        number, server, subscribe = self._voice.account.number, self._voice.server_id, self._node.subscribe
        handlers: dict[str, Callable[[Message], None]] = {"STATSZ": self._asked_statsz, "IDZ": self._asked_id}
        handlers |= {name: self._handler(document) for name, document in self._documents.items()}
        subscribe(number, b"$SYS.REQ.SERVER.PING", self._asked_statsz)
        for name, handler in handlers.items():
            subscribe(number, f"$SYS.REQ.SERVER.PING.{name}".encode(), handler)
            subscribe(number, f"$SYS.REQ.SERVER.{server}.{name}".encode(), handler)

    def _handler(self, document: Document) -> "Callable[[Message], None]":
        return lambda request: respond(self._node, self._voice, request, document)

    def _asked_statsz(self, request: "Message") -> None:
        body = body_of(request)
        if body is None:
            self._voice.fail(request, 400, NOT_JSON)
        elif not matches_filter(self._node, body):
            return
        elif request.reply:
            self._voice.answer(request, self._heartbeat.message())
        else:
            self._heartbeat.beat(asked=True)

    def _asked_id(self, request: "Message") -> None:
        node = self._node
        self._voice.answer(request, {"name": node.name, "host": node.options.host, "id": self._voice.server_id})

    def _healthz(self, body: Body) -> dict[str, Any]:
        query = {name: value for name, value in body.items() if isinstance(value, str)}
        query |= {name: "true" for name, value in body.items() if value is True}
        status, document = healthz.healthz(self._node, query)
        return document | {"status_code": status}


def respond(node: "Node", voice: Voice, request: "Message", document: Document) -> None:
    """Answer in the envelope. A document of None: nothing to say, so nothing is said."""
    if not request.reply:
        return
    body = body_of(request)
    if body is None:
        voice.fail(request, 400, NOT_JSON)
        return
    if not matches_filter(node, body):
        return
    try:
        data = document(body)
    except BadParameter as error:
        voice.fail(request, 500, str(error), null_data=True)
    except msgspec.ValidationError as error:
        voice.fail(request, 400, str(error))
    else:
        if data is not None:
            voice.answer_data(request, data)
