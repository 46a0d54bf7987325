"""What is loaded when: a node must not wait for the command line's libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

import gossamer.operator.cli as cli
from gossamer.operator.testing import run

REPOSITORY = Path(__file__).resolve().parents[2]


def loaded_after(code: str, *names: str) -> set[str]:
    """Run code in a fresh interpreter; which of these modules has it loaded?"""
    paths = [path for path in sys.path if path]
    program = f"import sys; sys.path[:0] = {paths!r}\n{code}\nprint(*[n for n in {names!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


def test_the_dispatcher_loads_nothing() -> None:
    heavy = ("click", "rich", "aiohttp", "nats", "nacl", "msgspec", "asyncio", "jwt", "lark")
    assert loaded_after("import gossamer.operator.cli", *heavy) == set()


def test_help_loads_no_command() -> None:
    code = "from gossamer.operator.cli import main\nimport io, contextlib\n"
    code += "with contextlib.redirect_stdout(io.StringIO()): main(['--help'])"
    commands = ("gossamer.operator.commands.account", "gossamer.operator.tenants", "rich", "aiohttp", "nacl")
    assert loaded_after(code, "click", *commands) == {"click"}


def test_plain_answers_load_no_rich(home: Path) -> None:
    code = "from gossamer.operator.cli import main\nimport io, contextlib\n"
    code += "with contextlib.redirect_stdout(io.StringIO()): main(['init', 'DEMO']); main(['account', 'list'])"
    assert loaded_after(code, "rich", "aiohttp", "nats", "lark") == set()


@pytest.mark.parametrize("name", ["serve", "check", "up"])
def test_arguments_are_handed_on_raw(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    class Module:
        @staticmethod
        def take(arguments: list[str]) -> int:
            seen.append(arguments)
            return 17

    monkeypatch.setitem(cli.DIRECT, name, ("somewhere", "take"))
    monkeypatch.setattr(cli, "import_module", lambda _: Module)
    assert run(name, "-p", "-1", "--help", "-V", "--json").code == 17
    assert seen == [["-p", "-1", "--help", "-V", "--json"]]


def test_what_is_not_there_yet_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cli.DIRECT, "up", ("gossamer.operator.nowhere", "main"))
    answer = run("up", "single")
    assert answer.code == 1
    assert answer.err == "[ERR ] gossamer up is not available yet\n"


def test_operator_is_a_namespace() -> None:
    # With an __init__.py this folder would take the place of the standard library's module.
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    folders = [path for path in (REPOSITORY / "operator").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert all((path / "__init__.py").exists() for path in folders if list(path.glob("*.py")))
