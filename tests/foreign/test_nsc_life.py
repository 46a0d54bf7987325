"""A whole life of an operator's tenants on a mesh of two nodes: made, connected, limited, cut off, rotated, deleted
(spec operator-cli section 8).

nsc and our command line do the same jobs, each on a mesh of ours and on one of nats-server; the clients are nats-py,
and what they see is what counts. nsc is a Go program: its half runs where it is on the path.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import ServerProcess
from gossamer.operator.testing import run, run_ok

NSC = shutil.which("nsc")
PATIENCE_S = 10.0

pytestmark = pytest.mark.foreign


class Tool(ABC):
    """The jobs of an operator, done with one of the two programs. ``home`` is the home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def credentials(self, account: str, user: str) -> Path:
        """The file that the program has written."""
        return self.home / ".local/share/nats/nsc/keys/creds/LIFE" / account / f"{user}.creds"

    @abstractmethod
    def init(self) -> str:
        """Operator LIFE with a system account; returns the servers' configuration."""

    @abstractmethod
    def push(self, url: str, *accounts: str) -> None:
        """These accounts (all, if none is named) to all servers."""

    @abstractmethod
    def tenants(self) -> None:
        """Accounts SELLER and BUYER, each with a plain signing key, users SELLER/shop and BUYER/carl signed by it."""

    @abstractmethod
    def share(self) -> None:
        """SELLER's private service ``price.*``; BUYER may ask for ``price.tea``, under the name ``ask.tea``."""

    @abstractmethod
    def role(self) -> None:
        """BUYER's role ``asker``, which may ask and hear answers and nothing else; a user ``robot`` of it."""

    @abstractmethod
    def revoke(self, url: str) -> None:
        """Void BUYER/carl."""

    @abstractmethod
    def renew_shop(self, url: str) -> None:
        """Another signing key for SELLER known to the servers, and SELLER/shop issued under it."""

    @abstractmethod
    def retire_key(self, url: str) -> None:
        """SELLER without the old signing key."""

    @abstractmethod
    def delete(self, url: str) -> None:
        """BUYER is gone, from the servers as well."""

    @abstractmethod
    def pull(self, url: str) -> None:
        """The servers' accounts into the store."""


