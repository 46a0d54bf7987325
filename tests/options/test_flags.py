"""The command line (spec configuration section 9)."""

import subprocess

import pytest

from gossamer.mesh.options.flags import ClusterFlag, FlagExit, Flags, flag_rows, parse_flags, redacted
from gossamer.mesh.options.loading import FaultyConfiguration, assess, load


def values(*words):
    found = parse_flags(words)
    assert isinstance(found, Flags), found
    return found.values


@pytest.mark.parametrize("words", [["-p", "5"], ["-p=5"], ["--p", "5"], ["--p=5"], ["--port", "5"], ["-port=5"]])
def test_all_spellings(words):
    assert values(*words) == {"port": 5}


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["-a", "h"], {"host": "h"}),
        (["--addr", "h"], {"host": "h"}),
        (["--net", "h"], {"host": "h"}),
        (["-p", "-1"], {"port": -1}),
        (["-p", "0x10"], {"port": 16}),
        (["-p", "010"], {"port": 8}),
        (["-n", "s"], {"server_name": "s"}),
        (["--name", "s"], {"server_name": "s"}),
        (["--server_name", "s"], {"server_name": "s"}),
        (["--client_advertise", "c"], {"client_advertise": "c"}),
        (["-P", "f"], {"pid_file": "f"}),
        (["--pid", "f"], {"pid_file": "f"}),
        (["-m", "8222"], {"monitor.port": 8222}),
        (["--http_port", "8222"], {"monitor.port": 8222}),
        (["--ports_file_dir", "d"], {"ports_file_dir": "d"}),
        (["-l", "f"], {"logging.log_file": "f"}),
        (["--log", "f"], {"logging.log_file": "f"}),
        (["--log_size_limit", "100"], {"logging.log_size_limit": 100}),
        (["-s"], {"logging.syslog": True}),
        (["--syslog=false"], {"logging.syslog": False}),
        (["-r", "udp://a"], {"logging.remote_syslog": "udp://a"}),
        (["-T=false"], {"logging.logtime": False}),
        (["--logtime"], {"logging.logtime": True}),
        (["--logtime_utc"], {"logging.logtime_utc": True}),
        (["-D"], {"logging.debug": True}),
        (["-V"], {"logging.trace": True}),
        (["-VV"], {"logging.trace": True, "logging.trace_verbose": True}),
        (["-DV"], {"logging.debug": True, "logging.trace": True}),
        (["-DVV"], {"logging.debug": True, "logging.trace": True, "logging.trace_verbose": True}),
        (["--max_traced_msg_len", "9"], {"logging.max_traced_msg_len": 9}),
        (["-sd", "d"], {"store_dir": "d"}),
        (["--user", "u", "--pass", "p"], {"authorization.user": "u", "authorization.password": "p"}),
        (["--auth", "t"], {"authorization.token": "t"}),
        (["--cluster_name", "c"], {"cluster.name": "c"}),
        (["--cluster_advertise", "c"], {"cluster.advertise": "c"}),
        (["--connect_retries", "3"], {"cluster.connect_retries": 3}),
        (["--no_advertise"], {"cluster.no_advertise": True}),
        (["-p", "1", "-p", "2"], {"port": 2}),
        (["-p", "1", "--"], {"port": 1}),
    ],
)
def test_values(words, meant):
    assert values(*words) == meant


def test_the_file_and_the_commands():
    found = parse_flags(["-c", "f", "-t", "-sl", "reload=5"])
    assert (found.config, found.check, found.signal) == ("f", True, "reload=5")
    assert parse_flags(["--config=f", "--signal", "ldm"]).signal == "ldm"


@pytest.mark.parametrize(
    "words",
    [
        ["--foo"],
        ["-p", "abc"],
        ["-p"],
        ["-c"],
        ["-D=maybe"],
        ["---p"],
        ["-=5"],
        ["-p", "99999999999999999999"],
        ["--max_traced_msg_len", "x"],
        ["foo"],
        ["-"],
        ["-D", "true"],
        ["--no_advertise", "true"],
        ["-p", "5", "foo", "-v"],
        ["-t"],
        ["-v"],
        ["--version"],
        ["version"],
        ["--cluster", "foo"],
        ["--cluster", "nats://u@a:1"],
        ["--tls"],
        ["--tls", "--tlscert", "c"],
        ["--tlsverify"],
    ],
)
def test_mistakes_are_answered_as_nats_server_does(nats_server, words, tmp_path):
    """Exit code and standard error are the same; usage on standard output where it is shown there."""
    theirs = subprocess.run(
        [nats_server, *words], capture_output=True, text=True, timeout=20, cwd=tmp_path, check=False
    )
    ours = parse_flags(words)
    assert isinstance(ours, FlagExit)
    assert (ours.code, ours.stderr) == (theirs.returncode, theirs.stderr)
    assert bool(ours.stdout) == bool(theirs.stdout)
    if "Usage" not in theirs.stdout:
        assert ours.stdout == theirs.stdout


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["-help"], ["help"]])
def test_help_names_every_flag_of_nats_server(nats_server, words):
    theirs = subprocess.run([nats_server, "--help"], capture_output=True, text=True, timeout=20, check=True).stdout
    found = parse_flags(words)
    assert (found.code, found.stderr) == (0, "")
    ours = set(_flags(found.stdout))
    assert set(_flags(theirs)) <= ours
    assert set(flag_rows()) <= ours


