"""One client as the control plane knows it.

There may be a hundred thousand of them: a record is small, its texts are shared, and counters stay in the engine.
"""

from typing import TYPE_CHECKING

from msgspec import Struct

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.life.listening import join_address
from gossamer.mesh.peers.compiled import CompiledPermissions

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Attempt


class Client(Struct, gc=False, eq=False):
    """Made when the connection exists; ``account`` is set while it is admitted.

    ``start_ns`` is time of day. ``attempt`` is kept only where a reload could judge the client again. ``max_payload``
    is what the client was told; ``named``: it said who it is, needed or not. The collector does not track records:
    none may come to point at itself.
    """

    link: int
    host: str
    port: int
    start_ns: int
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0
    named: bool = False
    max_payload: int = 0
    account: Account | None = None
    permissions: CompiledPermissions | None = None
    admission: "Admission | None" = None
    attempt: "Attempt | None" = None

    @property
    def user(self) -> str:
        """Who it is, as monitoring and logs may show it; empty on an open server."""
        return self.admission.user if self.admission is not None else ""

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
