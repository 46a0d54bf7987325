"""The node, and everything about carrying messages.

The public face is ``Server``: a whole server as an object of an asyncio program.

    from gossamer.mesh import Server

    async with Server(port=-1) as server:
        ...  # clients connect to server.url
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gossamer.mesh.server import Server as Server

__all__ = ["Server"]


def __getattr__(name: str) -> object:
    # The command line and the tests import this package all the time; only who wants a server pays for one.
    if name == "Server":
        from gossamer.mesh.server import Server

        return Server
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
