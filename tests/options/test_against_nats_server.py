"""The same configurations through ``nats-server -t`` and through ours: verdict, lines and digest.

``corpus/*.txt`` hold a configuration a line (``\\n`` is a new line). All lines that nats-server prints must be printed
by us and no others, in any order (its own is random), except

- lines that say ``not available yet``: they are ours alone, and make a file that nats-server accepts a refused one;
- what ``DIFFERENT`` lists, each with its reason.

The digest is compared for every file that nats-server accepts, and the tree itself by way of the digest.
"""

from pathlib import Path

import pytest

from gossamer.mesh.options.check import verdict
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.language import ConfigurationError, digest, parse_file, parse_text
from gossamer.mesh.options.loading import assess

CORPUS = Path(__file__).with_name("corpus")
ENVIRONMENT = {"HOME": "/home/user", "SIZE": "4k", "MAP": "{a: 1}"}

BETTER_PLACE = "ours names the place of the value itself"
NOT_COPIED = "a quirk that spec configuration section 12 says not to copy"
LATER = "what depends on a feature that is not there is not looked into: the block is refused anyhow"
NO_TOUCHING = "checking a file makes no directories; an unwritable one is found at start"
ARRAY_OF_NUMBERS = "[1] is a parse error there; we accept it and complain of the value's type"

DIFFERENT = {
    "default_js_domain: {a: 5}": BETTER_PLACE,
    "resolver: {type: full}": NO_TOUCHING,
    'resolver: {type: full, dir: "d", foo: 1}': "nats-server does not notice unknown keys there; we warn",
    'resolver: {type: full, dir: "d", interval: x}': BETTER_PLACE,
    'resolver: {type: full, dir: "d", timeout: x}': BETTER_PLACE,
    'resolver: {type: cache, dir: "d", ttl: x}': BETTER_PLACE,
    "accounts: 5": NOT_COPIED,
    'accounts: "x"': NOT_COPIED,
    "authorization {users: [{user: a, permissions: {pub: [{a: b}]}}]}": BETTER_PLACE,
    "accounts: {A: {nkey: 5}}": "the number is shown there as a character",
    "accounts: {A: {msg_trace: {dest: a, sampling: 500}}}": "their text has a slip of the pen",
    "cluster {authorization {auth_callout {}}}": "both faults are told",
    "cluster {permissions: 5}": BETTER_PLACE,
    'tls {cert_file: "x", key_file: "y"}': LATER,
    'tls {ca_file: "x"}': LATER,
    "tls {ocsp_peer: {foo: 1}}": "the place is printed twice there",
    "jetstream {limits {duplicate_window: 5}}": BETTER_PLACE,
    "jetstream {limits {duplicate_window: x}}": BETTER_PLACE,
    "jetstream {enabled: 5}": BETTER_PLACE,
    "mappings {a: {dest: b, weight: 60, cluster: 5}}": BETTER_PLACE,
}

#: nats-server goes through a map's keys in random order, and so finds the fault now at the one place, now at the other.
RANDOM_PLACE = ("Duplicate ", "User entry requires", "Nkey users do not take", "Can not have a ", "Missing weight")


def corpus(name):
    lines = (CORPUS / f"{name}.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("# ")]


@pytest.fixture
def both(reference, tmp_path, monkeypatch):
    """Exit code and set of lines of nats-server and of ours for one text."""

    def both(text):
        code, output = reference(text, ENVIRONMENT)
        monkeypatch.chdir(tmp_path)
        ours = verdict(assess(Flags(config="f.conf"), environment=ENVIRONMENT), "f.conf")
        return (code, _lines(output)), (ours.code, _lines(ours.stderr))

    return both


def _lines(text):
    lines = text.removeprefix("nats-server: ").splitlines()
    wanted = {line for line in lines if line and not line.startswith("hint: ") and "nil pointer" not in line}
    return {_without_place(line) for line in wanted}


def _without_place(line):
    place, separator, text = line.partition(": ")
    if separator and text.startswith(RANDOM_PLACE) and place.startswith("f.conf:"):
        return text.replace("a users array", "accounts")
    return line


@pytest.mark.parametrize("line", [line for name in ("top", "security", "blocks") for line in corpus(name)])
def test_one_line_configurations(both, line):
    theirs, ours = both(line.replace("\\n", "\n"))
    if line in DIFFERENT:
        assert theirs != ours, "this is the same by now: take it off the list"
        return
    if "Expected an array value terminator" in str(theirs) and theirs[0] == ours[0]:
        assert "5]" in line, ARRAY_OF_NUMBERS
        return
    waiting = {text for text in ours[1] if " is not available yet (" in text}
    if waiting and theirs[0] == 0:
        assert ours == (1, waiting)
        return
    assert (ours[0], ours[1] - waiting) == theirs


@pytest.mark.parametrize("line", corpus("language"))
def test_the_language(reference, line, tmp_path):
    """The value of M, compared by digest; a text that cannot be read, by the error.

    nats-server prints a digest only for a file it accepts. ``port: $M`` marks M as a variable, and a second port makes
    the file good again.
    """
    written = line.replace("\\n", "\n")
    text = f"M: {written}\nport: $M\nport: 4222\n"
    code, output = reference(text, ENVIRONMENT)
    try:
        ours = digest(parse_text(text, "f.conf", environment=ENVIRONMENT))
    except ConfigurationError as error:
        expected = (1, f"nats-server: {error}\n")
    else:
        expected = (0, f"nats-server: configuration file f.conf is valid ({ours})\n")
    assert (code, output) == expected


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.conf")), ids=lambda path: path.name)
def test_whole_files(reference, path, tmp_path, monkeypatch):
    """Files as they are used in production: the same digest, whether or not we can run them already."""
    for included in CORPUS.glob("*.inc"):
        (tmp_path / included.name).write_bytes(included.read_bytes())
    code, output = reference(path.read_bytes(), ENVIRONMENT)
    assert code == 0, output
    monkeypatch.chdir(tmp_path)
    assert digest(parse_file("f.conf", environment=ENVIRONMENT)) in output
    loaded = assess(Flags(config="f.conf"), environment=ENVIRONMENT)
    assert all(" is not available yet (" in fault.text for fault in loaded.faults)
    if path.stem.startswith("available"):
        assert not loaded.faults
