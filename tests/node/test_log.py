"""Log lines, levels, rotation, redaction."""

import re
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.logs.file import LogFile
from gossamer.mesh.logs.log import Log
from gossamer.mesh.logs.redaction import redact_line, redact_url
from gossamer.mesh.world import SystemDisk


class Kept:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    def reopen(self) -> None: ...

    def close(self) -> None: ...


def test_the_format(desk: Any) -> None:
    kept = Kept()
    log = Log(desk.clock, kept, pid=7, utc=True)
    desk.clock.wall = 1_700_000_000_123_456_789
    log.info("text")
    desk.clock.wall += 1_000
    log.error("again")
    assert kept.lines == [
        b"[7] 2023/11/14 22:13:20.123456 [INF] text\n",
        b"[7] 2023/11/14 22:13:20.123457 [ERR] again\n",
    ]


def test_levels_and_stamps(desk: Any) -> None:
    kept = Kept()
    log = Log(desk.clock, kept, pid=7, stamps=False)
    log.debug("no")
    log.trace("no")
    log.configure(debugging=True, tracing=True, stamps=False, utc=False)
    log.debug("yes")
    log.trace("yes")
    log.warning("w")
    log.fatal("f")
    assert kept.lines == [b"[7] [DBG] yes\n", b"[7] [TRC] yes\n", b"[7] [WRN] w\n", b"[7] [FTL] f\n"]


def test_an_event_is_one_line(desk: Any) -> None:
    kept = Kept()
    Log(desk.clock, kept, stamps=False).info("name \n[FTL] faked \x1b[2J é")
    assert kept.lines == ["[INF] name \\x0a[FTL] faked \\x1b[2J é\n".encode()]


def test_rotation_keeps_so_many_files(tmp_path: Path, desk: Any) -> None:
    path = tmp_path / "a.log"
    (tmp_path / "a.log.other").write_text("not ours")
    file = LogFile(SystemDisk(), desk.clock, str(path), limit_bytes=30, keep=3)
    for number in range(10):
        desk.clock.advance(1)
        file.write(b"line %d of some length\n" % number)
    file.close()
    rotated = sorted(entry.name for entry in tmp_path.glob("a.log.*") if entry.name != "a.log.other")
    assert len(rotated) == 2
    assert all(re.fullmatch(r"a\.log\.\d{4}(\.\d\d){5}\.\d{9}", name) for name in rotated)
    assert path.read_text() == "line 9 of some length\n"
    assert (tmp_path / rotated[1]).read_text() == "line 8 of some length\n"
    assert (tmp_path / "a.log.other").exists()


def test_a_lost_file_costs_lines_not_the_server(tmp_path: Path, desk: Any) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    file = LogFile(SystemDisk(), desk.clock, str(folder / "a.log"))
    (folder / "a.log").unlink()
    folder.rmdir()
    file.reopen()
    file.write(b"lost\n")
    assert file.lost_lines == 2


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'CONNECT {"user":"u","pass":"geheim"}\r\n', 'CONNECT {"user":"u","pass":"[REDACTED]"}'),
        (b'connect {"auth_token" : "geh\\"eim", "name":"n"}', 'connect {"auth_token" : "[REDACTED]", "name":"n"}'),
        (b'CONNECT {"PASSWORD":"geheim', 'CONNECT {"PASSWORD":"[REDACTED]"'),
        (b'CONNECT {"jwt":"geheim","sig":"geheim"}', 'CONNECT {"jwt":"[REDACTED]","sig":"[REDACTED]"}'),
        (b"PUB pass 5\r\n", "PUB pass 5"),
    ],
)
def test_redaction(line: bytes, expected: str) -> None:
    assert redact_line(line) == expected


def test_urls_lose_their_password() -> None:
    assert redact_url("nats-route://u:geheim@h:6222") == "nats-route://u:[REDACTED]@h:6222"
    assert redact_url("nats-route://h:6222") == "nats-route://h:6222"
