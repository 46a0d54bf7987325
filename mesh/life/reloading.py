"""Following a changed configuration while running (spec configuration sections 10 and 11).

``Reload.run`` reads the file again, compares every option, and refuses as a whole if one of them cannot be changed:
then nothing has happened. Otherwise each part is told, and those whose right to be here has changed are judged again.
"""

import asyncio
from typing import TYPE_CHECKING

from gossamer.auth.decisions import Admission, Attempt, Method, Refusal
from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.life import sharing
from gossamer.mesh.life.logging_choice import change_log
from gossamer.mesh.life.run_files import FileTrouble
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.reload import Change, difference, log_lines, refusal
from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.clients import AUTHORIZATION_VIOLATION
from gossamer.mesh.peers.connect import SILENT
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.peers.membership import enforce_connections
from gossamer.mesh.world.listening import split_address

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

_TOO_MANY = b"maximum connections exceeded"
#: What decides about users of operator mode beside their accounts.
_ABOUT_USERS = frozenset(
    f"authorization.{name}"
    for name in (
        "resolver_pinned_accounts",
        "default_sentinel",
        "trusted_proxies",
        "proxy_required",
        "literal_wildcards",
    )
)
#: A verdict may take half a millisecond: others have a turn after this many.
_JUDGED_AT_ONCE = 20


class NothingToReload(Exception):
    """The server was started without a file."""


class ReloadRefused(Exception):
    """Nothing was changed; the text says why."""


