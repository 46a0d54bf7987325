"""Exports, imports and mappings in a configuration: the same words from ``nats-server -t`` and from ours, and the
vectors of the specification (auth item 51)."""

import json
import re
from pathlib import Path

import pytest

from gossamer.auth.sharing.from_settings import of_settings
from gossamer.auth.sharing.values import (
    CHUNKED,
    SERVICE,
    SINGLETON,
    STREAM,
    STREAMED,
    Export,
    Import,
    Latency,
    Mapping,
    Target,
)
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess
from gossamer.mesh.testing.process import NatsServerProcess

VECTORS = json.loads((Path(__file__).parents[1] / "auth" / "vectors" / "config_errors.json").read_text())
SHARING = re.compile(r"export|import|mapping|latency|Stream import|response directive|account not defined")


def told(text, tmp_path, monkeypatch, name="f.conf"):
    """What our option layer says of a text, a line each."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    return assess(Flags(config=name), environment={}).text.splitlines()


def without_place(line):
    return re.sub(r"^(f\.conf|FILE):\d+:\d+: ", "", line)


IN_RANGE = [case for case in VECTORS if any(SHARING.search(line) for line in case["message"])]


def test_the_range():
    assert len(IN_RANGE) >= 15


@pytest.mark.parametrize("case", IN_RANGE, ids=lambda case: case["title"])
def test_vectors(case, tmp_path, monkeypatch):
    first = without_place(case["message"][0].removeprefix("nats-server: "))
    assert without_place(told(case["config"], tmp_path, monkeypatch, "FILE")[0]) == first


# --- beside nats-server -----------------------------------------------------------------------------------------------

RENAMED = [
    ("a.*", "x.$1"), ("a.*", "x.*"), ("a.*", "x"), ("a.*.*", "x.$2.$1"), ("a.*.*", "x.*.*"), ("a.*.*", "x.$2.*"),
    ("a.*.*", "x.*.$2"), ("a.*", "x.$2"), ("a.*", "x.{{wildcard(1)}}"), ("a.*", "x.{{partition(2,1)}}"),
    ("a.*", "x.{{foo(1)}}"), ("a.*", "x.>"), ("a.>", "x.>"), ("a.>", "x"), ("a", "x.$1"), ("a", "x.*"), ("a", "x.>"),
    ("a.*.>", "x.$1.>"), ("a.*.>", "x.>"), ("a", ""), ("a.*", "x.$1.{{random(2)}}"),
]  # fmt: skip
ALIKE = [
    f"accounts {{ A {{ exports: [{{{kind}: \">\"}}] }}, B {{ imports: [{{{kind}: {{account: A, "
    f"subject: {json.dumps(subject)}}}, to: {json.dumps(local)}}}] }} }}"
    for kind in (SERVICE, STREAM)
    for subject, local in RENAMED
] + [
    f"accounts {{ A {{ exports: {exports} }}, B {{ imports: {imports} }}, C {{}} }}"
    for exports, imports in [
        ('[{stream: a}]', '[{stream: {account: A, subject: a}, prefix: "x."}]'),
        ('[{stream: a}]', '[{service: {account: A, subject: a}, prefix: x}]'),
        ('[{service: b}]', '[{service: {account: A, subject: b}, prefix: x, to: y}]'),
        ('[{stream: a}, {service: b}]', '[{service: {account: A, subject: a}}, {stream: {account: A, subject: b}}]'),
        ('[{service: "a.*", accounts: [C]}]', '[{service: {account: A, subject: "a.x"}}]'),
        ('[{service: "a.*", accounts: [B]}]', '[{service: {account: A, subject: "a.x"}}]'),
        ('[{service: "a.*", accounts: []}]', '[{service: {account: A, subject: "a.x"}}]'),
        ('[{service: "a.*", account_token_position: 2}]', '[{service: {account: A, subject: "a.B"}}]'),
        ('[{service: "a.*", account_token_position: 2}]', '[{service: {account: A, subject: "a.C"}}]'),
        ('[{service: "a.*", account_token_position: 2, accounts: [C]}]', '[{service: {account: A, subject: "a.B"}}]'),
        ('[{stream: "a.*", account_token_position: 2}]', '[{stream: {account: A, subject: "a.B"}}]'),
        ('[{service: "a.*"}]', '[{service: {account: A, subject: "a.b"}}, {service: {account: A, subject: "a.*"}}]'),
        ('[{service: "a.*"}]', '[{service: {account: A, subject: "a.b"}, to: "x.*"}]'),
        ('[{stream: "a.*"}]', '[{stream: {account: A, subject: "a.b"}}, {stream: {account: A, subject: "a.*"}}]'),
        ('[{service: a}]', '[{service: {account: A, subject: "a..b"}}]'),
        ('[{service: a}]', '[{service: {account: Z, subject: a}}]'),
        ('[{service: a}]', '[{service: {account: A, subject: a}, to: "$SYS.x"}]'),
        ('[{service: "a.*", account_token_position: 3}]', "[]"),
        ('[{stream: "a.*", account_token_position: 1}]', "[]"),
        ('[{service: "a.*", latency: "x.*"}]', "[]"),
        ('[{service: "a.*", latency: "a.b"}]', "[]"),
        ('[{service: "a.*", latency: "x..y"}]', "[]"),
        ('[{service: "a.*", latency: x, response: chunked}]', "[]"),
        ('[{service: "a.*", latency: {sampling: headers, subject: x}}]', "[]"),
        ('[{service: "a.*", latency: {sampling: 0, subject: x}}]', "[]"),
        ('[{service: "a.*"}, {service: "a.*"}]', "[]"),
        ('[{stream: a, accounts: [Z]}]', "[]"),
    ]
] + [
    "accounts { A { mappings: {a: [{dest: b, weight: 50, cluster: c}, {dest: b, weight: 50}] } } }",
    "accounts { A { mappings: {a: [{dest: b, weight: 60, cluster: c}, {dest: d, weight: 60}] } } }",
    'accounts { A { mappings: {a: [{dest: "b.$1", weight: 60}] } } }',
    'mappings: {"a.>": [{dest: b, weight: 60}]}',
    'mappings: {"a.>": [{dest: "b.>", weight: 0%}]}',
    "mappings: {a: [{dest: b, weight: 101}]}",
    'mappings: {"a.*": "b.{{split(1)}}"}',
]  # fmt: skip
#: nats-server 2.15.1 takes this in about one of five runs: it goes over accounts in whatever order its map has then.
NOW_AND_THEN = "no_system_account: true\naccounts { A { exports: [{service: a, latency: x}] } }"
#: What we refuse and nats-server takes, each with its reason.
STRICTER = {
    'accounts {A {exports: [{service: ">"}]}, B {imports: [{service: {account: A, subject: "*.*"}, to: "x.$1.*"}]}}':
        "one wildcard twice, another never: requests arrive at a subject nobody meant",
    'accounts { A { exports: [{stream: a}] }, B { imports: [{stream: {account: A, subject: a}, to: "x..y"}] } }':
        "no subscription can ever match it",
    "accounts { A { exports: [{service: a}], imports: [{service: {account: A, subject: a}}] } }":
        "an account that imports a subject from itself",
    'mappings: {a: ""}': "the message would be lost",
    'mappings: {"a.*": "b.$0"}': "there is no wildcard 0",
}  # fmt: skip


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """``theirs(text)``: what nats-server says of a configuration, a line each."""
    if NatsServerProcess.missing() is not None:
        pytest.skip(NatsServerProcess.missing())

    def run(text):
        monkeypatch.chdir(tmp_path)
        Path("f.conf").write_text(text)
        done = NatsServerProcess.run("-t", "-c", "f.conf", folder=tmp_path)
        lines = (done.stdout + done.stderr).strip().removeprefix("nats-server: ").splitlines()
        return [] if done.returncode == 0 else lines

    return run


@pytest.mark.parametrize("text", ALIKE)
def test_the_same_words(text, theirs, tmp_path, monkeypatch):
    assert sorted(told(text, tmp_path, monkeypatch)) == sorted(theirs(text))


def test_the_words_that_nats_server_mostly_has(theirs, tmp_path, monkeypatch):
    words = next(filter(None, (theirs(NOW_AND_THEN) for _ in range(40))))
    assert told(NOW_AND_THEN, tmp_path, monkeypatch) == words


@pytest.mark.parametrize("text", STRICTER, ids=list(STRICTER.values()))
def test_refused_here_only(text, theirs, tmp_path, monkeypatch):
    assert theirs(text) == []
    assert len(told(text, tmp_path, monkeypatch)) == 1


# --- values -----------------------------------------------------------------------------------------------------------

WHOLE = """accounts {
  A { exports: [
    { service: "q.*", accounts: [B], response: stream, threshold: "5s" }
    { service: timed, latency: { sampling: 50%, subject: lat } }
    { service: asked, response_type: chunk, account_token_position: 0 }
    { stream: "ev.>" }
  ] }
  B { imports: [
    { service: { account: A, subject: "q.*" }, to: "ask.*", share: true }
    { stream: { account: A, subject: "ev.>" }, prefix: in }
    { stream: { account: A, subject: "ev.x" } }
  ]
  mappings { a: b, c: [ { destination: d, weight: 30% }, { dest: e, weight: 70, cluster: east } ] } }
}
mappings { g: h }
"""


def test_the_values_of_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("f.conf").write_text(WHOLE)
    loaded = assess(Flags(config="f.conf"), environment={})
    assert not loaded.faults
    first, second, everywhere = of_settings(loaded.options.authorization)
    assert [each.account for each in (first, second, everywhere)] == ["A", "B", "$G"]
    exports = [
        Export(**{**{f: getattr(each, f) for f in each.__struct_fields__}, "place": ""}) for each in first.exports
    ]
    assert exports == [
        Export(kind=SERVICE, subject="q.*", accounts=("B",), response=STREAMED, threshold_ns=5_000_000_000),
        Export(kind=SERVICE, subject="timed", response=SINGLETON, latency=Latency(subject="lat", sampling=50)),
        Export(kind=SERVICE, subject="asked", response=CHUNKED),
        Export(kind=STREAM, subject="ev.>"),
    ]
    assert first.exports[0].place.startswith("f.conf:3:")
    imports = [
        Import(**{**{f: getattr(each, f) for f in each.__struct_fields__}, "place": ""}) for each in second.imports
    ]
    assert imports == [
        Import(kind=SERVICE, exporter="A", subject="q.*", local="ask.*", share=True),
        Import(kind=STREAM, exporter="A", subject="ev.>", local="in.ev.>"),
        Import(kind=STREAM, exporter="A", subject="ev.x", local="ev.x"),
    ]
    assert [(each.source, each.targets) for each in second.mappings] == [
        ("a", (Target(subject="b"),)),
        ("c", (Target(subject="d", weight=30), Target(subject="e", weight=70, cluster="east"))),
    ]
    assert [each.source for each in everywhere.mappings] == ["g"]
    assert isinstance(everywhere.mappings[0], Mapping)
