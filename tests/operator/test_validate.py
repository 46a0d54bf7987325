"""What validate finds: operators, accounts, users, credentials, and files (spec operator-cli checklist 38, 43)."""

from pathlib import Path

import pytest
from msgspec import structs

from gossamer.auth.claims import AccountClaims, Claims, OperatorClaims, UserClaims
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.testing import Answer, run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("init", "OP", "--account", "A", "--user", "ann")


@pytest.fixture
def operator(stores: Path) -> Path:
    return stores / "OP" / "OP.jwt"


@pytest.fixture
def account(stores: Path) -> Path:
    return stores / "OP" / "accounts" / "A" / "A.jwt"


@pytest.fixture
def user(account: Path) -> Path:
    return account.parent / "users" / "ann.jwt"


def findings(*flags: str) -> list[tuple[str, str, str]]:
    """Level, object and text of what is found; the exit code must fit."""
    answer = run("validate", "--json", *flags)
    data = answer.data
    assert answer.code == (0 if data["valid"] else 5)
    assert data["valid"] != any(entry["level"] == "error" for entry in data["findings"])
    return [(entry["level"], entry["object"], entry["message"]) for entry in data["findings"]]


def put(path: Path, claims: Claims, signer: KeyPair) -> None:
    path.write_text(encode(claims, signer, issued_at=claims.issued_at + 1))


def key_of(keys: Path, public: str) -> KeyPair:
    return KeyPair.from_seed((keys / "keys" / public[0] / public[1:3] / f"{public}.nk").read_text())


def test_a_sound_store() -> None:
    assert findings() == []
    assert "5 claims are valid" in run_ok("validate").out


def test_an_operator_signed_by_another(operator: Path) -> None:
    put(operator, decode_as(OperatorClaims, operator.read_text()), KeyPair.generate(KeyKind.OPERATOR))
    assert any(level == "error" and name == "OP" and "not by itself" in text for level, name, text in findings())


def test_an_account_signed_by_a_stranger(account: Path) -> None:
    put(account, decode_as(AccountClaims, account.read_text()), KeyPair.generate(KeyKind.OPERATOR))
    ((level, name, text),) = findings()
    assert (level, name) == ("error", "OP/A")
    assert "does not trust" in text


def test_an_account_that_servers_refuse(account: Path, operator: Path, keys: Path) -> None:
    claims = decode_as(AccountClaims, account.read_text())
    bad = structs.replace(claims, cluster_traffic="nonsense", expires=1)
    put(account, bad, key_of(keys, decode_as(OperatorClaims, operator.read_text()).subject))
    texts = [text for level, name, text in findings() if (level, name) == ("error", "OP/A")]
    assert texts == ["claim is expired", 'unknown cluster traffic option: "nonsense"']


def test_users(user: Path, account: Path, keys: Path) -> None:
    claims = decode_as(UserClaims, user.read_text())
    put(user, claims, KeyPair.generate(KeyKind.ACCOUNT))
    assert any(name == "OP/A/ann" and "belongs to account" in text for _, name, text in findings())
    owner = key_of(keys, decode_as(AccountClaims, account.read_text()).subject)
    put(user, structs.replace(claims, expires=1), owner)
    assert ("error", "OP/A/ann", "claim is expired") in findings()
    assert findings("-a", "SYS") == []
    put(user, structs.replace(claims, name="other"), owner)
    assert any("is named" in text for _, _, text in findings())


def test_a_revoked_user_is_a_warning() -> None:
    run_ok("revocation", "create", "ann", "-a", "A")
    assert findings() == [("warning", "OP/A/ann", "it is revoked")]


def test_strict_keys_and_bearer_tokens() -> None:
    run_ok("user", "edit", "ann", "-a", "A", "--bearer")
    run_ok("account", "edit", "A", "--disallow-bearer")
    run_ok("operator", "edit", "--require-signing-keys")
    texts = [text for level, _, text in findings() if level == "error"]
    assert any("does not trust" in text for text in texts)
    assert any("signing keys are required" in text for text in texts)
    assert any("bearer" in text for text in texts)


def test_keys_and_credentials(keys: Path, user: Path) -> None:
    public = decode_as(UserClaims, user.read_text()).subject
    path = keys / "keys" / "U" / public[1:3] / f"{public}.nk"
    seed = path.read_text()
    path.write_text(KeyPair.generate(KeyKind.USER).seed)
    assert any("does not hold the seed" in text for _, _, text in findings())
    path.write_text(seed)
    (keys / "creds" / "OP" / "A" / "ann.creds").write_text("junk")
    assert any("credentials" in text and "broken" in text for _, _, text in findings())


def test_a_broken_file_is_a_finding(account: Path, operator: Path) -> None:
    account.write_text("junk")
    assert any(name == "OP/A" and "is broken" in text for _, name, text in findings())
    operator.write_text("junk")
    assert any(name == "OP" and "is broken" in text for _, name, text in findings())


def test_all_operators() -> None:
    run_ok("operator", "create", "SECOND")
    assert ("warning", "SECOND", "it has no system account") in findings("--all")
    assert findings() == []


def file_answer(home: Path, text: str) -> Answer:
    (home / "list").write_text(text)
    return run("validate", "-f", "list", "--json")


def test_files(home: Path, account: Path, user: Path, keys: Path) -> None:
    token = account.read_text()
    key = decode_as(AccountClaims, token).subject
    assert file_answer(home, token).code == 0
    assert run("validate", "-f", str(keys / "creds" / "OP" / "A" / "ann.creds")).code == 0
    lines = f"{key}|{token}\n\n{key}|{token}\n"
    assert file_answer(home, lines).code == 0
    assert len(file_answer(home, lines).data["objects"]) == 2
    wrong = file_answer(home, f"{key}|{token}\n{key}|{user.read_text()}\n")
    assert wrong.code == 5
    (finding,) = wrong.data["findings"]
    assert finding["object"].endswith("list:2")
    assert "the line says" in finding["message"]
    broken = file_answer(home, f"{key}|{token[:-4]}AAAA\n")
    assert broken.code == 5
    assert "signature" in broken.data["findings"][0]["message"]
    assert file_answer(home, "junk").code == 5
    assert run("validate", "-f", "nothing").code == 1
