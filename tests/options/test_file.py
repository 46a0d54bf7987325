"""A file's options as values: defaults, aliases, coercions, and blocks that are available (spec sections 4 to 6)."""

import pytest
from msgspec import structs

from gossamer.auth.permissions import Permissions, ResponsePermissions, SubjectPermissions
from gossamer.auth.settings import AccountLimits, ResolverSettings
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import FaultyConfiguration, assess, load
from gossamer.mesh.options.options import ClusterOptions, CompressionOptions, LimitOptions, Options

SECOND = 1_000_000_000
USER_KEY = "UC6NLCN7AS34YOJVCYD4PJ3QB7QGLYG5B5IMBT25VW5K4TNUJODM7BOX"
ACCOUNT_KEY = "ADN3KQ45JCQXBG7ZHZH4EGWSZPGTEBT7TZZIS5Q5O42GUP53565ILHZK"


@pytest.fixture
def options(files):
    def options(text, *arguments, **environment):
        files["f.conf"] = text
        return load(["-c", "f.conf", *arguments], reader=files.reader, environment=environment)

    return options


@pytest.fixture
def faults(files):
    def faults(text, **environment):
        files["f.conf"] = text
        loaded = assess(Flags(config="f.conf"), reader=files.reader, environment=environment)
        return [fault.text for fault in (*loaded.warnings, *loaded.faults)]

    return faults


def test_defaults(options):
    found = options("debug: false")
    assert (found.host, found.port, found.server_name) == ("0.0.0.0", 4222, "")
    assert found.limits == LimitOptions(
        max_connections=65536,
        max_subscriptions=0,
        max_sub_tokens=0,
        max_control_line=4096,
        max_payload=1024 * 1024,
        max_pending=64 * 1024 * 1024,
        max_closed_clients=10000,
        write_deadline_ns=10 * SECOND,
        ping_interval_ns=120 * SECOND,
        ping_max=2,
        no_fast_producer_stall=False,
    )
    assert (found.lame_duck.duration_ns, found.lame_duck.grace_period_ns) == (120 * SECOND, 10 * SECOND)
    assert found.logging.logtime
    assert found.monitor.port == 0
    assert found.cluster is None
    assert found.config_file == "f.conf"
    assert found.config_digest.startswith("sha256:")


