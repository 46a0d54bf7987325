"""INFO as it is said now: the current greeting, and the texts made from it that many clients share."""

from collections.abc import Sequence

import msgspec

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.greeting import Greeting, Placeholders, fill


class Welcome:
    """``change`` makes a new greeting; clients that are connected hear of it only if the caller announces it."""

    __slots__ = ("_frames", "greeting", "places")

    def __init__(self, greeting: Greeting, places: Placeholders) -> None:
        self.greeting = greeting
        self.places = places
        self._frames: dict[tuple[int, bool, str], tuple[bytes, bytes]] = {}

    def change(self, **fields: object) -> bool:
        """Replace fields of the greeting; False if they had these values already."""
        changed = msgspec.structs.replace(self.greeting, **fields)
        if changed == self.greeting:
            return False
        self.greeting = changed
        self._frames.clear()
        return True

    def template(self) -> Sequence[bytes | int]:
        """For the listener."""
        return self.greeting.template(self.places)

    def connected(self, client: Client) -> bytes:
        """The INFO after the first PONG: it names the account (spec client-protocol section 4.3)."""
        return fill(self._frame(client.max_payload, False, client.account), client.link, client.host)

    def later(self, client: Client, *, lame_duck: bool = False) -> bytes:
        """Any further INFO."""
        return fill(self._frame(client.max_payload, lame_duck, None), client.link, client.host)

    def _frame(self, max_payload: int, lame_duck: bool, account: Account | None) -> tuple[bytes, bytes]:
        key = (max_payload, lame_duck, account.name if account is not None else "")
        frame = self._frames.get(key)
        if frame is None:
            if len(self._frames) >= 10_000:  # limits and accounts come from outside
                self._frames.clear()
            frame = self._frames[key] = self.greeting.frame(
                max_payload=max_payload,
                lame_duck=lame_duck,
                account=account.name if account is not None else "",
                system=account.system if account is not None else False,
            )
        return frame
