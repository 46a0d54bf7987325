"""Older releases: what their INFO and CONNECT do not say, and what they do not understand of others'.

A node of an older release is ours with a filter at each server link, both ways, that takes out the members its age did
not know: so it negotiates, and is treated by newer ones, as a node of that age. None of them compresses, since what is
compressed cannot be filtered.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

_COMPRESSION: Final = frozenset({"compression", "compress_mode"})
_LATER: Final = frozenset({"ln"})
_SINCE_2_12: Final = _LATER | {"isolate", "acc_is_sys", "api_lvl"}
_SINCE_2_11: Final = _SINCE_2_12 | {"gossip_mode", "protocol", "proto"}
_SINCE_2_10: Final = _SINCE_2_11 | {
    *("route_pool_size", "route_pool_idx", "route_account", "route_acc_add_reqid"),
    *("lnoc", "lnocu", "gateway_iom"),
}


class Release(Struct, frozen=True):
    """``unsaid``: members of INFO and CONNECT that it does not know."""

    name: str
    unsaid: frozenset[str] = frozenset()

    @property
    def pooled(self) -> bool:
        return "route_pool_size" not in self.unsaid


#: As this repository is.
NEWEST: Final = Release("newest")
#: No origin ``_``, no isolation.
V2_11: Final = Release("2.11", _SINCE_2_12 | _COMPRESSION)
#: No modes of gossip. (2.10.23 and later, with the origin in LS-: before that, leafs of several origins that want the
#: same subject are taken for one by the protocol itself.)
V2_10: Final = Release("2.10", _SINCE_2_11 | _COMPRESSION)
#: One connection for all accounts, leaf interest as any other, no interest-only gateways.
V2_8: Final = Release("2.8", _SINCE_2_10 | _COMPRESSION)
OLDER: Final = (V2_11, V2_10, V2_8)

_WITH_PAYLOAD: Final = frozenset({b"RMSG", b"HMSG", b"LMSG"})


class Filter:
    """One direction of one link: takes the bytes as they come, and gives them on in whole lines and payloads."""

    def __init__(self, unsaid: frozenset[str], give: Callable[[bytes, bool], None]) -> None:
        self._unsaid = unsaid
        self._give = give
        self._rest = b""
        self._payload = 0  # bytes that are not lines

    def take(self, data: bytes, last: bool) -> None:
        """``last``: the connection ends, what is incomplete goes on as it is."""
        out = []
        data = self._rest + data
        at = 0
        while at < len(data):
            if self._payload:
                piece = data[at : at + self._payload]
                self._payload -= len(piece)
                at += len(piece)
                out.append(piece)
                continue
            stop = data.find(b"\r\n", at)
            if stop < 0:
                break
            line = data[at : stop + 2]
            at = stop + 2
            verb = line[:4]
            if verb in _WITH_PAYLOAD:
                self._payload = int(line.split()[-1]) + 2
            elif verb == b"INFO" or line.startswith(b"CONNECT "):
                line = self._without(line)
            out.append(line)
        self._rest = data[at:]
        if last:
            out.append(self._rest)
            self._rest = b""
        if out or last:
            self._give(b"".join(out), last)

    def _without(self, line: bytes) -> bytes:
        verb, _, text = line.partition(b" ")
        try:
            members = msgspec.json.decode(text, type=dict[str, object])
        except msgspec.MsgspecError:
            return line
        kept = {key: value for key, value in members.items() if key not in self._unsaid}
        return verb + b" " + msgspec.json.encode(kept) + b"\r\n"
