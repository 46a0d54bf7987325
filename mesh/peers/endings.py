"""Why a client's connection was ended by us: the reason of each close that the engine decides by itself.

Who closes a client on purpose says why (``Clients.refuse``). For limits, deadlines and expiry the engine only knows the
kind of close; here it becomes a value that names the limit, or the claim and who signed it.
"""

from typing import TYPE_CHECKING

from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.mesh.engine.kinds import CloseReason

if TYPE_CHECKING:
    from gossamer.mesh.options.options import LimitOptions
    from gossamer.mesh.peers.client import Client

ACCOUNT_EXPIRED = b"Account Authentication Expired"

_SLOW = frozenset((CloseReason.SLOW_CONSUMER_PENDING_BYTES, CloseReason.SLOW_CONSUMER_WRITE_DEADLINE))


def reason_of_end(close: CloseReason, error: bytes, client: "Client", limits: "LimitOptions") -> Reason | None:
    """The reason behind a close that nobody ordered; None for an end that needs none (the client left, the server
    stops, the network broke) and for faults of the peer's protocol, which the close reason says as well."""
    match close:
        case CloseReason.AUTHENTICATION_EXPIRED:
            return _expiry(error, client)
        case CloseReason.AUTHENTICATION_TIMEOUT:
            return Reason(
                code=ReasonCode.AUTHENTICATION_TIMEOUT,
                text="no CONNECT that lets it in arrived in time",
                rule="authorization timeout",
            )
        case CloseReason.SLOW_CONSUMER_PENDING_BYTES:
            text = f"more than {limits.max_pending} bytes waited for it"
            return Reason(code=ReasonCode.SLOW_CONSUMER, text=text, rule=f"max_pending {limits.max_pending}")
        case CloseReason.SLOW_CONSUMER_WRITE_DEADLINE:
            text = f"it read nothing for {limits.write_deadline_ns / 1e9:g} s"
            return Reason(
                code=ReasonCode.SLOW_CONSUMER, text=text, rule=f"write_deadline {limits.write_deadline_ns / 1e9:g}s"
            )
        case CloseReason.STALE_CONNECTION:
            text = f"it left {limits.ping_max + 1} PINGs unanswered"
            return Reason(code=ReasonCode.STALE, text=text, rule=f"ping_max {limits.ping_max}")
        case CloseReason.MAX_PAYLOAD_EXCEEDED:
            text = f"it published more than {client.max_payload or limits.max_payload} bytes at once"
            return Reason(code=ReasonCode.LIMIT_EXCEEDED, text=text, rule=_payload_rule(client, limits))
        case CloseReason.MAX_CONTROL_LINE_EXCEEDED:
            text = f"it sent a protocol line of more than {limits.max_control_line} bytes"
            return Reason(code=ReasonCode.LIMIT_EXCEEDED, text=text, rule=f"max_control_line {limits.max_control_line}")
        case CloseReason.MAX_CONNECTIONS_EXCEEDED:
            text = f"the server is full with {limits.max_connections} clients"
            return Reason(code=ReasonCode.SERVER_FULL, text=text, rule=f"max_connections {limits.max_connections}")
        case _:
            return None


def _expiry(error: bytes, client: "Client") -> Reason:
    admission = client.admission
    signer = admission.issuer if admission is not None else ""
    if error == ACCOUNT_EXPIRED:
        at = f" {admission.account_expires_at}" if admission is not None and admission.account_expires_at else ""
        return Reason(code=ReasonCode.ACCOUNT_EXPIRED, text="the account expired", rule=f"exp{at} of the account")
    at = f" {admission.expires_at}" if admission is not None and admission.expires_at else ""
    return Reason(
        code=ReasonCode.USER_EXPIRED,
        text="the user's credentials, or the hours in which it may be here, have ended",
        rule=f"exp or times{at} of the user",
        signer=signer,
    )


def _payload_rule(client: "Client", limits: "LimitOptions") -> str:
    if client.max_payload and client.max_payload != limits.max_payload:
        return f"payload {client.max_payload} of its user or account"
    return f"max_payload {limits.max_payload}"
