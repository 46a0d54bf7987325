"""From a store to its mesh: which address, which user, and what a URL means (spec operator-cli section 6)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from gossamer.auth.claims import OperatorClaims
from gossamer.operator.failure import Failure, usage
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.visitor import Errand, Visitor, standing_visitor, temporary_visitor
from gossamer.operator.store.workspace import Workspace

NATS_SCHEMES = ("nats", "tls", "ws", "wss")
HTTP_SCHEMES = ("http", "https")

Value = TypeVar("Value")


class Reach(Struct, frozen=True, kw_only=True):
    """How a command finds its mesh. ``urls`` empty: what the operator's claim says. ``system_user`` is the path of
    credentials to use instead of a temporary user; ``timeout_s`` how long a server may take for one answer."""

    urls: tuple[str, ...] = ()
    system_user: str = ""
    timeout_s: float = 5.0
    signer: str = ""  # the key of the system account that signs the temporary user


def mesh_urls(operator: OperatorClaims, given: Sequence[str] = ()) -> tuple[str, ...]:
    """Where to ask: what was given, else the operator's account server, else its service URLs. Raises Failure."""
    urls = tuple(given) or ((operator.account_server_url,) if operator.account_server_url else ())
    urls = urls or operator.operator_service_urls
    if not urls:
        raise Failure(
            f"operator {operator.name!r} names no server",
            code="no-url",
            hint="name one with --url, or once for all: gossamer operator edit --account-jwt-server-url URL",
        )
    for url in urls:
        if urlsplit(url).scheme not in (*NATS_SCHEMES, *HTTP_SCHEMES):
            raise usage(
                f"{url!r} is not a URL of a server", f"it begins with {', '.join((*NATS_SCHEMES, *HTTP_SCHEMES))}"
            )
    return urls


def is_account_server(urls: Sequence[str]) -> bool:
    """Is it an HTTP account server, not a mesh?"""
    return urlsplit(urls[0]).scheme in HTTP_SCHEMES


def visitor_of(workspace: Workspace, reach: Reach, errands: Iterable[Errand], now: int) -> Visitor:
    """Who asks: the credentials that were named, else a temporary user. ``now`` in unix seconds. Raises Failure."""
    if reach.system_user:
        return standing_visitor(reach.system_user)
    operator = workspace.operator().claims
    name = workspace.system_account_name(operator.name)
    if not name:
        raise Failure(
            f"operator {operator.name!r} has no system account in this store",
            code="no-system-account",
            hint="name credentials of one of its users with --system-user",
        )
    system = workspace.store.account(operator.name, name).claims
    return temporary_visitor(workspace.keystore, operator, system, errands, now=now, wish=reach.signer)


def on_mesh(
    workspace: Workspace,
    reach: Reach,
    errands: Iterable[Errand],
    question: Callable[[Mesh], Awaitable[Value]],
    *,
    now: int,
) -> Value:
    """Connect, let ``question`` ask, disconnect. Raises Failure, also for an account server: it answers HTTP only."""
    urls = mesh_urls(workspace.operator().claims, reach.urls)
    if is_account_server(urls):
        raise Failure(
            f"{urls[0]} is an account server: it cannot be asked this",
            code="account-server",
            hint="name a server of the mesh with --url nats://...",
        )
    visitor = visitor_of(workspace, reach, errands, now)

    async def main() -> Value:
        async with Mesh.open(urls, visitor, timeout_s=reach.timeout_s) as mesh:
            return await question(mesh)

    return asyncio.run(main())