class Nsc(Tool):
    """nsc itself."""

    def do(self, *arguments: str) -> str:
        """Run it; it must succeed."""
        assert NSC is not None
        done = subprocess.run([NSC, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def key(self, account: str) -> str:
        found = json.loads(self.do("describe", "account", "-n", account, "-J"))["sub"]
        assert isinstance(found, str)
        return found

    def signing_keys(self, account: str) -> list[str]:
        keys = json.loads(self.do("describe", "account", "-n", account, "-J"))["nats"].get("signing_keys", [])
        return [key for key in keys if isinstance(key, str)]

    def init(self) -> str:
        self.do("init", "-n", "LIFE", "-d", str(self.home / ".local/share/nats/nsc/stores"))
        self.do("generate", "config", "--nats-resolver", "--config-file", "resolver.conf")
        return Path("resolver.conf").read_text()

    def push(self, url: str, *accounts: str) -> None:
        # One by one: for every account nsc waits a second for further answers.
        for which in [("-a", account) for account in accounts] or [("-A",)]:
            said = self.do("push", *which, "-u", url)
            assert "pushed to a total of 2 nats-server" in said, said

    def tenants(self) -> None:
        for account, user in (("SELLER", "shop"), ("BUYER", "carl")):
            self.do("add", "account", "-n", account)
            self.do("edit", "account", "-n", account, "--sk", "generate")
            (key,) = self.signing_keys(account)
            self.do("add", "user", "-a", account, "-n", user, "-K", key)

    def share(self) -> None:
        self.do("add", "export", "-a", "SELLER", "-s", "price.*", "--service", "-p", "-n", "price")
        self.do("generate", "activation", "-a", "SELLER", "-s", "price.tea", "-t", self.key("BUYER"), "-o", "tea.tok")
        self.do("add", "import", "-a", "BUYER", "-u", "tea.tok", "--local-subject", "ask.tea")

    def role(self) -> None:
        flags = ("--allow-pub", "ask.>", "--allow-sub", "_INBOX.>")
        self.do("edit", "signing-key", "-a", "BUYER", "--sk", "generate", "--role", "asker", *flags)
        self.do("add", "user", "-a", "BUYER", "-n", "robot", "-K", "asker")

    def revoke(self, url: str) -> None:
        self.do("revocations", "add-user", "-a", "BUYER", "-n", "carl")
        self.push(url, "BUYER")

    def renew_shop(self, url: str) -> None:
        (old,) = self.signing_keys("SELLER")
        self.do("edit", "account", "-n", "SELLER", "--sk", "generate")
        self.push(url, "SELLER")
        (new,) = set(self.signing_keys("SELLER")) - {old}
        self.do("edit", "user", "-a", "SELLER", "-n", "shop", "--tag", "renewed", "-K", new)
        self.do(
            "generate",
            "activation",
            "-a",
            "SELLER",
            "-s",
            "price.tea",
            "-t",
            self.key("BUYER"),
            "-o",
            "tea2.tok",
            "-K",
            new,
        )
        self.do("delete", "import", "-a", "BUYER", "-s", "price.tea")
        self.do("add", "import", "-a", "BUYER", "-u", "tea2.tok", "--local-subject", "ask.tea")
        self.push(url, "BUYER")

    def retire_key(self, url: str) -> None:
        issuer = load_credentials(self.credentials("SELLER", "shop")).claims.issuer
        (old,) = set(self.signing_keys("SELLER")) - {issuer}
        self.do("edit", "account", "-n", "SELLER", "--rm-sk", old)
        self.push(url, "SELLER")

    def delete(self, url: str) -> None:
        self.do("delete", "account", "-n", "BUYER")
        said = self.do("push", "-A", "-P", "-u", url)
        # It names an account once for each server that has it, and servers count names.
        assert re.search(r"pruned nats-server n1: deleted \d accounts", said), said

    def pull(self, url: str) -> None:
        self.do("edit", "operator", "--account-jwt-server-url", url)
        self.do("pull", "-A")


class Ours(Tool):
    """Our command line."""

    def init(self) -> str:
        run_ok("init", "LIFE", "--account", "LIFE", "--user", "LIFE")
        run_ok("generate", "config", "--nats-resolver", "--config-file", "resolver.conf")
        return Path("resolver.conf").read_text()

    def push(self, url: str, *accounts: str) -> None:
        which = [word for account in accounts for word in ("-a", account)] or ["-A"]
        answer = run_ok("push", *which, "--url", url, "--json")
        assert answer.data["complete"]
        assert len(answer.data["servers"]) == 2
        run_ok("drift", "--url", url)

    def tenants(self) -> None:
        for account, user in (("SELLER", "shop"), ("BUYER", "carl")):
            run_ok("account", "create", account, "--sk", "generate")
            (key,) = run_ok("account", "describe", account, "--json").data["nats"]["signing_keys"]
            run_ok("user", "create", user, "-a", account, "-K", key)

    def share(self) -> None:
        run_ok("export", "create", "price.*", "-a", "SELLER", "--service", "--private")
        run_ok("activation", "issue", "-a", "SELLER", "-s", "price.tea", "-t", "BUYER", "--service", "-o", "tea.tok")
        run_ok("import", "create", "-a", "BUYER", "--token", "tea.tok", "--local-subject", "ask.tea")

    def role(self) -> None:
        flags = ("--allow-pub", "ask.>", "--allow-sub", "_INBOX.>")
        run_ok("account", "signing-key", "create", "-a", "BUYER", "--role", "asker", *flags)
        run_ok("user", "create", "robot", "-a", "BUYER", "-K", "asker")

    def revoke(self, url: str) -> None:
        assert run_ok("revoke", "carl", "-a", "BUYER", "--push", "--url", url, "--json").data["push"]["complete"]

    def renew_shop(self, url: str) -> None:
        answer = run("rotate", "account-key", "-a", "SELLER", "--url", url, "--to-step", "2", "--json")
        assert (answer.code, answer.data["step"]) == (0, 2), answer

    def retire_key(self, url: str) -> None:
        # The old client is still there: its time is over.
        assert run_ok("rotate", "account-key", "-a", "SELLER", "--url", url, "--overlap", "0", "--json").data[
            "finished"
        ]

    def delete(self, url: str) -> None:
        run_ok("account", "delete", "BUYER")
        answer = run_ok("prune", "--url", url, "--json")
        assert [entry["message"] for entry in answer.data["rulings"]] == ["deleted 1 accounts"] * 2

    def pull(self, url: str) -> None:
        run_ok("pull", "-A", "--url", url)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of this test's own."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "NSC_", "NKEYS_"))]:
        monkeypatch.delenv(name)
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(entry).absolute()) for entry in entries))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(
    params=[
        pytest.param(
            Nsc,
            id="nsc",
            marks=pytest.mark.skipif(
                NSC is None, reason="nsc is not on the PATH (it is a Go program: github.com/nats-io/nsc/v2)"
            ),
        ),
        pytest.param(Ours, id="ours"),
    ]
)
def tool(request: pytest.FixtureRequest, home: Path) -> Tool:
    """nsc, and ours."""
    made = request.param(home)
    assert isinstance(made, Tool)
    return made


