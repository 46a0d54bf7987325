"""Exports, imports, activations and mappings (spec operator-cli checklist 25, 26, 27)."""

import time
from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims, ActivationClaims, Export, Import
from gossamer.auth.credentials import find_token
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    """Operator OP with the accounts A, who exports, and B, who imports."""
    run_ok("operator", "create", "OP", "--sys")
    run_ok("account", "create", "A")
    run_ok("account", "create", "B")


@pytest.fixture
def path(stores: Path) -> Path:
    """The folder of the accounts."""
    return stores / "OP" / "accounts"


def claims_of(path: Path, name: str) -> AccountClaims:
    return decode_as(AccountClaims, (path / name / f"{name}.jwt").read_text())


def the_export(path: Path, name: str = "A") -> Export:
    (found,) = claims_of(path, name).exports
    return found


def the_import(path: Path, name: str = "B") -> Import:
    (found,) = claims_of(path, name).imports
    return found


def test_a_service_with_all_it_may_have(path: Path) -> None:
    run_ok(
        *("export", "create", "q.*", "-a", "A", "--service", "--private", "--response-type", "chunked"),
        *("--response-threshold", "2s", "--latency", "lat.q", "--sampling", "10%", "--allow-trace", "--name", "Q"),
        *("--description", "Questions", "--info-url", "https://example.org/q", "--advertise"),
    )
    assert the_export(path).members() == {
        "name": "Q",
        "subject": "q.*",
        "type": "service",
        "token_req": True,
        "response_type": "Chunked",
        "response_threshold": 2_000_000_000,
        "service_latency": {"sampling": 10, "results": "lat.q"},
        "advertise": True,
        "allow_trace": True,
        "description": "Questions",
        "info_url": "https://example.org/q",
    }


def test_plain_exports_are_what_nsc_writes(path: Path) -> None:
    run_ok("export", "create", "s", "-a", "A", "--service")
    run_ok("export", "create", "acc.*.>", "-a", "A", "--account-token-position", "2")
    stream, service = claims_of(path, "A").exports
    assert stream.members() == {"name": "acc.*.>", "subject": "acc.*.>", "type": "stream", "account_token_position": 2}
    assert service.members() == {"name": "s", "subject": "s", "type": "service", "response_type": "Singleton"}