@pytest.mark.parametrize(
    ("text", "path", "meant"),
    [
        ("listen: 4444", "port", 4444),
        ('listen: "127.0.0.1:-1"', "port", -1),
        ('listen: "127.0.0.1:-1"', "host", "127.0.0.1"),
        ('listen: "[::1]:4222"', "host", "::1"),
        ('listen: ":4223"', "host", "0.0.0.0"),
        ("listen: 0", "port", 4222),
        ("PORT: 5", "port", 5),
        ("net: h", "host", "h"),
        ("max_conn: 5", "limits.max_connections", 5),
        ("max_connections: 0", "limits.max_connections", 0),
        ("max_connections: -1", "limits.max_connections", -1),
        ("max_subs: 5", "limits.max_subscriptions", 5),
        ("max_subscription_tokens: 8", "limits.max_sub_tokens", 8),
        ("max_payload: 1K", "limits.max_payload", 1000),
        ("max_payload: 1KB", "limits.max_payload", 1024),
        ("max_payload: 1MiB", "limits.max_payload", 1048576),
        ("max_payload: 0", "limits.max_payload", 1048576),
        ("max_control_line: 8kb", "limits.max_control_line", 8192),
        ("max_pending: 128MB", "limits.max_pending", 128 * 2**20),
        ('ping_interval: "10s"', "limits.ping_interval_ns", 10 * SECOND),
        ("ping_interval: 10s", "limits.ping_interval_ns", 10 * SECOND),
        ("ping_interval: 60", "limits.ping_interval_ns", 60 * SECOND),
        ("ping_interval: 1m", "limits.ping_interval_ns", 1_000_000 * SECOND),
        ("ping_interval: 0", "limits.ping_interval_ns", 120 * SECOND),
        ('ping_interval: "0s"', "limits.ping_interval_ns", 120 * SECOND),
        ("lame_duck_duration: 1m30s", "lame_duck.duration_ns", 90 * SECOND),
        ("http: 8222", "monitor.port", 8222),
        ("http: 8222", "monitor.host", "0.0.0.0"),
        ('host: h, http: "a:1"', "monitor.host", "a"),
        ("host: h, monitor_port: 1", "monitor.host", "h"),
        ("http_base_path: /a//b/", "monitor.base_path", "/a/b"),
        ("http_base_path: a", "monitor.base_path", "/a"),
        ("trace_verbose: true", "logging.trace", True),
        ("trace_headers: on", "logging.trace", True),
        ("logfile: x", "logging.log_file", "x"),
        ("logfile_size_limit: 1k", "logging.log_size_limit", 1000),
        ("logfile_max_num: 3", "logging.log_max_num", 3),
        ("pidfile: p", "pid_file", "p"),
        ('server_tags: [B, a, "B", "x y"]', "server_tags", ("b", "a", "x y")),
        ('server_tags: "a"', "server_tags", ("a",)),
        ("server_metadata {A: x, b: y}", "server_metadata", (("A", "x"), ("b", "y"))),
        ("feature_flags {later: true, js_raft_delete_range: true}", "feature_flags",
         (("later", True), ("js_raft_delete_range", True))),
        ("system: S, accounts: [S]", "authorization.system_account", "S"),
        ("no_sys_acc: true", "authorization.no_system_account", True),
        ("authorization {timeout: 1.5}", "authorization.timeout_ns", 1_500_000_000),
        ('authorization {timeout: "3s"}', "authorization.timeout_ns", 3 * SECOND),
        ("authorization {timeout: 1m}", "authorization.timeout_ns", 1_000_000 * SECOND),
        ("authorization {token: t}", "authorization.token", "t"),
        ("authorization {USERNAME: a, pass: b}", "authorization.password", "b"),
        ("authorization {users: []}", "authorization.users", ()),
        ("store_dir: d", "store_dir", "d"),
        ("max_payload: 1000\nmax_payload: 2000", "limits.max_payload", 2000),
        ("SZ=3000\nmax_payload: $SZ", "limits.max_payload", 3000),
        ("port: 1\nPORT: 2", "port", 2),
    ],
)  # fmt: skip
def test_values(options, text, path, meant):
    found = options(text)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == meant
    assert type(found) is type(meant)


def test_warnings_do_not_stop_a_start(faults, options):
    text = "ping_interval: 60"
    warning = 'f.conf:1:0: invalid use of field "ping_interval": ping_interval should be converted to a duration'
    assert faults(text) == [warning]
    assert options(text).limits.ping_interval_ns == 60 * SECOND


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: 1", 'f.conf:1:0: unknown field "x"'),
        ("SZ=3000", 'f.conf:1:0: unknown field "SZ"'),
        ("port: 1\n cluster {\n  namee: x\n}", 'f.conf:3:3: unknown field "namee"'),
        ('debug: "true"', "f.conf:1:0: interface conversion: interface {} is string, not bool"),
        ("max_payload: 1024b", "f.conf:1:0: interface conversion: interface {} is string, not int64"),
        ('max_payload: "1mb"', "f.conf:1:0: interface conversion: interface {} is string, not int64"),
        ("max_payload: 3g", "f.conf:1:0: max_payload value is too big"),
        ("lame_duck_duration: 1m", "f.conf:1:0: interface conversion: interface {} is int64, not string"),
        ("authorization {token: 123}", "f.conf:1:15: interface conversion: interface {} is int64, not string"),
        ('listen: "localhost"', 'f.conf:1:0: could not parse address string "localhost"'),
        ('listen: "h:abc"', 'f.conf:1:0: could not parse port "abc"'),
        ("accounts: 5", "f.conf:1:0: Expected accounts to be a map or an array, got int64"),
        ("", "f.conf: config has no values or is empty"),
        ("# only a comment", "f.conf: config has no values or is empty"),
        ('server_name: "\\xff"', "f.conf:1:0: text is not valid UTF-8"),
        ("port: 99999", "invalid port 99999: a port is 1 to 65535, or -1 for a free one"),
    ],
)
def test_faults(faults, text, message):
    assert faults(text) == [message]


