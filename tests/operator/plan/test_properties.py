"""Random desired states: what is applied is what was declared, a second plan is empty, and the spec says it again."""

import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.operator.plan.applying import Applying
from gossamer.operator.plan.exporting import export_spec
from gossamer.operator.plan.planning import Planner
from gossamer.operator.plan.reading import read_text
from gossamer.operator.plan.summary import Plan, summarized
from gossamer.operator.plan.toml import document
from gossamer.operator.store.workspace import Workspace

NOW = 1_900_000_000
NAMES = ("A", "b c", "ü.x")

tokens = st.sampled_from(["a", "b", "c"])
patterns = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).map(".".join)
wide = st.one_of(patterns, patterns.map(lambda text: f"{text}.>"))
lists = st.lists(wide, max_size=3, unique=True)
tags = st.lists(st.sampled_from(["x:1", "y:2", "z"]), max_size=2, unique=True)
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)


def said(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in (None, "", [], {}, False)}


@st.composite
def permissions(draw: st.DrawFn) -> dict[str, Any]:
    return said(
        pub=draw(st.one_of(lists, st.builds(lambda allow, deny: said(allow=allow, deny=deny), lists, lists))),
        sub=draw(st.one_of(lists, st.builds(lambda deny: said(deny=deny), lists))),
        responses=draw(st.sampled_from([None, True, {"max": 3, "ttl": "5s"}, {"max": 0}])),
    )


@st.composite
def grants(draw: st.DrawFn) -> dict[str, Any]:
    return draw(permissions()) | said(
        subscriptions=draw(st.sampled_from([None, 5, "unlimited"])),
        payload=draw(st.sampled_from([None, 100, "1KiB"])),
        networks=draw(st.sampled_from([[], ["10.0.0.0/8", "::1/128"]])),
        times=draw(st.sampled_from([[], [{"start": "08:00:00", "end": "18:00:00"}]])),
        bearer=draw(st.booleans()),
        connection_types=draw(st.sampled_from([[], ["STANDARD", "LEAFNODE"]])),
    )


@st.composite
def accounts(draw: st.DrawFn, name: str) -> dict[str, Any]:
    roles = {role: draw(grants()) for role in draw(st.lists(st.sampled_from(["r", "s 1"]), max_size=2, unique=True))}
    keys = draw(st.lists(st.sampled_from(["k", "l"]), max_size=2, unique=True))
    users: dict[str, Any] = {}
    for user in draw(st.lists(st.sampled_from(["u", "v.w", "ä"]), max_size=3, unique=True)):
        signed = draw(st.sampled_from([None, *roles]))
        users[user] = said(tags=draw(tags), expires=draw(st.sampled_from(["", "30d", "2090-01-01"])))
        if signed:
            users[user]["role"] = signed
        else:
            users[user] |= draw(grants()) | said(sign_with=draw(st.sampled_from(["", *keys])))
    exports = []
    for number, below in enumerate(draw(st.lists(wide, max_size=2, unique=True))):
        subject = f"e{number}.{below}"  # services must not overlap
        kind = draw(st.sampled_from(["service", "stream"]))
        private = draw(st.booleans())
        granted = [other for other in NAMES if other != name] if private else []
        entry: dict[str, Any] = {kind: subject} | said(private=private, grants=granted, description=draw(text))
        if kind == "service":
            entry |= said(response=draw(st.sampled_from(["", "single", "stream", "chunked"])))
        exports.append(entry)
    limits = said(
        connections=draw(st.sampled_from([None, 0, 7])), wildcards=None, payload=draw(st.sampled_from([None, 9]))
    )
    if draw(st.booleans()):
        limits["storage"] = draw(
            st.sampled_from([{"disk": "1GiB"}, {"R1": {"disk": 5, "streams": 2}, "R3": {"memory": 7}}])
        )
    return said(
        tags=draw(tags),
        description=draw(text),
        expires=draw(st.sampled_from(["", "1y"])),
        signing_keys=keys,
        limits=limits,
        default_permissions=draw(permissions()),
        mappings={source: [{"to": "m.x", "weight": 40}] for source in draw(st.lists(tokens, max_size=1))},
        exports=exports,
        roles=roles,
        users=users,
    )


@st.composite
def states(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    found = {name: draw(accounts(name)) for name in names}
    for account in found.values():
        for entry in account.get("exports", []):
            entry["grants"] = [other for other in entry.get("grants", ()) if other in names]
            if not entry["grants"]:
                del entry["grants"]
    for name, account in found.items():
        for exporter in names:
            entries = found[exporter].get("exports", []) if exporter != name else []
            for number, entry in enumerate(entries):
                granted = not entry.get("private") or name in entry.get("grants", ())
                if granted and draw(st.booleans()):
                    kind = "service" if "service" in entry else "stream"
                    stars = [f"${place + 1}" for place in range(entry[kind].split(".").count("*"))]
                    tail = [">"] if entry[kind].endswith(">") else []
                    local = ".".join([f"from-{names.index(exporter)}-{number}", *stars, *tail])
                    account.setdefault("imports", []).append({kind: entry[kind], "from": exporter, "as": local})
    strict = draw(st.booleans())
    operator = said(name="OP", strict_signing_keys=strict, tags=draw(tags))
    operator["signing_keys"] = ["online"]
    if strict:
        for account in found.values():
            account["signing_keys"] = account.get("signing_keys") or ["k"]
    return {"operator": operator, "accounts": found}


def planned(workspace: Workspace, declared: str, now: int = NOW) -> Plan:
    planner = Planner(workspace, read_text(declared.encode(), "tenants.toml"), now=now)
    return summarized(planner, planner.work())


def applied(folder: Path, declared: str, now: int) -> None:
    applying = Applying(Workspace.at(folder), read_text(declared.encode(), "tenants.toml"), now=now, force=True)
    applying.run(applying.planner.work())


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(states())
def test_applied_is_planned_no_more_and_can_be_said_again(state: dict[str, Any]) -> None:
    declared = document(state)
    assert tomllib.loads(declared) == state
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        applied(folder, declared, NOW)
        assert planned(Workspace.at(folder), declared).changes == ()
        spec = export_spec(Workspace.at(folder), "OP")
        assert planned(Workspace.at(folder), spec).changes == ()
        assert set(Workspace.at(folder).store.accounts("OP")) == state["accounts"].keys()


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(states(), states())
def test_one_state_after_another_ends_at_the_last(first: dict[str, Any], second: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        applied(folder, document(first), NOW)
        before = {
            account: Workspace.at(folder).store.account("OP", account).claims.issued_at for account in first["accounts"]
        }
        declared = document(second)
        applied(folder, declared, NOW)
        workspace = Workspace.at(folder)
        assert planned(workspace, declared).changes == ()
        assert set(workspace.store.accounts("OP")) == second["accounts"].keys()
        for account in second["accounts"]:
            assert set(workspace.store.users("OP", account)) == second["accounts"][account].get("users", {}).keys()
            assert workspace.store.account("OP", account).claims.issued_at >= before.get(account, 0)
