"""ClientInfo: who a connection is, in events (spec system-and-monitoring section 1.1). What is empty is left out."""

from typing import TYPE_CHECKING

from msgspec import Struct

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.monitor.formats import timestamp

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.peers.client import Client
    from gossamer.mesh.peers.closed import ClosedClient


class ClientInfo(Struct, kw_only=True, omit_defaults=True):
    """The fields in nats-server's order. Times as text, ``rtt`` in nanoseconds."""

    start: str = ""
    host: str = ""
    id: int = 0
    acc: str = ""
    user: str = ""
    name: str = ""
    lang: str = ""
    ver: str = ""
    rtt: int = 0
    server: str = ""
    cluster: str = ""
    stop: str = ""
    jwt: str = ""
    issuer_key: str = ""
    name_tag: str = ""
    tags: tuple[str, ...] = ()
    kind: str = "unset"  # never this: so that the default is always written
    client_type: str = ""


def info_of_open(
    client: "Client", account: "Account", user: str, jwt: str, issuer: str, tags: tuple[str, ...]
) -> ClientInfo:
    """Of a client that has just come in. ``account`` and what follows: as they were then."""
    return ClientInfo(
        start=timestamp(client.start_ns),
        host=client.host,
        id=client.link,
        acc=account.name,
        user=user,
        name=client.name,
        lang=client.lang,
        ver=client.version,
        jwt=jwt,
        issuer_key=issuer,
        name_tag=account.label or account.name,
        tags=tags,
        kind="Client",
        client_type="nats",
    )


def info_of_closed(closed: "ClosedClient", label: str) -> ClientInfo:
    """Of a client that is gone. ``label``: what its account is called."""
    account = closed.account or GLOBAL_ACCOUNT
    return ClientInfo(
        start=timestamp(closed.start_ns),
        host=closed.host,
        id=closed.link,
        acc=account,
        user=closed.user,
        name=closed.name,
        lang=closed.lang,
        ver=closed.version,
        rtt=closed.rtt_ns,
        stop=timestamp(closed.stop_ns),
        jwt=closed.jwt,
        issuer_key=closed.issuer,
        name_tag=label or account,
        tags=closed.tags,
        kind="Client",
        client_type="nats",
    )
