"""A server inside a Python program: the same node as the process ``gossamer serve`` runs, as an object."""

from types import TracebackType
from typing import Any, Self

import msgspec

from gossamer.mesh.engine import core as core  # paid for with the import, not at the start of a server
from gossamer.mesh.logs.log import Log, StandardError
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options
from gossamer.mesh.world import World, real_world
from gossamer.mesh.world.interfaces import is_wildcard
from gossamer.mesh.world.listening import join_address


class Server:
    """``async with Server(port=-1) as server: ... server.url``; or ``await start()`` and ``await stop()``.

    It lives on the event loop that started it, and its data plane in a thread of its own. By default it listens on the
    loopback, port -1 takes a free one, and writes no log.
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        config: str = "",
        log: bool = False,
        world: World | None = None,
        **fields: Any,
    ) -> None:
        """``options`` whole, or a ``config`` file's path; ``fields`` (``port=-1``, ``server_name="n1"``...) replace
        single ones. ``log``: write to standard error. Raises TypeError for an unknown field, and what
        ``gossamer.mesh.options.loading.load`` raises for a faulty file.
        """
        if config and options is not None:
            raise TypeError("give either options or config")
        if config:
            from gossamer.mesh.options.loading import load

            options = load(["-c", config])
        elif options is None:
            options = Options(host="127.0.0.1", port=-1)
        self.options = msgspec.structs.replace(options, **fields)
        world = world or real_world()
        self.node = Node(self.options, world, log=Log(world.clock, StandardError()) if log else None)

    async def start(self) -> Self:
        """Returns when clients can connect. Raises PortTaken."""
        await self.node.start()
        return self

    async def stop(self) -> None:
        """Close all connections and ports; harmless when it is not running."""
        await self.node.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def host(self) -> str:
        """An address that a client on this machine can use."""
        return "127.0.0.1" if is_wildcard(self.options.host) else self.options.host

    @property
    def port(self) -> int:
        """The real client port."""
        return self.node.port

    @property
    def url(self) -> str:
        """``nats://host:port``."""
        return f"nats://{join_address(self.host, self.port)}"

    @property
    def monitor_url(self) -> str:
        """``http://host:port`` of the monitoring side; empty when it is off."""
        if self.node.monitor is None:
            return ""
        host = self.options.monitor.host or self.host
        return f"http://{join_address('127.0.0.1' if is_wildcard(host) else host, self.node.monitor.port)}"
