"""One client as the control plane knows it.

There may be a hundred thousand of them: a record is small, its texts are shared, and counters stay in the engine.
"""

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.peers.compiled import CompiledPermissions
from gossamer.mesh.peers.connect import Connect
from gossamer.mesh.world.listening import join_address

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Attempt

HIDDEN = "[REDACTED]"
_BROUGHT = ("user", "password", "auth_token", "jwt", "nkey", "sig", "proxy_sig", "account", "new_account")


class Client(Struct, gc=False, eq=False):
    """Made when the connection exists; ``account`` is set while it is admitted.

    ``start_ns`` is time of day. ``attempt`` is what it brought for authentication, needed or not, so that a reload can
    judge it again. ``max_payload`` is what the client was told, ``switches`` are bits of ``connect``. The collector
    does not track records: none may come to point at itself.
    """

    link: int
    host: str
    port: int
    start_ns: int
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0
    switches: int = 0
    max_payload: int = 0
    account: Account | None = None
    permissions: CompiledPermissions | None = None
    admission: "Admission | None" = None
    attempt: "Attempt | None" = None

    @property
    def named(self) -> bool:
        """Did it say who it is?"""
        return self.attempt is not None and bool(self.attempt.connect.user or self.attempt.connect.nkey)

    def remember(self, connect: Connect) -> None:
        """Keep what a later CONNECT may leave out."""
        self.protocol = connect.protocol
        self.switches = (
            connect.verbose
            | connect.pedantic << 1
            | connect.echo << 2
            | connect.headers << 3
            | connect.no_responders << 4
        )

    @property
    def connect(self) -> Connect:
        """What CONNECT said, as far as it is kept."""
        said = Connect(
            verbose=bool(self.switches & 1),
            pedantic=bool(self.switches & 2),
            echo=bool(self.switches & 4),
            headers=bool(self.switches & 8),
            no_responders=bool(self.switches & 16),
            name=self.name,
            lang=self.lang,
            version=self.version,
            protocol=self.protocol,
        )
        if self.attempt is None:
            return said
        brought = self.attempt.connect
        return msgspec.structs.replace(said, **{name: getattr(brought, name) for name in _BROUGHT})

    @property
    def user(self) -> str:
        """Who it is, as monitoring and logs may show it; empty on an open server."""
        return self.admission.user if self.admission is not None else ""

    @property
    def claimed_user(self) -> str:
        """The same for a client that was not let in: who it said it was, never a secret."""
        if self.attempt is None:
            return ""
        brought = self.attempt.connect
        return brought.nkey or brought.user or (HIDDEN if brought.auth_token else "")

    @property
    def label(self) -> str:
        """How log lines begin that are about this client (spec client-protocol section 26.2)."""
        text = f"{join_address(self.host, self.port)} - cid:{self.link}"
        if self.version or self.lang or self.name:
            told = ":".join(part for part in (f"v{self.version}" if self.version else "", self.lang, self.name) if part)
            text += f' - "{told}"'
        if self.account is not None and self.user:
            text += f' - "{self.account.name}/user:{self.user}"'
        return text