def _flags(text):
    for line in text.splitlines():
        if line.lstrip().startswith("-"):
            for word in line.replace(",", " ").split():
                if not word.startswith("-"):
                    break
                yield word.lstrip("-")


def test_help_about_tls():
    found = parse_flags(["--help_tls"])
    assert found.code == 0
    assert "handshake_first" in found.stdout


class TestOverTheFile:
    def test_flags_win(self, files):
        files["f.conf"] = "port: 1, debug: true, logtime: false, server_name: f"
        found = load(["-c", "f.conf", "-p", "2", "-D=false"], reader=files.reader, environment={})
        assert (found.port, found.server_name) == (2, "f")
        assert (found.logging.debug, found.logging.logtime) == (False, False)

    def test_user_adds_to_the_file(self, files):
        files["f.conf"] = "authorization {users: [{user: a, password: b}]}"
        found = load(["-c", "f.conf", "--user", "u", "--pass", "p"], reader=files.reader, environment={})
        assert (found.authorization.user, len(found.authorization.users)) == ("u", 1)

    def test_store_dir_twice(self, files):
        files["f.conf"] = "port: 1\nstore_dir: a"
        with pytest.raises(FaultyConfiguration, match=r"f\.conf:2:1: Duplicate 'store_dir' configuration"):
            load(["-c", "f.conf", "-sd", "b"], reader=files.reader, environment={})


class TestCluster:
    CONFIGURATION = 'cluster {name: c, listen: "h:1", authorization {user: u, password: p}, routes: ["nats://a:1"]}'

    def cluster(self, files, *words):
        files["f.conf"] = self.CONFIGURATION
        return load(["-c", "f.conf", *words], reader=files.reader, environment={}).cluster

    @pytest.mark.parametrize(
        ("url", "meant"),
        [
            ("nats://h:5", ClusterFlag(host="h", port=5)),
            ("nats://u:p%20q@h:5", ClusterFlag(host="h", port=5, user="u", password="p q")),
            ("nats://0.0.0.0:-1", ClusterFlag(host="0.0.0.0", port=-1)),
            ("nats://u:p@[::1]:-1", ClusterFlag(host="::1", port=-1, user="u", password="p")),
            ("", ClusterFlag()),
        ],
    )
    def test_urls(self, url, meant):
        assert parse_flags(["--cluster", url]).cluster == meant
        assert parse_flags(["--cluster_listen", url]).cluster == meant

    def test_replaces_address_and_user(self, files):
        found = self.cluster(files, "--cluster", "nats://h2:2")
        assert (found.host, found.port, found.user, found.password, found.name) == ("h2", 2, "", "", "c")
        assert found.routes == ("nats://a:1",)

    def test_an_empty_one_switches_off(self, files):
        assert self.cluster(files, "--cluster", "") is None

    def test_routes_are_replaced(self, files):
        assert self.cluster(files, "--routes", "nats://x:1, nats://y:2").routes == ("nats://x:1", "nats://y:2")

    def test_routes_need_a_cluster(self):
        with pytest.raises(FaultyConfiguration, match="solicited routes require cluster capabilities"):
            load(["--routes", "nats://a:1"], environment={})
        assert load(["--routes", "nats://a:1", "--cluster", "nats://h:1"], environment={}).cluster.port == 1


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["-js"], "-js"),
        (["--jetstream"], "--jetstream"),
        (["-ms", "1"], "-ms"),
        (["--profile", "1"], "--profile"),
        (["--tls", "--tlscert", "c", "--tlskey", "k"], "--tls"),
    ],
)
def test_flags_that_wait(words, flag):
    loaded = assess(parse_flags(words), environment={})
    assert f'"{flag}" is not available yet (' in loaded.faults[0].text


@pytest.mark.parametrize("words", [["-js=false"], ["--tls=false"], ["-ms", "0"], ["--profile", "0"]])
def test_flags_that_ask_for_nothing(words):
    assert assess(parse_flags(words), environment={}).faults == ()


def test_secrets_are_not_shown():
    words = ["-p", "1", "--user", "u", "--pass=x", "--auth", "t", "--routes", "nats://u:p@h:1", "-c", "f"]
    shown = redacted(words)
    assert shown == [
        "-p", "1", "--user", "[REDACTED]", "--pass=[REDACTED]", "--auth", "[REDACTED]",
        "--routes", "[REDACTED]", "-c", "f",
    ]  # fmt: skip