def test_all_faults_at_once_in_the_order_of_the_file(faults):
    assert faults("x: 1\nport: a\nping_interval: 5\ny: 2") == [
        'f.conf:3:1: invalid use of field "ping_interval": ping_interval should be converted to a duration',
        'f.conf:1:0: unknown field "x"',
        "f.conf:2:1: interface conversion: interface {} is string, not int64",
        'f.conf:4:1: unknown field "y"',
    ]


class TestSecurity:
    def test_users(self, options):
        text = f"""
        authorization {{
          default_permissions {{ publish: ["a", "b.>"] }}
          users: [
            {{user: a, password: p, allowed_connection_types: [standard, "MQTT"]}}
            {{nkey: {USER_KEY}, permission: {{sub: "q.* workers"}}}}
          ]
        }}"""
        found = options(text).authorization
        assert found.default_permissions == Permissions(publish=SubjectPermissions(allow=("a", "b.>")))
        first, second = found.users
        assert (first.name, first.password, first.account) == ("a", "p", "$G")
        assert first.connection_types == ("STANDARD", "MQTT")
        assert first.permissions is None
        assert second.nkey == USER_KEY
        assert second.permissions == Permissions(subscribe=SubjectPermissions(allow=("q.* workers",)))
        assert first.place == "f.conf:5:13"

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("{}", Permissions()),
            ("{publish: {}}", Permissions()),
            ("{publish: []}", Permissions()),
            ("{pub: {allow: a, deny: [b, c]}}", Permissions(publish=SubjectPermissions(allow=("a",), deny=("b", "c")))),
            ('{export: ["a  q"]}', Permissions(subscribe=SubjectPermissions(allow=("a q",)))),
            (
                "{allow_responses: true}",
                Permissions(publish=SubjectPermissions(allow=()), responses=ResponsePermissions()),
            ),
            ("{allow_responses: false}", Permissions()),
            (
                "{pub: a, publish_allow_responses: {max_msgs: 5, ttl: 10s}}",
                Permissions(
                    publish=SubjectPermissions(allow=("a",)),
                    responses=ResponsePermissions(max_messages=5, ttl_ns=10 * SECOND),
                ),
            ),
            (
                '{pub: a, allow_responses: {max: -1, expires: "-1s"}}',
                Permissions(
                    publish=SubjectPermissions(allow=("a",)),
                    responses=ResponsePermissions(max_messages=-1, ttl_ns=-SECOND),
                ),
            ),
            (
                "{pub: {deny: b}, allow_responses: {max: 0}}",
                Permissions(publish=SubjectPermissions(allow=(), deny=("b",)), responses=ResponsePermissions()),
            ),
        ],
    )
    def test_permissions(self, options, text, meant):
        found = options(f"authorization {{users: [{{user: a, password: b, permissions: {text}}}]}}")
        assert found.authorization.users[0].permissions == meant

    def test_accounts(self, options):
        text = f"""
        system_account: $SYS_NAME
        accounts {{
          A {{ nkey: {ACCOUNT_KEY}, users: [{{user: a, password: b}}], limits {{max_conn: 5, max_subs: 6, max_pay: 1k}}
               default_permissions: {{ subscribe: {{ deny: ">" }} }} }}
          $SYS {{ users: [{{user: s, password: s}}] }}
        }}
        no_auth_user: a"""
        found = options(text, SYS_NAME='"$SYS"').authorization
        one, other = found.accounts
        assert (one.name, one.nkey, other.name) == ("A", ACCOUNT_KEY, "$SYS")
        assert one.limits == AccountLimits(max_connections=5, max_subscriptions=6, max_payload=1000)
        assert one.default_permissions == Permissions(subscribe=SubjectPermissions(deny=(">",)))
        assert [(user.name, user.account) for user in found.users] == [("a", "A"), ("s", "$SYS")]
        assert (found.system_account, found.no_auth_user) == ("$SYS", "a")

    def test_accounts_as_a_list(self, options):
        assert [account.name for account in options("accounts: [A, B]").authorization.accounts] == ["A", "B"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("authorization { user: a, password: b, token: c }", "f.conf:1:0: Cannot have a user/pass and token"),
            (
                "authorization { user: a, password: b, users: [{user: c}] }",
                "f.conf:1:0: Can not have a single user/pass and a users array",
            ),
            (
                "authorization {users: [{user: a}]}\naccounts: {A: {users: [{user: a}]}}",
                'f.conf:2:16: Duplicate user "a" detected',
            ),
            (
                "authorization {token: a}\naccounts: {A: {users: [{user: c}]}}",
                "f.conf:2:16: Can not have a token and accounts",
            ),
            ('accounts { "$G" { users: [{user: a}] } }', 'f.conf:1:12: "$G" is a Reserved Account'),
            ("no_auth_user: x", 'no_auth_user: "x" present, but users/nkeys are not defined'),
            (
                "no_auth_user: b\nauthorization {users: [{user: a}]}",
                'no_auth_user: "b" not present as user or nkey in authorization block or account configuration',
            ),
            ("default_sentinel: abc", "default sentinel requires operators and accounts"),
            ("operator: eyJabc", "f.conf:1:0: error parsing operator JWT: expected 3 chunks"),
            ("operator: nope", "f.conf:1:0: error parsing operator JWT: open nope: no such file or directory"),
        ],
    )
    def test_refusals(self, faults, text, message):
        assert faults(text)[0] == message

    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("MEM", ResolverSettings(kind="memory")),
            ("memory", ResolverSettings(kind="memory")),
            ("{type: FULL, dir: d}", ResolverSettings(kind="full", directory="d")),
            (
                "{type: full, dir: d, limit: 5, interval: 10s, timeout: 3s, allow_delete: true, hard_delete: true}",
                ResolverSettings(
                    kind="full",
                    directory="d",
                    limit=5,
                    interval_ns=10 * SECOND,
                    timeout_ns=3 * SECOND,
                    allow_delete=True,
                    hard_delete=True,
                ),
            ),
            (
                "{type: cache, dir: d, ttl: 1h}",
                ResolverSettings(kind="cache", directory="d", limit=1000, ttl_ns=3600 * SECOND),
            ),
        ],
    )
    def test_resolver(self, options, text, meant):
        assert options(f"resolver: {text}").authorization.resolver == meant


