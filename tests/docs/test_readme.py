"""What README.md says can be done, done: its blocks marked ``runs``, in their order and in one folder.

``<!-- runs -->`` stands before a block that must succeed, ``<!-- runs, exit code N -->`` before one that ends so, and
``<!-- runs with a server -->`` before one for which a server listens where it connects to; ``on FILE`` gives its
configuration, and its directory of accounts lasts from block to block.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from gossamer.mesh.testing.process import GossamerProcess

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
MADE_UP_URL = "nats://127.0.0.1:4222"


class Block(NamedTuple):
    """A fenced block and how it runs."""

    language: str
    text: str
    with_server: bool
    configuration: str  # file of that server, or empty
    exit_code: int
    expected: str  # the block without language right behind it: standard output


def blocks() -> list[Block]:
    pattern = (
        r"<!-- runs( with a server)?(?: on (\S+))?(?:, exit code (\d+))? -->\n"
        r"```(\w+)\n(.*?)```\n(?:\n```\n(.*?)```\n)?"
    )
    return [
        Block(language, text, bool(server), configuration, int(code or 0), expected)
        for server, configuration, code, language, text, expected in re.findall(pattern, README, re.DOTALL)
    ]


def run(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = ["bash", "-euc"] if block.language == "sh" else [sys.executable, "-W", "error", "-c"]
    return subprocess.run(
        [*program, block.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_marked_blocks_do_what_is_said(tmp_path: Path) -> None:
    programs, folder = tmp_path / "bin", tmp_path / "folder"
    programs.mkdir()
    folder.mkdir()
    command = programs / "gossamer"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gossamer.operator.cli "$@"\n')
    command.chmod(0o755)
    environment = GossamerProcess.environment() | {"HOME": str(folder), "PATH": f"{programs}{os.pathsep}{os.defpath}"}
    environment = {
        name: value for name, value in environment.items() if not name.startswith(("NSC_", "NKEYS_", "XDG_"))
    }
    found = blocks()
    assert len(found) >= 20
    assert len(found) == README.count("<!-- runs"), "a mark that no block follows"
    for block in found:
        if block.with_server:
            assert MADE_UP_URL in block.text
            config = (folder / block.configuration).read_text() if block.configuration else ""
            with GossamerProcess(tmp_path, config=config.replace("'./jwt'", f"'{folder}/jwt'")) as server:
                done = run(block._replace(text=block.text.replace(MADE_UP_URL, server.url)), folder, environment)
            for said in re.findall(r"print\(.*# (.*)", block.text):
                assert done.stdout.strip() == said, done.stderr
        else:
            done = run(block, folder, environment)
        assert done.returncode == block.exit_code, f"{block.text}\n{done.stdout}\n{done.stderr}"
        if block.expected:
            assert done.stdout == block.expected


def test_every_file_that_is_linked_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    for page in ("README.md", "CHANGELOG.md", "docs/compatibility.md"):
        here = root / page
        for target in re.findall(r"\]\(([^)#]+)\)", here.read_text()):
            assert (here.parent / target).exists(), f"{page}: {target}"


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", README, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
