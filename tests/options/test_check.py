"""``-t``, a refused start, and ``gossamer check``."""

import pytest

from gossamer.mesh.options.check import check, refusal, verdict, warning_text
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess


@pytest.fixture
def loaded(files):
    def loaded(text):
        files["f.conf"] = text
        return assess(Flags(config="f.conf"), reader=files.reader, environment={})

    return loaded


def test_a_good_file(loaded):
    found = verdict(loaded("port: 4222"), "f.conf")
    assert found.code == 0
    assert found.stdout == ""
    assert found.stderr == (
        "nats-server: configuration file f.conf is valid "
        "(sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e)\n"
    )


def test_a_warning_fails_the_check_but_not_the_start(loaded):
    found = loaded("port: 4222\nping_interval: 60")
    line = 'f.conf:2:1: invalid use of field "ping_interval": ping_interval should be converted to a duration\n'
    answer = verdict(found, "f.conf")
    assert answer.code == 1
    assert answer.stderr.startswith(f"nats-server: {line}\n")
    assert refusal(found) is None
    assert warning_text(found) == line


def test_what_only_a_start_finds(loaded):
    found = loaded("lame_duck_duration: 30s\nlame_duck_grace_period: 30s\nping_interval: 5")
    assert "lame duck" not in verdict(found, "f.conf").stderr
    answer = refusal(found)
    assert answer.code == 1
    assert answer.stderr == (
        'f.conf:3:1: invalid use of field "ping_interval": ping_interval should be converted to a duration\n'
        "nats-server: lame duck grace period (30s) should be strictly lower than lame duck duration (30s)\n"
    )


def test_a_file_that_cannot_be_read(files):
    found = assess(Flags(config="nope.conf"), reader=files.reader, environment={})
    assert verdict(found, "nope.conf").stderr == "nats-server: open nope.conf: no such file or directory\n"
    assert refusal(found).code == 1


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("prot: 1", 'did you mean "port"?'),
        ("max_playload: 1", 'did you mean "max_payload"?'),
        ("server-name: x", 'did you mean "server_name"?'),
        ("authorization {usr: a}", 'did you mean "user"?'),
        ("cluster {naame: a}", 'did you mean "name"?'),
        ("routes: []", "it belongs into: cluster"),
        ("max_payload: 1024b", "write 1024: a number without a unit is bytes"),
        ('max_payload: "1mb"', "write 1mb without quotes; 1k is 1000, 1kb is 1024"),
        ('debug: "True"', "write true without quotes"),
        ("write_deadline: 5d", "there is no unit for days: write 120h"),
        ('write_deadline: "90"', 'write "90s"'),
        ("lame_duck_duration: 1m", 'put it in quotes, "1m": an unquoted 1m is one million, not a minute'),
        ("authorization {token: 123}", "put the value in quotes"),
        ("accounts {A {users: [{user: a, allowed_connection_types: [http]}]}}", "known are STANDARD,"),
        ("authorization {users: [{user: a}, {user: a}]}", "the other one is in f.conf:1:0"),
    ],
)
def test_suggestions(files, text, suggestion):
    files["f.conf"] = text
    answer = check(["f.conf"], reader=files.reader, environment={})
    assert answer.code == 1
    assert suggestion in answer.stdout


def test_everything_at_once(files):
    files["f.conf"] = (
        "prot: 1\nport: a\nping_interval: 60\njetstream {}\nlame_duck_grace_period: 5m0s\n"
        "cluster {\n  pool_szie: 3\n}\n"
    )
    answer = check(["f.conf"], reader=files.reader, environment={})
    assert answer.stdout == (
        'f.conf:1:0: unknown field "prot"\n'
        '    did you mean "port"?\n'
        "f.conf:2:1: interface conversion: interface {} is string, not int64\n"
        'f.conf:3:1: warning: invalid use of field "ping_interval": ping_interval should be converted to a duration\n'
        '    write "60s"\n'
        'f.conf:4:1: "jetstream" is not available yet (streams come with a later release); remove it to start\n'
        "f.conf:5:1: lame duck grace period (5m0s) should be strictly lower than lame duck duration (2m0s)\n"
        'f.conf:7:3: unknown field "pool_szie"\n'
        '    did you mean "pool_size"?\n'
        "f.conf: 5 faults, 1 warning\n"
    )


def test_several_files(files):
    files.update({"a.conf": "port: 1", "b.conf": "port:"})
    answer = check(["a.conf", "b.conf", "c.conf"], reader=files.reader, environment={})
    assert answer.code == 1
    assert "a.conf: valid (sha256:" in answer.stdout
    assert "c.conf: open c.conf: no such file or directory" in answer.stdout


def test_usage():
    assert check([]).code == 2
    assert check(["--help"]).code == 0
    assert check(["--nope", "f"]).code == 2