class TestCluster:
    def test_all_of_it(self, options):
        text = """
        write_deadline: 5s
        ping_max: 3
        cluster {
          name: c, listen: "127.0.0.1:-1"
          authorization {user: u, password: p, timeout: 0.5}
          routes: ["nats://u:p@a:1", "nats-route://b:2"]
          cluster_advertise: "x:1", no_advertise: true, connect_retries: 7, connect_backoff: true
          pool_size: 7, accounts: [A, B], compression {mode: auto, rtt_thresholds: [0ms, 5ms]}
        }"""
        assert options(text).cluster == ClusterOptions(
            name="c",
            host="127.0.0.1",
            port=-1,
            user="u",
            password="p",
            auth_timeout_ns=SECOND // 2,
            routes=("nats://u:p@a:1", "nats-route://b:2"),
            advertise="x:1",
            no_advertise=True,
            connect_retries=7,
            connect_backoff=True,
            pool_size=7,
            accounts=("A", "B"),
            compression=CompressionOptions(mode="s2_auto", rtt_thresholds_ns=(0, SECOND // 200)),
            ping_interval_ns=30 * SECOND,
            ping_max=3,
            write_deadline_ns=5 * SECOND,
        )

    @pytest.mark.parametrize(
        "text",
        [
            "permissions {import: a, export {allow: [b], deny: c}}",
            "permissions {import: a, export {allow: [b], deny: c}}, authorization {permissions {import: x}}",
            "authorization {permissions {import: x}}, permissions {import: a, export {allow: [b], deny: c}}",
            "authorization {permissions {import: a, export {allow: [b], deny: c}}}",
        ],
    )
    def test_permissions(self, options, text):
        meant = Permissions(
            publish=SubjectPermissions(allow=("a",)), subscribe=SubjectPermissions(allow=("b",), deny=("c",))
        )
        assert options(f"cluster {{port: 1, {text}}}").cluster.permissions == meant

    def test_no_port_no_cluster(self, options):
        assert options('cluster {name: c, routes: ["nats://a:1"]}').cluster is None

    def test_pings_are_bounded(self, options, faults):
        text = 'cluster {port: 1, ping_interval: "40s"}'
        assert options(text).cluster.ping_interval_ns == 30 * SECOND
        warning = "f.conf:1:18: Cluster 'ping_interval' will reset to 30s which is the max for routes"
        assert faults(text) == [warning]

    @pytest.mark.parametrize(
        ("said", "mode"),
        [
            *(("off", "off"), ("disabled", "off"), ("false", "off"), ("accept", "accept"), ("ACCEPT", "accept")),
            *(("{}", "accept"), ('""', "accept"), ("{mode: accept}", "accept"), ("true", "s2_fast"), ("on", "s2_fast")),
            *(("fast", "s2_fast"), ("auto", "s2_auto"), ("s2_better", "s2_better"), ("{mode: best}", "s2_best")),
        ],
    )
    def test_words_for_compression(self, options, said, mode):
        assert options(f"cluster {{port: 1, compression: {said}}}").cluster.compression.mode == mode

    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ("accounts: [A], pool_size: -1", "pool_size cannot be negative if pinned accounts are specified"),
            ("accounts: [A, A]", 'found duplicate account name "A" in pinned accounts list ["A" "A" "$SYS"]'),
            ("accounts: [A]", ""),
        ],
    )
    def test_pinned_accounts_that_cannot_be(self, faults, more, text):
        assert faults(f"accounts {{A {{}}}}, cluster {{name: c, port: 1, {more}}}") == ([text] if text else [])

    def test_unknown_compression_is_refused_at_start(self, faults):
        assert faults("cluster {compression: foo}") == ['unsupported compression mode "foo"']

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("authorization {users: []}", "Cluster authorization does not allow multiple users"),
            ("authorization {token: a}", "Cluster authorization does not support tokens"),
            ('permissions {export: "b q"}', 'cluster export allow: subject "b q" is not a valid subject'),
            ('permissions {export {deny: "b q"}}', 'cluster export deny: subject "b q" is not a valid subject'),
            ("permissions {allow_responses: true}", "Cluster permissions do not support dynamic responses"),
            ('routes: "nats://a:1"', "interface conversion: interface {} is string, not []interface {}"),
            ('name: "a b"', "cluster name cannot contain spaces"),
        ],
    )
    def test_refusals(self, faults, text, message):
        assert faults(f"cluster {{{text}}}") == [f"f.conf:1:9: {message}"]


