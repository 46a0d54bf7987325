"""Options whose feature is not there yet: read, checked, refused with name and place, and accepted when they ask for
nothing (never ignored)."""

import pytest

from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess

WAITING = {
    "tls": ["tls {}", 'tls {cert_file: "c", key_file: "k", verify: true}', "cluster {tls {}}",
            "gateway {name: g, port: 1, tls {}}",
            'gateway {name: g, port: 1, gateways: [{name: h, url: "nats://a", tls {}}]}',
            "leafnodes {tls {}}", 'leafnodes {remotes: [{url: "nats://a", tls {}}]}'],
    "resolver_tls": ["resolver_tls {}"],
    "allow_non_tls": ["allow_non_tls: true"],
    "https": ["https: 8443", 'https: "a:1"'],
    "https_port": ["https_port: 1"],
    "jetstream": ["jetstream: true", "jetstream: enabled", "jetstream {}", 'jetstream {max_mem: "1G", store_dir: x}',
                  "accounts {A {jetstream: enabled}}", "accounts {A {jetstream {max_mem: 1G}}}"],
    "default_js_domain": ["default_js_domain {A: x}"],
    "ws_compression": ['leafnodes {remotes: [{url: "nats://a", ws_compression: true}]}'],
    "proxy": ['leafnodes {remotes: [{url: "nats://a", proxy {url: "http://p:1"}}]}'],
    "js_cluster_migrate": ['leafnodes {remotes: [{url: "nats://a", js_cluster_migrate: true}]}'],
    "websocket": ["websocket {port: 1, no_tls: true}"],
    "mqtt": ["mqtt {port: 1883}"],
    "msg_trace": ["accounts {A {msg_trace: a.b}}"],
    "proxy_protocol": ["proxy_protocol: true"],
    "ocsp": ["ocsp: true", "ocsp {mode: always, urls: [a]}"],
    "ocsp_cache": ["ocsp_cache: true"],
    "prof_port": ["prof_port: 1"],
    "prof_block_rate": ["prof_block_rate: 1"],
    "no_sublist_cache": ["no_sublist_cache: true"],
    "js_ack_fc_v2": ["feature_flags {js_ack_fc_v2: true}"],
}  # fmt: skip

ASKING_FOR_NOTHING = [
    "jetstream: false",
    "jetstream: disabled",
    "jetstream {enabled: false, store_dir: x}",
    "accounts {A {jetstream: disabled, exports: [], imports: [], mappings {}}}",
    "accounts {A {limits {max_leafs: -1}}}",
    "ocsp: false",
    "ocsp {mode: never}",
    "proxy_protocol: false",
    "proxies {}",
    "allow_non_tls: no",
    "https_port: 0",
    "prof_port: 0",
    "write_timeout: close",
    "write_timeout: default",
    "disable_sublist_cache: false",
    "mappings {}",
    "cluster {accounts: [], permissions {}}",
    "feature_flags {js_ack_fc_v2: false}",
    "default_js_domain {}",
    "authorization {proxy_required: false}",
]


def told(files, text):
    files["f.conf"] = text
    loaded = assess(Flags(config="f.conf"), reader=files.reader, environment={})
    return [fault.text for fault in (*loaded.warnings, *loaded.faults)]


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, texts in WAITING.items() for text in texts])
def test_refused_by_name_and_place(files, key, text):
    found = told(files, f"debug: true\n{text}")
    assert len(found) == 1
    assert found[0].startswith("f.conf:2:")
    assert f'"{key}" is not available yet (' in found[0]
    assert found[0].endswith(" to start")


@pytest.mark.parametrize("text", ASKING_FOR_NOTHING)
def test_accepted_when_nothing_is_asked_for(files, text):
    assert told(files, text) == []


def test_the_whole_text(files):
    assert told(files, "port: 1\njetstream {}") == [
        'f.conf:2:1: "jetstream" is not available yet (streams come with a later release); remove it to start'
    ]


def test_what_waits_is_checked_all_the_same(files):
    found = told(files, "jetstream {max_mem: 10GX, stor_dir: x}\nleafnodes {tls {}, remotes: 5}")
    assert found == [
        'f.conf:1:11: max_mem_store strconv.ParseInt: parsing "10G": invalid syntax',
        'f.conf:1:26: unknown field "stor_dir"',
        'f.conf:1:0: "jetstream" is not available yet (streams come with a later release); remove it to start',
        'f.conf:2:12: "tls" is not available yet (TLS comes with a later release); remove it to start',
        "f.conf:2:20: Expected remotes field to be an array, got int64",
    ]


def test_a_flag_that_switches_off_beats_the_file(files):
    files["f.conf"] = "jetstream {}\ntls {}"
    flags = Flags(config="f.conf", off=frozenset({"jetstream", "tls"}))
    assert assess(flags, reader=files.reader, environment={}).faults == ()


def test_schemes_of_leaf_nodes_over_websocket(files):
    found = told(files, 'leafnodes {remotes: [{url: "wss://a"}]}')
    assert found == [
        'f.conf:1:22: "ws" and "wss" as schemes are not available yet (WebSocket comes with a later release); '
        "remove it to start"
    ]
