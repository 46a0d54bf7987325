"""The table itself: consistent, complete, and the source of the written reference."""

from pathlib import Path

import pytest

from gossamer.mesh.options.baseline import GROUPS
from gossamer.mesh.options.language import digest, parse_text
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.reference import render
from gossamer.mesh.options.table import blocks, rows

ROOT = Path(__file__).parents[2]


def test_keys_are_unique_in_their_block():
    for block in blocks().values():
        keys = [key for row in block.rows for key in row.keys]
        assert len(keys) == len(set(keys)), block.name
        assert all(key == key.lower() for key in keys)


def test_flags_are_unique():
    flags = [flag for row in rows() for flag in row.flags]
    assert len(flags) == len(set(flags))


def test_every_field_exists_and_every_row_says_what_it_is():
    for row in rows():
        assert row.doc.endswith((".", "?")), row.path
        for path in row.fields:
            group, _, name = path.rpartition(".")
            home = GROUPS[group]() if group else Options()
            assert hasattr(home, name), path


def test_blocks_that_are_mentioned_exist():
    names = set(blocks())
    for row in rows():
        kind = row.type.name
        if "block " in kind:
            assert kind.partition("block ")[2].rstrip("]") in names, row.path


@pytest.mark.parametrize(
    ("block", "keys"),
    [
        ("", "listen port host net client_advertise server_name allow_non_tls tls proxy_protocol proxies"),
        ("", "no_header_support disable_sublist_cache no_sublist_cache max_connections max_conn max_subscriptions"),
        ("", "max_subs max_sub_tokens max_subscription_tokens max_control_line max_payload max_pending"),
        ("", "max_closed_clients write_deadline write_timeout ping_interval ping_max no_fast_producer_stall"),
        ("", "lame_duck_duration lame_duck_grace_period connect_error_reports reconnect_error_reports http https"),
        ("", "http_port monitor_port https_port http_base_path debug trace trace_verbose trace_headers logtime"),
        ("", "logtime_utc log_file logfile log_size_limit logfile_size_limit log_max_num logfile_max_num syslog"),
        ("", "remote_syslog max_traced_msg_len pid_file pidfile ports_file_dir prof_port prof_block_rate"),
        ("", "server_tags server_metadata feature_flags system_account system no_system_account no_system"),
        ("", "no_sys_acc no_auth_user default_sentinel default_js_domain store_dir storedir mappings maps ocsp"),
        ("", "ocsp_cache trusted_keys trusted operator operators root roots root_operator root_operators resolver"),
        ("", "account_resolver accounts_resolver resolver_tls resolver_preload resolver_pinned_accounts accounts"),
        ("", "authorization cluster gateway leafnodes leaf websocket ws mqtt jetstream"),
        ("cluster", "name listen port host net authorization permissions routes tls cluster_advertise advertise"),
        ("cluster", "no_advertise connect_retries connect_backoff pool_size accounts compression ping_interval"),
        ("cluster", "ping_max write_deadline write_timeout"),
        ("authorization", "user username pass password token timeout users default_permissions default_permission"),
        ("authorization", "permissions auth_callout auth_hook proxy_required"),
    ],
)
def test_the_options_of_the_specification_are_there(block, keys):
    assert set(keys.split()) <= set(blocks()[block].keys)


def test_the_written_reference_is_up_to_date():
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == render(), "run: python -m gossamer.mesh.options.reference > docs/configuration.md"


def test_defaults_of_the_reference():
    text = render()
    for line in (
        "| `max_payload` | size | 1 MiB |",
        "| `ping_interval` | duration | 2m |",
        "| `port` | integer | 4222 |",
        "| `max_connections`, `max_conn` | integer | 65536 |",
    ):
        assert line in text


def test_lark_is_not_imported_without_a_file():
    """A start by flags alone must not pay for the language."""
    import subprocess
    import sys

    program = (
        "import sys; from gossamer.mesh.options.loading import load; load(['-p', '-1']); "
        "sys.exit('lark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_reading_does_not_depend_on_the_table():
    assert digest(parse_text("port: 4222", "f", environment={})).startswith("sha256:7975")
