"""A mesh as its system account shows it: which servers there are, and what each of them holds.

    async with Mesh.open([url], visitor) as mesh:
        servers = await mesh.servers()
        report = await mesh.push(tokens)

Every answer is counted against the servers that are known: those that answer a PING, and the number of servers that
they say the mesh has. So silence is noticed, and no fixed waiting time stands for "that must have been all".
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import msgspec

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode, decode_as
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.answers import BadAnswer, Connection, Ruling, Server, read_envelope, read_ruling
from gossamer.operator.mesh.packing import pack_hash, read_pack
from gossamer.operator.mesh.pushing import PushReport, push_tokens
from gossamer.operator.mesh.visitor import Visitor
from gossamer.operator.mesh.wire import NoResponders, Wire, ask_each

TIMEOUT_S = 5.0
#: Silence after which nobody else is expected, once as many have answered as the mesh says it has. A server that has
#: just started says too small a number: so the count alone does not end the waiting.
_SILENCE_S = 0.25
#: How long servers that should be there may take to answer a PING.
_DISCOVERY_S = 2.0
#: A pack ends with an empty message; a server that says nothing for so long has stopped in the middle.
_PACK_SILENCE_S = 10.0
_PACK_S = 3600.0
#: A look-up is a file read: a server that says nothing for so long says nothing at all.
_LOOKUP_SILENCE_S = 2.0
#: Connections per answer: with their JWTs they must fit into one message.
_PAGE = 256

Progress = Callable[[int, int], None]


class Incomplete(Exception):
    """A server stopped answering in the middle."""


class Mesh:
    """A connection to the system account of a mesh. ``timeout_s`` is how long a server may take for one answer."""

    def __init__(self, wire: Wire, timeout_s: float) -> None:
        self._wire = wire
        self.timeout_s = timeout_s
        self._servers: tuple[Server, ...] | None = None
        self._unheard = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, urls: Sequence[str], visitor: Visitor, *, timeout_s: float = TIMEOUT_S
    ) -> AsyncIterator["Mesh"]:
        """Connect to the first of ``urls`` that answers. Raises Failure."""
        wire = await Wire.connect(urls, visitor, timeout_s=max(timeout_s, 1.0))
        try:
            yield cls(wire, timeout_s)
        finally:
            await wire.close()

    @property
    def asked(self) -> list[str]:
        """The subjects of all requests so far: what it has cost."""
        return self._wire.asked

    # --- who is there ---------------------------------------------------------------------------------------------
    async def servers(self) -> tuple[Server, ...]:
        """The servers that answer, sorted by name. Asked once."""
        if self._servers is None:
            self._servers, self._unheard = await self._discover()
        return self._servers

    async def unheard(self) -> int:
        """How many servers the mesh says it has beyond those that answer."""
        await self.servers()
        return self._unheard

    async def await_all(self, timeout_s: float) -> None:
        """Ask again who is there until as many answer as the mesh says it has, or ``timeout_s`` have passed."""
        deadline = time.monotonic() + timeout_s
        while await self.unheard() and time.monotonic() < deadline:
            self._servers = None

    async def _discover(self) -> tuple[tuple[Server, ...], int]:
        found: dict[str, Server] = {}
        told = 0

        def patience_s() -> float:
            return _SILENCE_S if told and len(found) >= told else _DISCOVERY_S

        try:
            async for message in self._wire.collect(
                "$SYS.REQ.SERVER.PING", timeout_s=min(self.timeout_s, _DISCOVERY_S), silence_s=patience_s
            ):
                with contextlib.suppress(BadAnswer):
                    envelope = read_envelope(message.data)
                    found[envelope.server.id] = envelope.server
                    active = envelope.statsz.get("active_servers")
                    told = max(told, active if isinstance(active, int) else 0)
        except NoResponders:
            raise _no_system_account(self._wire.url) from None
        if not found:
            raise Failure(
                f"no server answers at {self._wire.url}", code="silent", hint="give it more time with --timeout"
            )
        return tuple(sorted(found.values(), key=lambda server: (server.label, server.id))), max(0, told - len(found))

    # --- changing -------------------------------------------------------------------------------------------------
    async def push(self, tokens: Iterable[str], *, progress: Progress | None = None) -> PushReport:
        """Give account JWTs to every server and wait for all answers; what is not answered is sent again.

        ``progress(done, total)`` is called with numbers of accounts. Nothing is validated here.
        """
        return await push_tokens(
            self._wire, tokens, await self.servers(), self._unheard, timeout_s=self.timeout_s, progress=progress
        )

    async def delete(self, token: str) -> list[Ruling]:
        """Have the servers delete the accounts that a signed request names. One ruling per server that answers."""
        return await self._rulings("$SYS.REQ.CLAIMS.DELETE", token.encode())

    async def _rulings(self, subject: str, payload: bytes) -> list[Ruling]:
        servers = await self.servers()
        found: dict[str, Ruling] = {}
        with contextlib.suppress(NoResponders):
            async for message in self._wire.collect(subject, payload, timeout_s=self.timeout_s):
                with contextlib.suppress(BadAnswer):
                    ruling = read_ruling(message.data)
                    found[ruling.server.id] = ruling
                if {server.id for server in servers} <= found.keys():
                    break
        return sorted(found.values(), key=lambda ruling: (ruling.server.label, ruling.server.id))

    # --- what they hold -------------------------------------------------------------------------------------------
    async def lists(self) -> dict[str, frozenset[str]]:
        """The public keys of the accounts that each server stores, by server id; a server that keeps no store (or
        does not answer) is missing."""
        found: dict[str, frozenset[str]] = {}
        wanted = {server.id for server in await self.servers()}
        with contextlib.suppress(NoResponders):
            async for message in self._wire.collect("$SYS.REQ.CLAIMS.LIST", timeout_s=self.timeout_s):
                with contextlib.suppress(BadAnswer):
                    envelope = read_envelope(message.data)
                    if isinstance(envelope.data, list):
                        found[envelope.server.id] = frozenset(str(key) for key in envelope.data)
                if wanted <= found.keys():
                    break
        return found

    async def listed(self, server: Server) -> frozenset[str] | None:
        """The accounts that one server stores; None if it keeps no store or does not answer."""
        return (await self.lists()).get(server.id)

    async def pack(self, *, equal_to: bytes | None = None) -> dict[str, str] | None:
        """All account JWTs of one server, by account; None when their hash is ``equal_to``.

        Which server answers is its mesh's choice, and not told. Raises NoResponders when none keeps a full store, and
        Incomplete when one stops in the middle.
        """
        found: dict[str, str] = {}
        patience_s = max(self.timeout_s, _PACK_SILENCE_S)
        async for message in self._wire.collect(
            "$SYS.REQ.CLAIMS.PACK", equal_to or b"", timeout_s=_PACK_S, silence_s=lambda: patience_s
        ):
            if not message.data:
                return None if equal_to is not None and not found and pack_hash(()) != equal_to else found
            found.update(read_pack(message.data))
        raise Incomplete("a server stopped in the middle of its accounts")

    async def copies_of(self, accounts: Iterable[str], *, progress: Progress | None = None) -> dict[str, list[str]]:
        """The JWT of each account as every full store has it, empty text for one that has none: which server holds
        which is not told. As many as there are stores; fewer when one does not answer in time."""
        keys = list(dict.fromkeys(accounts))
        answers = await ask_each(
            self._wire,
            [f"$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP" for key in keys],
            answers=len(await self.servers()),
            silence_s=min(self.timeout_s, _LOOKUP_SILENCE_S),
            progress=progress,
        )
        return {
            key: [message.data.decode("utf-8", "replace") for message in messages]
            for key, messages in zip(keys, answers, strict=True)
        }

    async def copies(self, account: str) -> list[str]:
        """The same for one account."""
        return (await self.copies_of([account]))[account]

    async def lookup(self, account: str) -> str:
        """The newest JWT of an account that some server has; empty if there is none."""
        return newest(await self.copies(account))

    async def account_state(self, account: str) -> dict[str, dict[str, Any]]:
        """What each server makes of an account it has loaded, by server id (spec auth section 23.2, INFO)."""
        found: dict[str, dict[str, Any]] = {}
        async for server, data in self._documents("ACCOUNTZ", {"account": account}):
            detail = data.get("account_detail") if isinstance(data, dict) else None
            if isinstance(detail, dict):
                found[server.id] = detail
        return found

    async def operator_tokens(self) -> dict[str, tuple[str, ...]]:
        """The operator JWTs that each server was started with, by server id."""
        found: dict[str, tuple[str, ...]] = {}
        async for server, data in self._documents("VARZ", {}):
            if isinstance(data, dict) and isinstance(tokens := data.get("trusted_operators_jwt"), list):
                found[server.id] = tuple(str(token) for token in tokens)
        return found

    async def connections(self, account: str = "") -> list[Connection]:
        """The live connections (of one account, by its public key), on all servers."""
        found: list[Connection] = []
        for server in await self.servers():
            offset = 0
            while True:
                body = {"auth": True, "limit": _PAGE, "offset": offset, **({"acc": account} if account else {})}
                page, total = await self._connection_page(server, body)
                found.extend(page)
                offset += len(page)
                if not page or offset >= total:
                    break
        return found

    async def _connection_page(self, server: Server, body: dict[str, Any]) -> tuple[list[Connection], int]:
        subject = f"$SYS.REQ.SERVER.{server.id}.CONNZ"
        try:
            async for message in self._wire.collect(subject, msgspec.json.encode(body), timeout_s=self.timeout_s):
                envelope = read_envelope(message.data)
                if envelope.error is not None:
                    raise Failure(f"{server.label}: {envelope.error.description}", code="refused")
                data = envelope.data if isinstance(envelope.data, dict) else {}
                entries = [entry for entry in data.get("connections") or [] if isinstance(entry, dict)]
                total = data.get("total")
                return [read_connection(server, entry) for entry in entries], total if isinstance(total, int) else 0
        except (NoResponders, BadAnswer):
            pass
        raise Failure(
            f"{server.label} does not say who is connected", code="silent", hint="give it more time with --timeout"
        )

    async def _documents(self, kind: str, body: dict[str, Any]) -> AsyncIterator[tuple[Server, Any]]:
        """The ``data`` of every server's answer; servers that answer with an error are left out."""
        wanted = {server.id for server in await self.servers()}
        heard: set[str] = set()
        with contextlib.suppress(NoResponders):
            async for message in self._wire.collect(
                f"$SYS.REQ.SERVER.PING.{kind}", msgspec.json.encode(body), timeout_s=self.timeout_s
            ):
                try:
                    envelope = read_envelope(message.data)
                except BadAnswer:
                    continue
                heard.add(envelope.server.id)
                if envelope.error is None:
                    yield envelope.server, envelope.data
                if wanted <= heard:
                    break


