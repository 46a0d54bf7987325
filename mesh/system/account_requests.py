"""Requests about one account: ``$SYS.REQ.ACCOUNT.<account>.<X>`` (section 6.2), and STATZ of all of them.

Asked from the system account, or by an ordinary account about itself through its automatic imports (section 7): then
the importing side has put the account's name into the subject, and the answer goes back the way the request came.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor import accountz, accstatz, connz, leafz, subsz
from gossamer.mesh.monitor.parameters import BadParameter
from gossamer.mesh.system.request_body import Body, connz_options, statz_options, subsz_options
from gossamer.mesh.system.requests import respond
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node

#: Makes the ``data`` of an answer about an account; None: silence.
AccountDocument = Callable[[str, Body], Any]


class AccountRequests:
    """``start`` subscribes."""

    def __init__(self, node: "Node", voice: Voice) -> None:
        self._node = node
        self._voice = voice
        self._documents: dict[str, AccountDocument] = {
            "CONNZ": lambda account, body: connz.connz(node, connz_options(body, account)),
            "SUBSZ": lambda account, body: subsz.subsz(node, subsz_options(body, account)),
            "LEAFZ": lambda account, body: leafz.from_body(node, body, account),
            "JSZ": _jsz,
            "INFO": lambda account, body: accountz.account_detail(node, account),
            "STATZ": self._statz,
        }

    def start(self) -> None:
        number, subscribe = self._voice.account.number, self._node.subscribe
        for name, document in self._documents.items():
            subscribe(number, f"$SYS.REQ.ACCOUNT.*.{name}".encode(), self._handler(document))
        subscribe(
            number,
            b"$SYS.REQ.ACCOUNT.PING.STATZ",
            lambda request: respond(self._node, self._voice, request, self._statz_of_all),
        )

    def _handler(self, document: AccountDocument) -> "Callable[[Message], None]":
        def answer(request: "Message") -> None:
            account = request.subject.split(b".")[3].decode("utf-8", "replace")
            respond(self._node, self._voice, request, lambda body: document(account, body))

        return answer

    def _statz(self, account: str, body: Body) -> dict[str, Any] | None:
        _, unused = statz_options(body)
        if self._node.accounts.find(account) is None:
            return None
        found = accstatz.accstatz(self._node, accounts=(account,), unused=unused)
        return found if found["account_statz"] else None

    def _statz_of_all(self, body: Body) -> dict[str, Any] | None:
        accounts, unused = statz_options(body)
        found = accstatz.accstatz(self._node, accounts=accounts, unused=unused)
        return found if found["account_statz"] else None


def _jsz(account: str, body: Body) -> Any:
    raise BadParameter("jetstream not enabled")
