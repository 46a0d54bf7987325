"""Security 51: the recorded faulty configurations, all of them, refused with nats-server's words."""

import json
import re
from pathlib import Path

import pytest

from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess

VECTORS = json.loads((Path(__file__).parents[1] / "auth" / "vectors" / "config_errors.json").read_text())

#: What our check says instead, or nothing where only the start finds the fault.
OTHERWISE = {
    # nats-server fails later, when it fetches an account from the address "/accounts/".
    "operator without resolver": "operators require an account resolver to be configured",
    # With nats-server's words at start: accounts/test_resolvers.py::test_the_system_account_must_be_preloaded.
    "system account not in resolver": None,
}


def bare(line: str) -> str:
    return re.sub(r"^FILE:\d+:\d+: ", "", line.removeprefix("nats-server: "))


def test_all_of_them() -> None:
    assert len(VECTORS) == 45


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["title"])
def test_the_same_words(case: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text(str(case["config"]))
    outcome = assess(Flags(config="FILE"), environment={})
    message = case["message"]
    assert isinstance(message, list)
    expected = OTHERWISE.get(str(case["title"]), bare(message[0]))
    if expected is None:
        assert outcome.text == ""
    else:
        assert any(expected in line for line in outcome.text.splitlines()), outcome.text