def newest(tokens: Iterable[str]) -> str:
    """The account JWT that was issued last; empty for none. What cannot be read is older than everything."""
    return max(tokens, key=_issued_at, default="")


def _issued_at(token: str) -> int:
    try:
        return decode_as(AccountClaims, token).issued_at if token else -2
    except TokenError:
        return -1


def read_connection(server: Server, entry: dict[str, Any]) -> Connection:
    """One entry of CONNZ with ``auth``."""
    token = str(entry.get("jwt") or "")
    issued_at = expires = 0
    user_name = issuer = ""
    if token:
        with contextlib.suppress(TokenError):
            claims = decode(token)
            user_name, issuer = claims.name, claims.issuer
            issued_at, expires = claims.issued_at, claims.expires
    return Connection(
        server=server,
        cid=entry["cid"] if isinstance(entry.get("cid"), int) else 0,
        name=str(entry.get("name") or ""),
        kind=str(entry.get("kind") or ""),
        address=f"{entry.get('ip', '')}:{entry.get('port', '')}",
        user=str(entry.get("authorized_user") or ""),
        user_name=user_name,
        account=str(entry.get("account") or ""),
        issuer=issuer or str(entry.get("issuer_key") or ""),
        token=token,
        issued_at=issued_at,
        expires=expires,
    )


def _no_system_account(url: str) -> Failure:
    return Failure(
        f"{url} answers nothing on the system account",
        code="no-system-account",
        hint="name credentials of a user of the system account with --system-user",
    )
