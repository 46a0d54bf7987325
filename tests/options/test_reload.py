"""A reload as a difference of two options (spec configuration section 10)."""

import pytest

from gossamer.mesh.options.loading import load
from gossamer.mesh.options.reload import difference, log_lines, refusal
from gossamer.mesh.options.table import Reload, rows_by_field


@pytest.fixture
def changes(files):
    def changes(before, after):
        made = []
        for text in (before, after):
            files["f.conf"] = f"connect_error_reports: 5\n{text}"
            made.append(load(["-c", "f.conf"], reader=files.reader, environment={}))
        return difference(*made)

    return changes


def test_nothing_changed(changes):
    assert changes("port: -1\nserver_tags: [a]", "server_tags: a, port = -1 # c") == ()
    assert list(log_lines(())) == ["Reloaded: accounts", "Reloaded: authorization users"]


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("", "debug: true", "Reloaded: debug = true"),
        ("trace: true", "trace: false", "Reloaded: trace = false"),
        ("", "logtime: false", "Reloaded: logtime = false"),
        ("", "log_file: x", "Reloaded: log_file = x"),
        ("", "syslog: true", "Reloaded: syslog = true"),
        ("", 'remote_syslog: "udp://a"', "Reloaded: remote_syslog = udp://a"),
        ("", "max_connections: 5", "Reloaded: max_connections = 5"),
        ("", "max_payload: 5", "Reloaded: max_payload = 5"),
        ("", "max_control_line: 5", "Reloaded: max_control_line = 5"),
        ("", "ping_interval: 20s", "Reloaded: ping_interval = 20s"),
        ("", "ping_max: 5", "Reloaded: ping_max = 5"),
        ("", "write_deadline: 5s", "Reloaded: write_deadline = 5s"),
        ("", "max_traced_msg_len: 5", "Reloaded: max_traced_msg_len = 5"),
        ("", "pid_file: x", "Reloaded: pid_file = x"),
        ("", "ports_file_dir: x", "Reloaded: ports_file_dir = x"),
        ("", "client_advertise: x", "Reload: client_advertise = x"),
        ("", "server_tags: x", "Reloaded: tags"),
        ("", "server_metadata {a: b}", "Reloaded: metadata"),
        ("", "no_fast_producer_stall: true", "Reloaded: fast producers will not be stalled"),
        ("", "connect_error_reports: 9", "Reloaded: connect_error_reports = 9"),
        ("", "reconnect_error_reports: 9", "Reloaded: reconnect_error_reports = 9"),
        ("", "authorization {user: a}", "Reloaded: authorization username"),
        ("", "authorization {token: a}", "Reloaded: authorization token"),
        ("", "authorization {timeout: 3}", "Reloaded: authorization timeout = 3"),
        ("", "authorization {users: [{user: a}]}", "Reloaded: authorization users"),
        ("", "accounts: [A]", "Reloaded: accounts"),
        ("cluster {port: 1}", 'cluster {port: 1, routes: ["nats://a:1"]}', "Reloaded: cluster routes"),
        ("cluster {port: 1}", "cluster {port: 1, pool_size: 5}", "Reloaded: cluster"),
        ("cluster {port: 1, name: a}", "cluster {port: 1, name: b}", "Reloaded: cluster"),
    ],
)
def test_taken_over(changes, before, after, line):
    found = changes(before, after)
    assert refusal(found) == ""
    assert found
    assert all(change.reloadable for change in found)
    assert line in list(log_lines(found))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("port: 1", "port: 2", "config reload not supported for Port: old=1, new=2"),
        ("", "host: h", "config reload not supported for Host: old=0.0.0.0, new=h"),
        ("", "server_name: n", "config reload not supported for ServerName: old=, new=n"),
        ("http_port: 1", "http_port: 2", "config reload not supported for HTTPPort: old=1, new=2"),
        ("http: 1", 'http: "h:1"', "config reload not supported for HTTPHost: old=0.0.0.0, new=h"),
        ("", "http_base_path: /x", "config reload not supported for HTTPBasePath: old=/, new=/x"),
        ("", "max_subs: 1", "config reload not supported for MaxSubs: old=0, new=1"),
        ("", "max_sub_tokens: 1", "config reload not supported for MaxSubTokens: old=0, new=1"),
        ("", "max_pending: 9m", "config reload not supported for MaxPending: old=67108864, new=9000000"),
        ("", "max_closed_clients: 1", "config reload not supported for MaxClosedClients: old=10000, new=1"),
        ("", "lame_duck_duration: 90s", "config reload not supported for LameDuckDuration: old=2m0s, new=1m30s"),
        ("", "lame_duck_grace_period: 1s", "config reload not supported for LameDuckGracePeriod: old=10s, new=1s"),
        ("", "log_size_limit: 1", "config reload not supported for LogSizeLimit: old=0, new=1"),
        ("", "log_max_num: 1", "config reload not supported for LogMaxFiles: old=0, new=1"),
        ("", "no_header_support: on", "config reload not supported for NoHeaderSupport: old=false, new=true"),
        ("", "system_account: A\naccounts: [A]", "config reload not supported for SystemAccount: old=, new=A"),
        ("", "no_system_account: on", "config reload not supported for NoSystemAccount: old=false, new=true"),
        ("", "resolver: MEM", "config reload does not support moving to or from an account resolver"),
        ("cluster {port: 1}", "", "config reload not supported for cluster host: old=0.0.0.0, new="),
        ("cluster {port: 1}", "cluster {port: 2}", "config reload not supported for cluster port: old=1, new=2"),
        (
            "cluster {port: 1}",
            "cluster {port: 1, host: h}",
            "config reload not supported for cluster host: old=0.0.0.0, new=h",
        ),
        (
            "authorization {users: [{user: a}]}",
            "authorization {users: [{user: a}]}\nno_auth_user: a",
            "config reload not supported for NoAuthUser: old=, new=a",
        ),
    ],
)
def test_refused(changes, before, after, message):
    found = changes(before, f"{after}\ndebug: true")
    assert refusal(found) == message
    assert any(not change.reloadable for change in found)
    assert any(change.path == "logging.debug" and change.reloadable for change in found)


def test_no_auth_user_may_go_with_its_user(changes):
    before = "authorization {users: [{user: a}, {user: b}]}\nno_auth_user: a"
    assert refusal(changes(before, "authorization {users: [{user: b}]}")) == ""
    message = "config reload not supported for NoAuthUser: old=a, new="
    assert refusal(changes(before, "authorization {users: [{user: a}, {user: b}]}")) == message


def test_every_field_that_cannot_be_reloaded_has_nats_servers_name():
    for path, row in rows_by_field().items():
        if row.reload is Reload.NO:
            assert row.name, path
