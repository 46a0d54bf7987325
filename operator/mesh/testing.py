"""For tests: a live mesh with the store of its operator beside it, of either kind of server."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from nats.aio.client import Client

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import ServerProcess
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.visitor import ALL_ERRANDS, Errand, temporary_visitor
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.testing import Answer, run, run_ok

Value = TypeVar("Value")


class Live(Struct, kw_only=True):
    """A running mesh and the folder of its operator's store (for ``-H``)."""

    cluster: ClusterProcesses
    folder: Path

    @property
    def url(self) -> str:
        """Where to connect."""
        return self.cluster.nodes[0].url

    @property
    def urls(self) -> list[str]:
        """All nodes."""
        return [node.url for node in self.cluster.nodes]

    @property
    def workspace(self) -> Workspace:
        """The store as it is on disk now."""
        return Workspace.at(self.folder)

    def run(self, *arguments: str) -> Answer:
        """Run a command on this store."""
        return run(*arguments, "-H", str(self.folder))

    def run_ok(self, *arguments: str) -> Answer:
        """Run a command that must succeed."""
        return run_ok(*arguments, "-H", str(self.folder))

    def key(self, account: str) -> str:
        """The public key of an account."""
        return self.workspace.store.account("DEMO", account).claims.subject

    def token(self, account: str) -> str:
        """The JWT of an account."""
        return self.workspace.store.account("DEMO", account).token

    def credentials(self, account: str, user: str) -> Path:
        """The credentials file of a user."""
        return self.folder / "creds" / "DEMO" / account / f"{user}.creds"

    @contextlib.asynccontextmanager
    async def client(self, account: str, user: str, *, node: int = 0, name: str = "") -> AsyncIterator[Client]:
        """A connected client that does not come back when it is cut off. Raises what nats-py does when refused."""
        options: dict[str, Any] = load_credentials(self.credentials(account, user)).client_options()
        connected = Client()

        async def on_error(error: Exception) -> None:
            """Not into the log: what matters shows in the test."""

        try:
            await connected.connect(
                self.urls[node], name=name or user, allow_reconnect=False, error_cb=on_error, **options
            )
            yield connected
        finally:
            await connected.close()

    def ask(self, question: Callable[[Mesh], Awaitable[Value]], *errands: Errand, url: str = "") -> Value:
        """What ``question`` finds with the connection of a temporary user."""

        async def main() -> Value:
            workspace = self.workspace
            operator = workspace.store.operator("DEMO").claims
            system = workspace.store.account("DEMO", "SYS").claims
            now = int(time.time())
            visitor = temporary_visitor(workspace.keystore, operator, system, errands or ALL_ERRANDS, now=now)
            async with Mesh.open([url or self.url], visitor) as mesh:
                return await question(mesh)

        return asyncio.run(main())


def make_store(folder: Path, *arguments: str) -> None:
    """Operator DEMO with SYS/sys and TEAM/alice, all below ``folder``."""
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice", "-H", str(folder), *arguments)


def start_mesh(
    folder: Path, kind: type[ServerProcess], *, allow_delete: bool = True, size: int = 2, **arguments: Any
) -> Live:
    """A new store and a mesh that trusts its operator; ``arguments`` are those of ClusterProcesses."""
    store = folder / "store"
    make_store(store)
    config = run_ok("generate", "config", "--nats-resolver", "-H", str(store)).out
    if allow_delete:
        config = config.replace("allow_delete: false", "allow_delete: true")
    cluster = ClusterProcesses(folder, [kind] * size, config=config, **arguments)
    try:
        cluster.start()
    except BaseException:
        cluster.stop()
        raise
    return Live(cluster=cluster, folder=store)
