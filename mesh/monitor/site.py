"""The monitoring port: documents over HTTP, with the manners of section 10 of spec system-and-monitoring.

Served by aiohttp on the node's own loop. GET is meant, other methods are treated alike. JSONP is gone since 2.14.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from gossamer.mesh.monitor import accountz, accstatz, connz, gatewayz, healthz, leafz, reasons, routez, subsz, varz
from gossamer.mesh.monitor.index import index
from gossamer.mesh.monitor.metrics import CONTENT_TYPE, Metrics
from gossamer.mesh.monitor.parameters import BadParameter
from gossamer.mesh.world.listening import BoundSocket, bind

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

_CORS = {"Access-Control-Allow-Origin": "*"}
_ALIASES = {"/subscriptionsz": "/subsz"}

Query = Any


class MonitorSite:
    """``start`` binds (raises PortTaken), ``stop`` closes. ``requests`` counts by path without the base path."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._base = node.options.monitor.base_path.rstrip("/")
        self._metrics = Metrics(node)
        self._runner: web.AppRunner | None = None
        self._documents: dict[str, Callable[[Query], web.Response]] = {
            "/": self._index,
            "/varz": lambda query: _json(varz.varz(node, dict(self.requests))),
            "/connz": lambda query: _json(connz.connz(node, connz.options_from_query(query))),
            "/subsz": lambda query: _json(subsz.subsz(node, subsz.options_from_query(query))),
            "/routez": lambda query: _json(routez.from_query(node, query)),
            "/gatewayz": lambda query: _json(gatewayz.from_query(node, query)),
            "/leafz": lambda query: _json(leafz.from_query(node, query)),
            "/accountz": lambda query: _json(accountz.from_query(node, query)),
            "/accstatz": lambda query: _json(accstatz.from_query(node, query)),
            "/healthz": self._healthz,
            "/reasons": lambda query: _json(reasons.reasons(node, query)),
            "/metrics": lambda query: web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE}),
        }
        self.socket: BoundSocket | None = None
        self.requests: dict[str, int] = {}

    @property
    def port(self) -> int:
        """The real port, 0 when it is not open."""
        return self.socket.port if self.socket is not None else 0

    async def start(self) -> None:
        import socket as sockets

        options = self._node.options
        self.socket = bind(
            options.monitor.host or options.host, options.monitor.port, what="monitor port", option="http port"
        )
        runner = web.AppRunner(
            _application(self._answer),
            access_log=None,
            handle_signals=False,
            logger=_quiet_logger(),
            keepalive_timeout=30.0,
            lingering_time=1.0,
            shutdown_timeout=0.5,
        )
        await runner.setup()
        self._runner = runner
        await web.SockSite(runner, sockets.socket(fileno=self.socket.descriptor)).start()
        self._node.journal.info(f"Starting http monitor on {self.socket.address}")

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self.socket = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = self._path(request.path)
        path = _ALIASES.get(path, path)
        document = self._documents.get(path)
        if document is None:
            return _text(404, "404 page not found\n")
        self.requests[path] = self.requests.get(path, 0) + 1
        try:
            return document(request.query)
        except BadParameter as error:
            return _text(400, str(error))

    def _path(self, path: str) -> str:
        """Without the base path; empty: not below it. The base path itself is the root page, with a slash it is not."""
        if not self._base:
            return path
        if path == self._base:
            return "/"
        if not path.startswith(self._base + "/") or path == self._base + "/":
            return ""
        return path[len(self._base) :]

    def _index(self, query: Query) -> web.Response:
        return web.Response(text=index(self._base), content_type="text/html", charset="utf-8")

    def _healthz(self, query: Query) -> web.Response:
        status, document = healthz.healthz(self._node, query)
        return web.Response(
            status=status, body=msgspec.json.encode(document), content_type="application/json", headers=_CORS
        )


def _application(answer: Callable[[web.BaseRequest], Any]) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application


def _json(document: dict[str, Any]) -> web.Response:
    body = msgspec.json.format(msgspec.json.encode(document), indent=2)
    return web.Response(body=body, content_type="application/json", headers=_CORS)


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/plain", charset="utf-8")


def _quiet_logger() -> logging.Logger:
    """What a broken HTTP client does is not our operator's concern."""
    logger = logging.getLogger("gossamer.monitor")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