class Reload:
    """Of one node that was started with these flags, which are applied over the file again."""

    def __init__(self, node: "Node", flags: Flags) -> None:
        self._node = node
        self._flags = flags
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Raises NothingToReload, ReloadRefused."""
        if not self._flags.config:
            raise NothingToReload
        async with self._one_at_a_time:
            loaded = assess(self._flags)
            if loaded.faults:
                raise ReloadRefused(loaded.text)
            await apply(self._node, loaded.options)


async def apply(node: "Node", now: Options) -> None:
    """Have the node follow other options. Raises ReloadRefused, having changed nothing."""
    before = node.options
    changes = difference(before, now)
    text = refusal(changes) or (node.resolving.refusal(now.authorization) if node.resolving is not None else "")
    if text:
        raise ReloadRefused(text)
    paths = {change.path for change in changes}
    try:
        judge = Judge(now.authorization, node.world.clock, node.resolving.live if node.resolving else None)
    except ValueError as error:
        raise ReloadRefused(str(error)) from error
    try:
        node.links.check(now)
        change_log(node.journal, before.logging, now.logging, node.world)
    except (FileTrouble, ValueError) as error:
        judge.stop()
        raise ReloadRefused(str(error)) from error
    node.options = now
    node.configure_engine(now)
    node.clients.limits = now.limits
    old_judge, node.judge = node.judge, judge
    judge.desk = old_judge.desk
    node.clients.judge = judge
    _follow_address(node, now, judge)
    node.links.change(now, paths)
    gone = node.accounts.apply(now.authorization)
    if node.resolving is not None:
        node.resolving.follow(now.authorization)
    sharing.follow(node, now.authorization)
    await _judge_again(node, {account.name for account in gone}, old_judge, paths)
    old_judge.stop()
    _enforce_counts(node, now, paths)
    node.config_loaded_ns = node.world.clock.wall_ns()
    _tell(node, changes)


def _follow_address(node: "Node", now: Options, judge: Judge) -> None:
    """INFO of newcomers; those connected are not told (spec client-protocol section 4.3)."""
    host, port = now.host, node.listener.port
    if now.client_advertise:
        host, port = split_address(now.client_advertise, port)
    node.welcome.change(
        host=host,
        port=port,
        max_payload=now.limits.max_payload,
        auth_required=judge.announced,
        nonces=judge.wants_nonce,
    )
    node.listener.refresh(judge)


async def _judge_again(node: "Node", gone: set[str], old: Judge, paths: set[str]) -> None:
    """Everybody who is here, by the new rules: with what they sent when they came."""
    slow: list[tuple[Client, Attempt, Attempt | None, asyncio.Future[Admission | Refusal]]] = []
    judge = node.judge
    untouched = node.resolving is not None and not _ABOUT_USERS & paths
    for number, client in enumerate(list(node.clients)):
        if number % _JUDGED_AT_ONCE == 0:
            await asyncio.sleep(0)
        if client.account is None or node.clients.is_ending(client):
            continue  # not admitted yet: judged by the new rules when its turn comes; or going anyway
        if client.account.name in gone:
            _remove(node, client, f"account {client.account.name} was removed")
        elif not judge.required:
            if old.required and client.named:
                _remove(node, client, "nobody authenticates any more")
            elif client.admission is not None:
                node.clients.unbind(client)
        elif untouched and client.admission is not None and client.admission.method is Method.JWT:
            continue  # a JWT says what it said; accounts that changed were followed already
        else:
            attempt = client.attempt or judge.attempt(client, SILENT, b"")
            found = judge.verdict(attempt)
            if isinstance(found, asyncio.Future):
                slow.append((client, attempt, client.attempt, found))
            else:
                _follow_verdict(node, client, attempt, found)
    for client, attempt, said, future in slow:
        await asyncio.wait([future])
        if node.clients.find(client.link) is not client or client.account is None or client.attempt is not said:
            continue  # gone, or it has said CONNECT again and was judged by the new rules
        if future.cancelled() or future.exception() is not None:
            why = "the node is stopping" if future.cancelled() else repr(future.exception())
            reason = Reason(code=ReasonCode.INTERNAL, text=f"it could not be judged again: {why}", rule="reload")
            node.clients.refuse(client, AUTHORIZATION_VIOLATION, CloseReason.AUTHENTICATION_VIOLATION, reason)
            continue
        verdict = future.result()
        if not judge.stands(verdict):
            again = judge.verdict(attempt)
            verdict = await again if isinstance(again, asyncio.Future) else again
        _follow_verdict(node, client, attempt, verdict)


def _follow_verdict(node: "Node", client: Client, attempt: Attempt, verdict: Admission | Refusal) -> None:
    assert client.account is not None, "only who is admitted is judged again"
    came_through = client.admission.proxy if client.admission is not None else ""
    if came_through and came_through not in node.options.authorization.trusted_proxies:
        text = "the proxy it came through is not trusted any more"
        reason = Reason(code=ReasonCode.PROXY_NOT_TRUSTED, text=text, rule="proxies.trusted")
        node.clients.refuse(client, AUTHORIZATION_VIOLATION, CloseReason.PROXY_NOT_TRUSTED, reason)
    elif isinstance(verdict, Refusal):
        if node.judge.knows_user(attempt) or verdict.reason.code.startswith("callout_"):
            close = node.judge.close_reason(verdict)
            node.clients.refuse(client, AUTHORIZATION_VIOLATION, close, verdict.reason)
        else:
            node.clients.refuse(client, b"", CloseReason.CLIENT_CLOSED, verdict.reason)
    elif verdict.account != client.account.name:
        _remove(node, client, f"its user belongs to account {verdict.account} now", verdict.permissions_place)
    else:
        node.clients.rebind(client, verdict)


def _remove(node: "Node", client: Client, text: str, place: str = "") -> None:
    """Closed without a word (spec auth section 26.5), but not without a reason."""
    reason = Reason(code=ReasonCode.USER_REMOVED, text=text, rule="reload", place=place)
    node.clients.refuse(client, b"", CloseReason.CLIENT_CLOSED, reason)


def _enforce_counts(node: "Node", now: Options, paths: set[str]) -> None:
    """Limits that were lowered below what is there: the newest of an account go, of the server anybody."""
    for account in list(node.accounts):
        enforce_connections(node.clients, account)
    if "limits.max_connections" in paths:
        everybody = list(node.clients)
        text = f"the server may have {now.limits.max_connections} clients"
        rule = f"max_connections {now.limits.max_connections}"
        reason = Reason(code=ReasonCode.SERVER_FULL, text=text, rule=rule)
        for client in everybody[max(0, now.limits.max_connections) :]:
            node.clients.refuse(client, _TOO_MANY, CloseReason.MAX_CONNECTIONS_EXCEEDED, reason)


def _tell(node: "Node", changes: tuple[Change, ...]) -> None:
    for line in log_lines(changes):
        node.journal.info(line)
    digest = f" ({node.options.config_digest})" if node.options.config_digest else ""
    node.journal.info(f"Reloaded server configuration{digest}")
