"""The monitoring port against the shapes of nats-server (spec system-and-monitoring sections 10 to 13)."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.settings import AccountSettings, AuthSettings, UserSettings
from gossamer.mesh.engine.events import Denied
from gossamer.mesh.engine.kinds import Action, CloseReason

DENY = Permissions(publish=SubjectPermissions(deny=("no.>",)))
#: What /varz of nats-server 2.15.1 always has, whatever is configured.
VARZ_KEYS = [
    "server_id",
    "server_name",
    "version",
    "proto",
    "go",
    "host",
    "port",
    "max_connections",
    "ping_interval",
    "ping_max",
    "http_host",
    "http_port",
    "http_base_path",
    "https_port",
    "auth_timeout",
    "max_control_line",
    "max_payload",
    "max_pending",
    "cluster",
    "gateway",
    "leaf",
    "mqtt",
    "websocket",
    "jetstream",
    "tls_timeout",
    "write_deadline",
    "start",
    "now",
    "uptime",
    "mem",
    "cores",
    "gomaxprocs",
    "cpu",
    "connections",
    "total_connections",
    "routes",
    "remotes",
    "leafnodes",
    "in_msgs",
    "out_msgs",
    "in_bytes",
    "out_bytes",
    "in_client_msgs",
    "in_client_bytes",
    "out_client_msgs",
    "out_client_bytes",
    "slow_consumers",
    "stale_connections",
    "stalled_clients",
    "subscriptions",
    "http_req_stats",
    "config_load_time",
    "config_digest",
    "slow_consumer_stats",
    "stale_connection_stats",
    "disk_io_wait_stats",
    "system_account",
]


def test_varz(site: Any) -> None:
    site.client(50)
    found = site.json("/varz")
    assert set(VARZ_KEYS) <= set(found)
    assert found["server_id"] == site.node.identity.server_id
    assert found["port"] == site.node.port
    assert found["connections"] == 1
    assert found["total_connections"] == 1
    assert (found["in_msgs"], found["out_msgs"], found["in_bytes"], found["out_bytes"]) == (11, 12, 13, 14)
    assert found["slow_consumers"] == 10
    assert found["slow_consumer_stats"] == {"clients": 1, "routes": 2, "gateways": 3, "leafs": 4}
    assert found["mem"] > 1_000_000
    assert found["cluster"] == {}
    for name in ("ping_interval", "write_deadline", "max_payload", "mem", "auth_timeout"):
        assert isinstance(found[name], int), name
    assert "auth_required" not in found
    assert "tags" not in found


def test_requests_are_counted_by_path(site: Any) -> None:
    site.get("/subscriptionsz")
    site.get("/subsz")
    site.get("/nosuch")
    found = site.json("/varz")["http_req_stats"]
    assert found == {"/subsz": 2, "/varz": 1}


def test_other_paths_are_not_found(site: Any) -> None:
    status, headers, body = site.get("/expvarz")
    assert (status, body) == (404, b"404 page not found\n")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_root_page(site: Any) -> None:
    status, headers, body = site.get("/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'href="./varz"' in body


def test_documents_are_indented_and_have_no_final_newline(site: Any) -> None:
    _, _, body = site.get("/connz")
    assert body.startswith(b'{\n  "server_id": "N')
    assert not body.endswith(b"\n")


def test_base_path(make_site: Any) -> None:
    site = make_site(base_path="/nats")
    assert site.json("/nats/varz")["http_base_path"] == "/nats"
    assert site.get("/nats")[0] == 200
    assert b'href="./nats/varz"' in site.get("/nats")[2]
    assert site.get("/nats/")[0] == 404
    assert site.get("/varz")[0] == 404
    assert site.get("/natsvarz")[0] == 404


def test_connz(site: Any) -> None:
    site.client(51, "b", in_messages=1, rtt_ns=355_000, stalls=2)
    site.client(50, "a", in_messages=9, subscriptions=3)
    found = site.json("/connz")
    assert found["num_connections"] == found["total"] == 2
    assert (found["offset"], found["limit"]) == (0, 1024)
    first, second = found["connections"]
    assert (first["cid"], second["cid"]) == (50, 51)
    assert first["kind"] == "Client"
    assert first["type"] == "nats"
    assert first["ip"] == "127.0.0.1"
    assert first["port"] == 40_050
    assert first["in_msgs"] == 9
    assert first["subscriptions"] == 3
    assert first["rtt"] == "0s"
    assert "stalls" not in first
    assert (first["name"], first["lang"], first["version"]) == ("a", "py", "1")
    assert second["rtt"] == "355µs"
    assert second["stalls"] == 2
    assert "authorized_user" not in first
    assert "stop" not in first
    assert [call["link"] for call in site.engine.of("ping")] == [50]  # its round-trip time is not known


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("cid", [50, 51, 52]),
        ("start", [50, 51, 52]),
        ("msgs_from", [51, 52, 50]),
        ("bytes_to", [52, 50, 51]),
        ("subs", [50, 52, 51]),
        ("last", [50, 51, 52]),
        ("idle", [52, 51, 50]),
        ("rtt", [51, 50, 52]),
    ],
)
def test_connz_sorts(site: Any, sort: str, order: list[int]) -> None:
    site.client(50, in_messages=1, out_bytes=5, subscriptions=9, rtt_ns=20, last_activity_ns=site.engine.now_ns)
    site.client(51, in_messages=3, out_bytes=4, subscriptions=1, rtt_ns=30, last_activity_ns=site.engine.now_ns - 10**6)
    site.client(52, in_messages=2, out_bytes=6, subscriptions=5, rtt_ns=10, last_activity_ns=site.engine.now_ns - 10**9)
    for client in site.node.clients:  # as if connected long ago, so that activity is not cut off at the start
        client.start_ns -= 10**10
    found = site.json(f"/connz?sort={sort}")
    assert [row["cid"] for row in found["connections"]] == order


def test_connz_pages(site: Any) -> None:
    for link in range(50, 55):
        site.client(link)
    found = site.json("/connz?offset=1&limit=2")
    assert [row["cid"] for row in found["connections"]] == [51, 52]
    assert (found["num_connections"], found["total"], found["offset"], found["limit"]) == (2, 5, 1, 2)
    assert site.json("/connz?offset=9")["connections"] == []
    assert site.json("/connz?limit=-1")["limit"] == 1024


def test_connz_of_one(site: Any) -> None:
    site.client(50)
    site.client(51)
    found = site.json("/connz?cid=51")
    assert [row["cid"] for row in found["connections"]] == [51]
    assert found["limit"] == 1
    assert site.json("/connz?cid=99999")["connections"] == []


def test_connz_states(site: Any) -> None:
    site.client(50)
    site.client(51)
    site.gone(51, CloseReason.STALE_CONNECTION)
    assert [row["cid"] for row in site.json("/connz")["connections"]] == [50]
    (row,) = site.json("/connz?state=closed&sort=stop")["connections"]
    assert row["cid"] == 51
    assert row["reason"] == "Stale Connection"
    assert row["stop"] >= row["start"]
    assert (row["in_msgs"], row["out_msgs"], row["in_bytes"], row["out_bytes"]) == (1, 2, 3, 4)
    assert [row["cid"] for row in site.json("/connz?state=any")["connections"]] == [50, 51]
    assert [row["cid"] for row in site.json("/connz?state=ALL")["connections"]] == [50, 51]


def test_connz_subscriptions(site: Any) -> None:
    site.client(50, subscriptions=1)
    site.engine.details = [
        SimpleNamespace(
            link=50, kind=0, account=1, subject=b"foo.*", queue=b"q", sid=b"7", messages=3, max_messages=0, weight=1
        )
    ]
    (row,) = site.json("/connz?subs=1")["connections"]
    assert row["subscriptions_list"] == ["foo.*"]
    (row,) = site.json("/connz?subs=detail")["connections"]
    assert row["subscriptions_list_detail"] == [{"subject": "foo.*", "qgroup": "q", "sid": "7", "msgs": 3, "cid": 50}]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/connz?sort=bogus", b"invalid sorting option: bogus"),
        ("/connz?sort=stop", b"sort by stop only valid on closed connections"),
        ("/connz?sort=reason&state=any", b"sort by reason only valid on closed connections"),
        ("/connz?state=weird", b"Error decoding state for weird"),
        ("/connz?limit=abc", b"Error decoding int for 'limit': strconv.Atoi: parsing \"abc\": invalid syntax"),
        (
            "/connz?auth=maybe",
            b"Error decoding boolean for 'auth': strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        ("/subsz?test=foo.*", b"invalid test subject, must be valid publish subject: foo.*"),
    ],
)
def test_bad_parameters(site: Any, path: str, text: bytes) -> None:
    status, headers, body = site.get(path)
    assert (status, body) == (400, text)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


def test_connz_of_an_account(make_site: Any) -> None:
    site = make_site(authorization=AuthSettings(accounts=(AccountSettings(name="A"),)))
    site.client(50)
    assert site.json("/connz?acc=$G")["total"] == 1
    found = site.json("/connz?acc=A")
    assert found["total"] == 0
    assert found["server_id"]
    assert site.json("/connz?acc=nope")["server_id"] == ""


def test_subsz(site: Any) -> None:
    found = site.json("/subsz")
    assert found["num_subscriptions"] == 15
    assert found["num_cache"] == 20
    assert found["cache_hit_rate"] == 0.75
    assert (found["total"], found["offset"], found["limit"]) == (0, 0, 1024)
    assert "subscriptions_list" not in found
    detail = {"account": 1, "subject": b"a", "queue": b"", "sid": b"1", "messages": 2, "max_messages": 5, "weight": 1}
    site.engine.details = [
        SimpleNamespace(link=50, kind=0, **detail),
        SimpleNamespace(link=60, kind=1, **detail),  # of a route: not local
    ]
    found = site.json("/subsz?subs=1")
    assert found["total"] == 1
    assert found["subscriptions_list"] == [
        {"account": "$G", "account_tag": "$G", "subject": "a", "sid": "1", "msgs": 2, "max": 5, "cid": 50}
    ]


def test_routez_without_a_cluster(site: Any) -> None:
    found = site.json("/routez")
    assert found["num_routes"] == 0
    assert found["routes"] == []
    assert found["server_name"] == site.node.name


def test_healthz(site: Any) -> None:
    assert site.get("/healthz")[2] == b'{"status":"ok"}'
    assert site.get("/healthz?js-server-only=1&details=true")[2] == b'{"status":"ok"}'
    status, _, body = site.get("/healthz?stream=S")
    assert status == 400
    assert json.loads(body) == {
        "status": "error",
        "error": '"account" must not be empty when checking stream health',
    }
    status, _, body = site.get("/healthz?consumer=C&details=1")
    assert status == 400
    assert json.loads(body)["errors"][0]["type"] == "BAD_REQUEST"


def test_metrics(site: Any) -> None:
    site.client(50)
    site.client(51)
    site.gone(51)
    status, headers, body = site.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = body.decode().splitlines()
    assert "gossamer_connections 1.0" in lines
    assert "gossamer_connections_accepted_total 2.0" in lines
    assert 'gossamer_connections_closed_total{reason="Client Closed"} 1.0' in lines
    assert "gossamer_messages_received_total 11.0" in lines
    assert 'gossamer_slow_consumers_total{kind="leaf"} 4.0' in lines
    assert 'gossamer_account_connections{account="$G"} 1.0' in lines
    assert any(line.startswith("gossamer_server_info{") and site.node.identity.server_id in line for line in lines)


def test_reasons(make_site: Any) -> None:
    users = (UserSettings(name="a", password="p", account="A", permissions=DENY),)
    site = make_site(authorization=AuthSettings(users=users, accounts=(AccountSettings(name="A"),)))
    site.arrive(50, {"user": "a", "pass": "p"})
    site.engine.push(Denied(50, Action.PUBLISH, b"no.1", b"", 4))
    site.arrive(51, {"user": "a", "pass": "geheim"})
    found = site.json("/reasons")
    assert (found["denials_total"], found["refusals_total"]) == (5, 1)
    (denial,) = found["denials"]
    assert denial.pop("time")
    assert denial == {
        "cid": 50, "account": "A", "user": "a", "action": "publish", "subject": "no.1", "rule": 'deny "no.>"'
    }  # fmt: skip
    (refusal,) = found["refusals"]
    assert (refusal["cid"], refusal["user"], refusal["code"]) == (51, "a", "password_wrong")
    assert refusal["reason"] == "Authentication Failure"
    assert "geheim" not in site.get("/reasons")[2].decode()
    assert site.json("/reasons?acc=B")["denials"] == []
    assert site.json("/reasons?user=a&limit=1")["refusals"]