def test_export_edited(path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A", "--service", "--latency", "lat", "--sampling", "header")
    assert the_export(path).members()["service_latency"] == {"sampling": "headers", "results": "lat"}
    run_ok("export", "edit", "q", "-a", "A", "--sampling", "50", "--private", "--response-type", "stream")
    changed = the_export(path)
    assert changed.service_latency is not None
    assert (changed.service_latency.sampling, changed.service_latency.results) == (50, "lat")
    assert (changed.token_required, changed.response_type) == (True, "Stream")
    run_ok("export", "edit", "q", "-a", "A", "--rm-latency-sampling", "--public")
    assert the_export(path).members() == {"name": "q", "subject": "q", "type": "service", "response_type": "Stream"}


def test_export_deleted_says_whose_imports_end(path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q")
    answer = run_ok("export", "delete", "q", "-a", "A")
    assert "B" in answer.err
    assert claims_of(path, "A").exports == ()


@pytest.mark.parametrize(
    "flags",
    [
        ["q", "--response-type", "Singleton"],
        ["q", "--response-threshold", "1s"],
        ["q", "--latency", "l"],
        ["q", "--allow-trace"],
        ["q", "--service", "--sampling", "10"],
        ["q", "--service", "--latency", "l", "--sampling", "101"],
        ["q", "--service", "--latency", "l", "--sampling", "some"],
        ["q", "--service", "--response-type", "Twice"],
        ["q", "--service", "--response-threshold", "5"],
        ["q", "--service", "--stream"],
        ["q..r"],
        [">.q"],
    ],
)
def test_exports_that_make_no_sense(flags: list[str], home: Path) -> None:
    before = fingerprint(home)
    answer = run("export", "create", *flags, "-a", "A")
    assert answer.code == 64, answer
    assert len(answer.err.splitlines()) == 1
    assert fingerprint(home) == before


@pytest.mark.parametrize(
    "flags",
    [
        ["q", "--account-token-position", "1"],
        ["q.*", "--account-token-position", "1"],
        ["q.*", "--account-token-position", "9"],
        ["q", "--service", "--latency", "l.*"],
    ],
)
def test_exports_that_servers_would_refuse(flags: list[str], home: Path) -> None:
    before = fingerprint(home)
    assert run("export", "create", *flags, "-a", "A").code == 5
    assert fingerprint(home) == before


def test_exports_are_idempotent(home: Path, path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A")
    assert run("export", "create", "q", "-a", "A").code == 1
    before = fingerprint(home)
    assert not run_ok("export", "create", "q", "-a", "A", "--exist-ok", "--json").data["changed"]
    assert fingerprint(home) == before
    run_ok("export", "create", "q", "-a", "A", "--exist-ok", "--private")
    assert the_export(path).token_required
    run_ok("export", "create", "q", "-a", "A", "--service")  # the same subject in the other direction is another one
    assert run("export", "edit", "q", "-a", "A", "--private").code == 1
    run_ok("export", "edit", "q", "-a", "A", "--private", "--service")
    assert len(claims_of(path, "A").exports) == 2


def test_import_of_a_public_export_by_name(path: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--service")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x", "--local-subject", "team.q", "--share")
    assert the_import(path).members() == {
        "name": "q.x",
        "subject": "q.x",
        "account": claims_of(path, "A").subject,
        "local_subject": "team.q",
        "type": "service",
        "share": True,
    }


def test_import_by_name_of_a_private_export_is_granted(path: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--service", "--private")
    answer = run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x")
    assert "granted" in answer.out
    token = decode_as(ActivationClaims, the_import(path).token)
    exporter, importer = claims_of(path, "A"), claims_of(path, "B")
    assert (token.issuer, token.subject, token.import_subject) == (exporter.subject, importer.subject, "q.x")
    assert (token.kind, token.name, token.issuer_account) == ("service", "q.x", "")
    assert run_ok("validate", "--json").data["valid"]
    (grant,) = run_ok("activation", "list", "-a", "A", "--json").data["grants"]
    assert (grant["account"], grant["problem"]) == ("B", "")


def test_import_by_name_puts_the_account_into_the_subject(path: Path) -> None:
    run_ok("export", "create", "acc.*.>", "-a", "A", "--account-token-position", "2")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "acc.*.x", "--local-subject", "mine.x")
    assert the_import(path).subject == f"acc.{claims_of(path, 'B').subject}.x"
    wrong = run("import", "create", "-a", "B", "--from", "A", "--subject", "acc.other.y")
    assert wrong.code == 1
    assert "acc.*.y" in wrong.err


def test_import_by_key_of_an_account_elsewhere(path: Path) -> None:
    key = run_ok("key", "generate", "account", "--show-secrets", "--json").data["key"]
    answer = run_ok("import", "create", "-a", "B", "--src-account", key, "--remote-subject", "pub.>", "--allow-trace")
    assert "not in the store" in answer.err
    assert the_import(path).members() == {
        "name": "pub.>",
        "subject": "pub.>",
        "account": key,
        "type": "stream",
        "allow_trace": True,
    }


def test_imports_that_lead_nowhere(home: Path) -> None:
    run_ok("export", "create", "q", "-a", "A")
    run_ok("export", "create", "both", "-a", "A")
    run_ok("export", "create", "both", "-a", "A", "--service")
    before = fingerprint(home)
    nothing = run("import", "create", "-a", "B", "--from", "A", "--subject", "other")
    assert nothing.code == 1
    assert "stream q" in nothing.err
    assert run("import", "create", "-a", "B", "--from", "A", "--subject", "q", "--service").code == 1
    assert run("import", "create", "-a", "B", "--from", "A", "--subject", "both").code == 1
    assert run("import", "create", "-a", "B", "--from", "NOBODY", "--subject", "q").code == 1
    assert run("import", "create", "-a", "A", "--from", "A", "--subject", "q").code == 1
    assert run("import", "create", "-a", "B").code == 64
    assert run("import", "create", "-a", "B", "--from", "A", "--subject", "q", "--share").code == 64
    assert fingerprint(home) == before


def test_imports_edited_and_deleted(path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q")
    run_ok("import", "edit", "q", "-a", "B", "--local-subject", "mine.q", "--name", "N")
    changed = the_import(path)
    assert (changed.local_subject, changed.name) == ("mine.q", "N")
    listed = run_ok("import", "list", "-a", "B", "--json").data
    assert [(entry["exporter"], entry["local"]) for entry in listed] == [("A", "mine.q")]
    assert run("import", "delete", "nothing", "-a", "B").code == 1
    run_ok("import", "delete", "mine.q", "-a", "B")
    assert claims_of(path, "B").imports == ()


def test_imports_are_idempotent(home: Path, path: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--private")
    command = ("import", "create", "-a", "B", "--from", "A", "--subject", "q.x")
    run_ok(*command)
    assert run(*command).code == 1
    before = fingerprint(home)
    assert not run_ok(*command, "--exist-ok", "--json").data["changed"]
    assert fingerprint(home) == before
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "B")
    token = the_import(path).token
    run_ok(*command, "--exist-ok")
    assert the_import(path).token != token
    (grant,) = run_ok("activation", "list", "-a", "A", "--json").data["grants"]
    assert grant["problem"] == ""


def test_activation_file(path: Path, home: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--service", "--private")
    file = home / "act.jwt"
    run_ok("activation", "issue", "-a", "A", "-s", "q.x", "-t", "B", "--expiry", "30d", "-o", str(file))
    text = file.read_text()
    assert text.startswith("-----BEGIN NATS ACTIVATION JWT-----\n")
    assert file.stat().st_mode & 0o777 == 0o600
    claims = decode_as(ActivationClaims, find_token(text))
    assert abs(claims.expires - time.time() - 30 * 86400) < 5
    assert run("activation", "issue", "-a", "A", "-s", "q.x", "-t", "B", "-o", str(file)).code == 1
    shown = run_ok("activation", "issue", "-a", "A", "-s", "q.x", "-t", "B").out
    assert shown.startswith("-----BEGIN NATS ACTIVATION JWT-----\n")
    run_ok("import", "create", "-a", "B", "--token", str(file), "--local-subject", "team.q")
    entry = the_import(path)
    assert (entry.subject, entry.type, entry.local_subject, entry.account) == (
        "q.x",
        "service",
        "team.q",
        claims_of(path, "A").subject,
    )
    assert entry.token == find_token(text)
    assert run_ok("validate", "--json").data["valid"]


def test_activation_by_a_signing_key_names_the_account(path: Path) -> None:
    run_ok("account", "edit", "A", "--sk", "generate")
    (key,) = claims_of(path, "A").signing_key_texts
    run_ok("export", "create", "q", "-a", "A", "--private")
    token = run_ok("activation", "issue", "-a", "A", "-s", "q", "-t", "B", "-K", key, "--json").data["jwt"]
    claims = decode_as(ActivationClaims, token)
    assert (claims.issuer, claims.issuer_account) == (key, claims_of(path, "A").subject)


def test_activations_that_do_not_fit(home: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--private")
    run_ok("export", "create", "open", "-a", "A")
    run_ok("account", "create", "C")
    file = str(home / "act.jwt")
    run_ok("activation", "issue", "-a", "A", "-s", "q.x", "-t", "B", "-o", file)
    (home / "junk").write_text("junk")
    assert "public" in run("activation", "issue", "-a", "A", "-s", "open", "-t", "B").err
    assert run("activation", "issue", "-a", "A", "-s", "nothing", "-t", "B").code == 1
    before = fingerprint(home)
    for flags in (
        ["-a", "C", "--token", file],
        ["-a", "B", "--token", file, "--subject", "q.y"],
        ["-a", "B", "--token", file, "--from", "C"],
        ["-a", "B", "--token", file, "--service"],
        ["-a", "B", "--token", str(home / "junk")],
    ):
        refused = run("import", "create", *flags)
        assert refused.code == 1, flags
        assert "activation" in refused.err
    assert fingerprint(home) == before


def test_activations_revoked(path: Path) -> None:
    run_ok("export", "create", "q.*", "-a", "A", "--private")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x")
    importer = claims_of(path, "B").subject
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "B")
    moment = the_export(path).revocations[importer]
    assert abs(moment - time.time()) < 5
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "B", "--at", "1000")
    assert the_export(path).revocations == {importer: moment}  # never earlier
    listed = run_ok("activation", "list", "-a", "A", "--json").data
    assert listed["grants"][0]["problem"] == "it is revoked"
    assert listed["revocations"] == [{"subject": "q.*", "kind": "stream", "target": importer, "until": moment}]
    run_ok("activation", "unrevoke", "-a", "A", "-s", "q.*", "-t", "B")
    assert the_export(path).revocations == {}
    assert run("activation", "unrevoke", "-a", "A", "-s", "q.*", "-t", "B").code == 1
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "*", "--at", "1000")
    assert the_export(path).revocations == {"*": 1000}
    assert run_ok("activation", "list", "-a", "A", "--json").data["grants"][0]["problem"] == ""


def test_grants_that_run_ahead_of_the_clock_are_covered(path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A", "--private")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q")
    for _ in range(3):
        run_ok("activation", "revoke", "-a", "A", "-s", "q", "-t", "B")
        assert run_ok("activation", "list", "-a", "A", "--json").data["grants"][0]["problem"] == "it is revoked"
        run_ok("import", "edit", "q", "-a", "B")
        assert run_ok("activation", "list", "-a", "A", "--json").data["grants"][0]["problem"] == ""


def test_an_export_made_private_says_who_needs_a_grant(path: Path) -> None:
    run_ok("export", "create", "q", "-a", "A")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q")
    assert "B" in run_ok("export", "edit", "q", "-a", "A", "--private").err
    run_ok("import", "edit", "q", "-a", "B", "--grant")
    assert the_import(path).token


def test_mappings(path: Path) -> None:
    run_ok("mapping", "create", "-a", "A", "-f", "old.*", "-t", "new.$1")
    run_ok("mapping", "create", "-a", "A", "-f", "w", "-t", "w1", "--weight", "30", "--cluster", "east")
    run_ok("mapping", "create", "-a", "A", "-f", "w", "-t", "w2", "--weight", "30")
    claims = claims_of(path, "A")
    assert claims.members()["nats"]["mappings"] == {
        "old.*": [{"subject": "new.$1"}],
        "w": [{"subject": "w1", "weight": 30, "cluster": "east"}, {"subject": "w2", "weight": 30}],
    }
    assert run("mapping", "create", "-a", "A", "-f", "w", "-t", "w3", "--weight", "80").code == 5
    assert run("mapping", "create", "-a", "A", "-f", "w", "-t", "w3", "--weight", "0").code == 64
    assert run("mapping", "create", "-a", "A", "-f", "w", "-t", "no subject").code == 64
    run_ok("mapping", "create", "-a", "A", "-f", "w", "-t", "w2", "--weight", "40")
    assert [entry.weight for entry in claims_of(path, "A").mappings["w"]] == [30, 40]
    listed = run_ok("mapping", "list", "-a", "A", "--json").data
    assert {"from": "w", "to": "w1", "weight": 30, "cluster": "east"} in listed
    run_ok("mapping", "delete", "-a", "A", "-f", "w", "-t", "w1")
    assert [entry.subject for entry in claims_of(path, "A").mappings["w"]] == ["w2"]
    run_ok("mapping", "delete", "-a", "A", "-f", "w")
    run_ok("mapping", "delete", "-a", "A", "-f", "old.*")
    assert claims_of(path, "A").mappings == {}
    assert run("mapping", "delete", "-a", "A", "-f", "w").code == 1


def test_imports_in_a_circle_are_not_signed(home: Path) -> None:
    run_ok("export", "create", "a", "-a", "A", "--service")
    run_ok("export", "create", "b", "-a", "B", "--service")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "a", "--local-subject", "b")
    before = fingerprint(home)
    refused = run("import", "create", "-a", "A", "--from", "B", "--subject", "b", "--local-subject", "a", "--json")
    assert refused.code == 5
    assert refused.envelope["errors"][0]["code"] == "import_cycle"
    assert fingerprint(home) == before


@pytest.mark.parametrize("local", ["x", "x.$3.$1", "x.*.*.*", "x.>"])
def test_local_subjects_that_do_not_fit(home: Path, local: str) -> None:
    run_ok("export", "create", "q.*.*", "-a", "A")
    before = fingerprint(home)
    assert run("import", "create", "-a", "B", "--from", "A", "--subject", "q.*.*", "-s", local).code == 5
    assert fingerprint(home) == before


def test_local_subjects_in_another_order(path: Path) -> None:
    run_ok("export", "create", "q.*.*", "-a", "A")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.*.*", "--local-subject", "x.$2.$1")
    assert the_import(path).local_subject == "x.$2.$1"


@pytest.mark.parametrize("target", ["n.$2", "n.{{nothing(1)}}", "n.*", "", "a b", "n.>"])
def test_mappings_that_make_no_sense(home: Path, target: str) -> None:
    before = fingerprint(home)
    assert run("mapping", "create", "-a", "A", "-f", "o.*", "-t", target).code == 64
    assert fingerprint(home) == before


@pytest.mark.parametrize("target", ["n.{{partition(3,1)}}", "n.{{wildcard(1)}}", "n.{{left(1,2)}}", "plain"])
def test_mappings_by_functions(path: Path, target: str) -> None:
    run_ok("mapping", "create", "-a", "A", "-f", "o.*", "-t", target)
    assert claims_of(path, "A").mappings["o.*"][0].subject == target


def test_a_description_shows_all_of_it() -> None:
    run_ok("user", "create", "u", "-a", "A")
    run_ok("export", "create", "q.*", "-a", "A", "--service", "--private", "--latency", "lat", "--sampling", "10")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x", "--local-subject", "my.q")
    run_ok("mapping", "create", "-a", "A", "-f", "old", "-t", "new", "--weight", "40", "--cluster", "east")
    run_ok("account", "callout", "-a", "A", "--auth-user", "u", "--allowed-account", "*")
    run_ok("revocation", "create", "*", "-a", "A", "--at", "1000")
    shown = run_ok("account", "describe", "A").out
    for part in ("latency to lat (10 %)", "old\tnew\t40 %\teast", "any account", "1970-01-01 00:16:40 UTC"):
        assert part in shown
    assert "my.q" in run_ok("account", "describe", "B").out


def test_limits_of_exports_and_imports_hold(home: Path) -> None:
    run_ok("account", "edit", "A", "--exports", "1", "--no-wildcard-exports")
    run_ok("export", "create", "q", "-a", "A")
    before = fingerprint(home)
    assert run("export", "create", "r", "-a", "A").code == 5
    run_ok("account", "edit", "A", "--exports", "5")
    assert run("export", "create", "r.*", "-a", "A").code == 5
    assert before != fingerprint(home)
