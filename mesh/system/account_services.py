"""What every ordinary account may ask the system about itself (spec auth 23.4, system-and-monitoring 7).

An import into each account leads from the asked subject to one of the system account that names the asking account;
the node's own subscriptions answer there. An import is no interest, so ten thousand accounts announce nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gossamer.auth.sharing.values import SINGLETON, STREAMED
from gossamer.mesh.accounts.automatic import SERVICES, USER_INFO, USER_INFO_OF
from gossamer.mesh.engine.kinds import Part, Response
from gossamer.mesh.system.user_info import user_info
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.core import Program
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node

_RESPONSES = {SINGLETON: Response.SINGLETON, STREAMED: Response.STREAM}


class AccountServices:
    """``start`` serves all accounts there are and those to come."""

    def __init__(self, node: "Node", voice: Voice) -> None:
        self._node = node
        self._voice = voice
        self._imports: dict[int, tuple[int, ...]] = {}  # account number -> its imports

    def start(self) -> None:
        node, system = self._node, self._voice.account
        node.subscribe(system.number, USER_INFO.encode(), self._asked_user_info)
        node.subscribe(system.number, USER_INFO_OF.encode(), self._asked_user_info)
        for account in node.accounts:
            self.serve(account)
        node.accounts.made = self.serve
        node.accounts.gone = self.forget

    def serve(self, account: "Account") -> None:
        """One more account may ask."""
        system = self._voice.account
        if account is system:
            return
        self._imports[account.number] = tuple(
            self._node.engine.service_import(
                account.number,
                local=local.encode(),
                exporter=system.number,
                program=_literal(target.format(account.name)),
                response=_RESPONSES[response],
                share=share,
            )
            for local, target, response, share in SERVICES
        )

    def forget(self, account: "Account") -> None:
        """It ends: nothing of ours may hold it."""
        for number in self._imports.pop(account.number, ()):
            self._node.engine.remove_import(number)

    def _asked_user_info(self, request: "Message") -> None:
        """Every node hears the question; the one with the client answers."""
        client = self._node.clients.find(request.link)
        if client is not None and client.account is not None:
            self._voice.answer_data(request, user_info(client, self._node.world.clock.wall_ns()))


def _literal(subject: str) -> "Program":
    return [(Part.LITERAL, token.encode(), _NO_NUMBERS) for token in subject.split(".")]


_NO_NUMBERS: Sequence[int] = ()