class Mesh:
    """The two nodes, and clients that know when they are cut off."""

    def __init__(self, tool: Tool, cluster: ClusterProcesses) -> None:
        self.tool = tool
        self.cluster = cluster
        self.url = cluster.nodes[0].url

    @contextlib.asynccontextmanager
    async def client(self, account: str, user: str, node: int) -> AsyncIterator["Guest"]:
        """Connected; raises what nats-py does when refused."""
        options: dict[str, Any] = load_credentials(self.tool.credentials(account, user)).client_options()
        guest = Guest()
        try:
            await guest.client.connect(
                self.cluster.nodes[node].url,
                allow_reconnect=False,
                error_cb=guest.on_error,
                closed_cb=guest.on_closed,
                **options,
            )
            yield guest
        finally:
            await guest.client.close()

    async def refuses(self, account: str, user: str) -> bool:
        """Does every node refuse these credentials?"""
        for node in range(2):
            try:
                async with self.client(account, user, node):
                    return False
            except NatsError:
                continue
        return True


class Guest:
    """A client, what it was told, and whether it was cut off."""

    def __init__(self) -> None:
        self.client = Client()
        self.errors: asyncio.Queue[str] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def on_error(self, error: Exception) -> None:
        """Called by nats-py."""
        self.errors.put_nowait(str(error))

    async def on_closed(self) -> None:
        """Called by nats-py."""
        self.closed.set()

    async def is_cut_off(self) -> None:
        """Wait for it. Raises TimeoutError."""
        await asyncio.wait_for(self.closed.wait(), PATIENCE_S)

    async def price(self) -> bytes:
        """Ask over the import, until the answering client is known on this node. Raises AssertionError."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < deadline:
            try:
                return (await self.client.request("ask.tea", b"?", timeout=1)).data
            except NoRespondersError:
                await asyncio.sleep(0.02)
            except TimeoutError:
                continue
        raise AssertionError("nobody answers over the import")

    async def sells(self, text: bytes) -> None:
        """Answer what is asked for."""

        async def answer(message: Any) -> None:
            await message.respond(text)

        await self.client.subscribe("price.*", cb=answer)
        await self.client.flush()


@pytest.fixture
def mesh(tool: Tool, server_kind: type[ServerProcess], tmp_path: Path) -> Iterator[Mesh]:
    """Two nodes with the configuration that the tool wrote; deletion is allowed."""
    config = tool.init().replace("allow_delete: false", "allow_delete: true")
    assert "allow_delete: true" in config
    cluster = ClusterProcesses(tmp_path / "mesh", [server_kind] * 2, config=config)
    try:
        yield Mesh(tool, cluster.start())
    finally:
        cluster.stop()


def test_a_whole_life(mesh: Mesh) -> None:
    asyncio.run(_life(mesh))


async def _life(mesh: Mesh) -> None:
    tool, url = mesh.tool, mesh.url

    async def do(job: Callable[..., None], *arguments: str) -> None:
        await asyncio.to_thread(job, *arguments)

    await do(tool.push, url)
    await do(tool.tenants)
    # What was not pushed yet, no server lets in.
    assert await mesh.refuses("SELLER", "shop")
    await do(tool.push, url, "SELLER", "BUYER")
    async with contextlib.AsyncExitStack() as guests:
        shop = await guests.enter_async_context(mesh.client("SELLER", "shop", 0))
        carl = await guests.enter_async_context(mesh.client("BUYER", "carl", 1))
        await shop.sells(b"7")
        with pytest.raises(NoRespondersError):
            await carl.client.request("ask.tea", b"?", timeout=PATIENCE_S)
        # Sharing reaches clients that are connected already.
        await do(tool.share)
        await do(tool.push, url, "SELLER", "BUYER")
        assert await carl.price() == b"7"
        # A role says what its users may do.
        await do(tool.role)
        await do(tool.push, url, "BUYER")
        robot = await guests.enter_async_context(mesh.client("BUYER", "robot", 0))
        assert await robot.price() == b"7"
        await robot.client.publish("elsewhere", b"x")
        assert "permissions violation for publish" in (await asyncio.wait_for(robot.errors.get(), PATIENCE_S)).lower()
        # A revoked user is cut off and stays out; the others stay.
        await do(tool.revoke, url)
        await carl.is_cut_off()
        assert await mesh.refuses("BUYER", "carl")
        assert await robot.price() == b"7"
        # Another key with an overlap: both are good, then the old one is not.
        old = load_credentials(tool.credentials("SELLER", "shop"))
        await do(tool.renew_shop, url)
        renewed = await guests.enter_async_context(mesh.client("SELLER", "shop", 1))
        assert load_credentials(tool.credentials("SELLER", "shop")).claims.issuer != old.claims.issuer
        assert shop.client.is_connected
        await renewed.sells(b"8")
        await do(tool.retire_key, url)
        await shop.is_cut_off()
        assert await robot.price() == b"8"
        # What the servers hold is what the store holds.
        await do(tool.pull, url)
        # The end.
        await do(tool.delete, url)
        await robot.is_cut_off()
        assert await mesh.refuses("BUYER", "robot")
        await renewed.client.flush()
