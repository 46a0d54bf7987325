"""Who asks, as services learn it through imports that share (spec auth section 18).

The engine puts a request together; it only needs the text around the one number that changes. A client gets that text
when it comes in, if requests of its account reach such an import, or later, when its account gets one.
"""

from typing import TYPE_CHECKING

import msgspec

from gossamer.mesh.peers.clients import told_jwt
from gossamer.mesh.peers.membership import members
from gossamer.mesh.system.client_info import ClientInfo, info_of_open

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.client import Client

#: No round trip takes so long: where its time belongs.
_HERE = 1 << 62
_MARK = str(_HERE).encode()


class Requestors:
    """Describes clients to the engine."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def entering(self, client: "Client") -> None:
        """A client is about to be let in (``Clients.before_admission``): its very first request may tell who it is."""
        sharing = self._node.sharing
        if sharing is not None and client.account is not None and sharing.tells(client.account.name):
            self._describe(client)

    def telling_began(self, account: str) -> None:
        """Requests of this account tell who asks from now on: describe those who are here."""
        found = self._node.accounts.find(account)
        for client in members(self._node.clients, found) if found is not None else ():
            self._describe(client)

    def _describe(self, client: "Client") -> None:
        text = msgspec.json.encode(client_info(self._node, client, _HERE))
        front, _, back = text.partition(_MARK)
        self._node.engine.describe(client.link, front, back)


def client_info(node: "Node", client: "Client", rtt_ns: int) -> ClientInfo:
    """All that others may learn of a client that is in. Its account's name is told where it is not the account."""
    account, admission = client.account, client.admission
    assert account is not None, "only who was let in can ask"
    info = info_of_open(
        client,
        account,
        client.user,
        told_jwt(client),
        admission.issuer if admission is not None else "",
        admission.tags if admission is not None else (),
    )
    info.rtt = rtt_ns
    info.server = node.name
    info.cluster = node.cluster_name
    if info.name_tag == info.acc:
        info.name_tag = ""
    return info
