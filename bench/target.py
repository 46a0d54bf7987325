"""The servers of one kind that run one case, started in its topology."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cases import Case, Crossing
from relay import Relay
from servers import Server, free_port
from sharing import SETTINGS, Setting
from trust import Trust, connect_line


@dataclass
class Target:
    """Servers of one kind that run one case: one node or a mesh, open or with a trust chain."""

    label: str
    kind: str
    secured: bool
    crossing: Crossing | None = None
    servers: list[Server] = field(default_factory=list)
    trust: Trust | None = None
    relay: Relay | None = None

    @property
    def pids(self) -> list[int]:
        """All its server processes."""
        return [server.pid for server in self.servers]

    @property
    def all_pids(self) -> list[int]:
        """All its processes: what is between the servers included."""
        return self.pids + ([self.relay.pid] if self.relay is not None else [])

    @property
    def setting(self) -> Setting | None:
        """What it is configured with in a case about sharing."""
        return None if self.crossing is None else SETTINGS[self.crossing]

    def hello(self, *, publisher: bool) -> bytes:
        """The CONNECT line of one side."""
        return connect_line(self.setting.identity(publisher) if self.setting is not None else None)

    @property
    def alive(self) -> bool:
        """It was started and no process has ended."""
        return bool(self.servers) and all(server.alive for server in self.servers)

    def start(self, case: Case) -> None:
        """Start what the case needs. Raises ServerError."""
        common = ""
        if self.secured:
            self.trust = Trust()
            common = self.trust.configuration
        elif self.setting is not None:
            common = self.setting.configuration
        relay_port = free_port() if case.topology.relayed else None
        texts, dialled = case.topology.lay_out(relay_port)
        if relay_port is not None:
            self.relay = Relay(relay_port, dialled)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for number, text in enumerate(texts):
                flags: list[str] = []
                if common or text:
                    path = Path(folder) / f"server{number}.conf"
                    path.write_text(common + text)
                    flags = ["-c", str(path)]
                self.servers.append(Server(self.kind, *flags))

    def stop(self) -> None:
        """End its processes."""
        for server in self.servers:
            server.ask_to_end()
        for server in self.servers:
            server.stop()
        self.servers = []
        if self.relay is not None:
            self.relay.stop()
            self.relay = None
