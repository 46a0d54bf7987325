"""docs/compatibility.md is whole: every item of the checklists once, no verdict without its test or reason."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGE = (ROOT / "docs" / "compatibility.md").read_text()

#: Heading and number of items of the specification's checklist.
LISTS = {
    "Client protocol": 78,
    "Configuration": 68,
    "Routes": 60,
    "Gateways": 60,
    "Leaf nodes": 60,
    "Security": 80,
    "Operator command line": 65,
}
#: Area of the list of features and its number of rows.
FEATURES = {
    **{"CP": 22, "SU": 8, "AU": 13, "JW": 16, "AC": 10, "RT": 12, "GW": 8, "LN": 15},
    **{"MO": 17, "CF": 11, "CT": 11, "DP": 7},
}

_REFERENCE = re.compile(r"`((?:\w+/)+test_\w+\.py)::((?:Test\w+::)?test_\w+)`")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under ``## heading``."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if re.match(r"\| \d", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests in a file, with their class."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
    return frozenset(names)


@pytest.mark.parametrize("heading", LISTS)
def test_every_item_is_there_once(heading: str) -> None:
    assert [int(row[0]) for row in rows(heading)] == list(range(1, LISTS[heading] + 1))


@pytest.mark.parametrize("heading", LISTS)
def test_every_verdict_has_what_it_needs(heading: str) -> None:
    for item, verdict, about, rest in rows(heading):
        place = f"{heading} {item}"
        assert about, place
        if verdict == "same":
            assert _REFERENCE.search(rest), f"{place}: no test is named"
        elif verdict == "different":
            assert len(_REFERENCE.sub("", rest)) > 20, f"{place}: no reason is given"
        else:
            assert verdict == "later", f"{place}: {verdict}"
            assert rest.startswith("waits for: "), place


def test_every_test_that_is_named_is_there() -> None:
    found = _REFERENCE.findall(PAGE)
    assert len(found) > 650
    missing = [f"{path}::{name}" for path, name in found if name not in names_in(TESTS / path)]
    assert missing == []
    assert PAGE.count("::") == sum(f"{path}::{name}".count("::") for path, name in found), "a reference is misspelt"


def test_every_feature_is_there_once() -> None:
    found = re.findall(r"^\| ([A-Z]{2})-(\d\d) \| (\w+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(area, int(number)) for area, number, _, _ in found] == [
        (area, number) for area, size in FEATURES.items() for number in range(1, size + 1)
    ]
    assert {verdict for _, _, verdict, _ in found} == {"works", "partly", "later"}
