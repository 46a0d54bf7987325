"""Who is really there: the subscriptions of live servers to the places where a message arrives."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from gossamer.auth.subjects import matches, overlaps
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.answers import BadAnswer, read_envelope
from gossamer.operator.mesh.connection import read_connection
from gossamer.operator.mesh.reaching import Reach, mesh_urls, visitor_of
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.mesh.wire import NoResponders, Wire
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.journey import Arrival

_PAGE = 1024
_SILENCE_S = 0.5


class Receiver(Struct, frozen=True, kw_only=True):
    """A live subscription. ``one_of``: it is in a queue group, of which one member gets each message."""

    connection: str
    user: str
    server: str
    account: str
    subject: str
    queue: str = ""
    arrives_as: str = ""

    @property
    def one_of(self) -> bool:
        """Does it share the messages with others?"""
        return bool(self.queue)


async def receivers(
    workspace: Workspace, reach: Reach, arrivals: Sequence[Arrival], *, subscribing: bool, now: int
) -> list[Receiver]:
    """The subscriptions that match where a message arrives; for somebody who subscribes, those beside his own.

    Raises Failure when the mesh cannot be asked. ``now`` in unix seconds.
    """
    urls = mesh_urls(workspace.operator().claims, reach.urls)
    visitor = visitor_of(workspace, reach, [Errand.CONNECTIONS], now)
    wire = await Wire.connect(urls, visitor, timeout_s=max(1.0, reach.timeout_s))
    found: list[Receiver] = []
    try:
        for key in dict.fromkeys(arrival.key for arrival in arrivals):
            there = [arrival for arrival in arrivals if arrival.key == key]
            async for server, entry in _connections(wire, key, reach.timeout_s):
                found.extend(_of(server, entry, there, subscribing=subscribing))
    finally:
        await wire.close()
    return found


async def _connections(wire: Wire, account: str, timeout_s: float) -> Any:
    offset = 0
    while True:
        body = {"auth": True, "subscriptions": True, "subscriptions_detail": True, "acc": account}
        payload = msgspec.json.encode({**body, "limit": _PAGE, "offset": offset})
        more = False
        try:
            answers = wire.collect(
                "$SYS.REQ.SERVER.PING.CONNZ", payload, timeout_s=timeout_s, silence_s=lambda: _SILENCE_S
            )
            async for message in answers:
                try:
                    envelope = read_envelope(message.data)
                except BadAnswer:
                    continue
                data = envelope.data if isinstance(envelope.data, dict) else {}
                entries = [entry for entry in data.get("connections") or [] if isinstance(entry, dict)]
                total = data.get("total")
                more = more or (isinstance(total, int) and offset + len(entries) < total and bool(entries))
                for entry in entries:
                    yield envelope.server, entry
        except NoResponders:
            raise Failure(
                f"{wire.url} answers nothing on the system account",
                code="no-system-account",
                hint="name credentials of a user of the system account with --system-user",
            ) from None
        if not more:
            return
        offset += _PAGE


def _of(server: Any, entry: dict[str, Any], arrivals: Iterable[Arrival], *, subscribing: bool) -> Iterable[Receiver]:
    connection = read_connection(server, entry)
    fits = overlaps if subscribing else matches
    for subject, queue in _subscriptions(entry):
        for arrival in arrivals:
            if arrival.how == "stream" and subscribing:
                continue  # that is where it comes from
            if fits(subject, arrival.subject):
                yield Receiver(
                    connection=connection.label,
                    user=connection.user_name or connection.user,
                    server=server.label,
                    account=arrival.account,
                    subject=subject,
                    queue=queue,
                    arrives_as=arrival.subject,
                )


def _subscriptions(entry: dict[str, Any]) -> list[tuple[str, str]]:
    detail = entry.get("subscriptions_list_detail")
    if isinstance(detail, list):
        return [
            (str(one.get("subject", "")), str(one.get("qgroup") or one.get("queue") or ""))
            for one in detail
            if isinstance(one, dict)
        ]
    listed = entry.get("subscriptions_list")
    return [(str(one), "") for one in listed] if isinstance(listed, list) else []