class TestStart:
    """What only a start finds (spec configuration section 8)."""

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "lame_duck_duration: 30s, lame_duck_grace_period: 30s",
                "lame duck grace period (30s) should be strictly lower than lame duck duration (30s)",
            ),
            (
                "max_payload: 65MB",
                "max_payload (68157440) cannot be higher than max_pending (67108864)",
            ),
        ],
    )
    def test_refusals(self, files, text, message):
        files["f.conf"] = text
        loaded = assess(Flags(config="f.conf"), reader=files.reader, environment={})
        assert [fault.text for fault in loaded.faults] == [message]
        assert loaded.faults[0].at_start
        assert loaded.faults[0].place.line == 1

    def test_notices(self, files):
        files["f.conf"] = "authorization {user: a, password: b}\nmax_payload: 9MB\ncluster {port: -1}"
        assert assess(Flags(config="f.conf"), reader=files.reader, environment={}).notices == (
            "Plaintext passwords detected, use nkeys or bcrypt",
            "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance",
            "Cluster name was dynamically generated, consider setting one",
        )
        files["f.conf"] = 'authorization {user: a, password: "$2b$11$abcdefghijklmnopqrstuv"}'
        assert assess(Flags(config="f.conf"), reader=files.reader, environment={}).notices == ()


def test_a_faulty_file_raises_with_everything(files):
    files["f.conf"] = "x: 1\ny: 2"
    with pytest.raises(FaultyConfiguration, match=r"f\.conf:1:0: unknown field") as caught:
        load(["-c", "f.conf"], reader=files.reader, environment={})
    assert len(caught.value.loaded.faults) == 2


def test_a_missing_file(files):
    with pytest.raises(FaultyConfiguration, match=r"^open g\.conf: no such file or directory$"):
        load(["-c", "g.conf"], reader=files.reader, environment={})


def test_options_by_hand_are_those_of_an_empty_command_line():
    made = structs.replace(Options(), monitor=structs.replace(Options().monitor, host="0.0.0.0"))
    assert load([], environment={}) == made
