"""Options that several commands share, and the edits that are made of them. Flag names are nsc's."""

import re
from collections.abc import Callable
from typing import Any

import click

from gossamer.auth.claims import TimeRange
from gossamer.auth.places import parse_network, parse_time_of_day, zone_named
from gossamer.operator.commands.amounts import moment_now, parse_duration, parse_moment, parse_size, split_list
from gossamer.operator.failure import usage
from gossamer.operator.tenants.edits import ClaimEdit, GrantEdit, LimitEdit, PermissionEdit, StorageEdit

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Given = dict[str, Any]


def together(*options: Decorator) -> Decorator:
    """One decorator of many, in the order of the help."""

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            body = option(body)
        return body

    return decorate


def many(*names: str, help_text: str) -> Decorator:
    """An option that may be repeated, or hold several values with commas between."""
    return click.option(*names, multiple=True, metavar="LIST", help=help_text)


def size(*names: str, help_text: str) -> Decorator:
    """A size or a count; -1 unlimited."""
    return click.option(*names, metavar="SIZE", default=None, help=help_text)


account_option = click.option(
    "-a", "--account", "account_name", metavar="NAME", default="", help="Account; default: the context's."
)

claim_options = together(
    many("--tag", help_text="Tags to add."),
    click.option("--expiry", metavar="DATE", default=None, help="When it ends: 0 (never), 2030-01-31, 90d, 1y."),
    click.option("--start", metavar="DATE", default=None, help="From when it counts: 0 (at once), a date, 1h."),
)
remove_tag_option = many("--rm-tag", help_text="Tags to remove.")

permission_options = together(
    many("--allow-pub", help_text="Subjects it may publish to."),
    many("--allow-sub", help_text="Subjects, or 'subject queue', it may subscribe to."),
    many("--allow-pubsub", help_text="Both."),
    many("--deny-pub", help_text="Subjects it may not publish to."),
    many("--deny-sub", help_text="Subjects, or 'subject queue', it may not subscribe to."),
    many("--deny-pubsub", help_text="Both."),
    click.option(
        "--allow-pub-response",
        is_flag=False,
        flag_value="1",
        default=None,
        metavar="[N]",
        help="May answer requests it got, N times each (--allow-pub-response=N; 1 without a number).",
    ),
    click.option("--response-ttl", metavar="DURATION", default=None, help="How long it may answer: 30s, 2m."),
)
remove_permission_options = together(
    many("--rm", help_text="Subjects to remove from all lists."),
    click.option("--rm-response-perms", is_flag=True, help="May no longer answer."),
)

grant_options = together(
    permission_options,
    size("--subs", help_text="Subscriptions at most."),
    size("--data", help_text="Bytes at most (stored, not enforced by servers)."),
    size("--payload", help_text="Bytes of a message at most."),
    click.option("--bearer/--no-bearer", default=None, help="The token alone is enough, without the seed."),
    click.option("--proxy-required/--no-proxy-required", default=None, help="Only through a trusted proxy."),
    many("--source-network", help_text="Networks it may come from (CIDR)."),
    many("--conn-type", help_text="Connection types: STANDARD, WEBSOCKET, LEAFNODE, MQTT ..."),
    many("--time", help_text="Times of day: 08:00:00-17:00:00."),
    click.option("--locale", metavar="ZONE", default=None, help="Zone of the times: Europe/Vienna."),
)
remove_grant_options = together(
    remove_permission_options,
    many("--rm-source-network", help_text="Networks to remove."),
    many("--rm-conn-type", help_text="Connection types to remove."),
    many("--rm-time", help_text="Times to remove, by their start."),
)

limit_options = together(
    size("--conns", help_text="Connections at most."),
    size("--leaf-conns", help_text="Leaf nodes at most."),
    size("--subscriptions", help_text="Subscriptions of a connection at most."),
    size("--payload", help_text="Bytes of a message at most."),
    size("--data", help_text="Bytes at most (stored, not enforced by servers)."),
    size("--exports", help_text="Exports at most."),
    size("--imports", help_text="Imports at most."),
    click.option("--wildcard-exports/--no-wildcard-exports", default=None, help="Exports may have wildcards."),
    click.option("--disallow-bearer/--allow-bearer", default=None, help="Users may not use bearer tokens."),
    click.option("--js-tier", type=int, default=None, help="Replicas the --js options are about (0: no tiers)."),
    click.option("--js-enable", type=int, default=None, metavar="TIER", help="Unlimited stream storage in a tier."),
    size("--js-mem-storage", help_text="Stream storage in memory."),
    size("--js-disk-storage", help_text="Stream storage on disk."),
    size("--js-streams", help_text="Streams at most."),
    size("--js-consumer", help_text="Consumers at most."),
    size("--js-max-mem-stream", help_text="Bytes of a stream in memory at most."),
    size("--js-max-disk-stream", help_text="Bytes of a stream on disk at most."),
    size("--js-max-ack-pending", help_text="Unacknowledged messages of a consumer at most."),
    click.option("--js-max-bytes-required/--no-js-max-bytes-required", default=None, help="Streams must name a size."),
    click.option("--rm-js-tier", type=int, multiple=True, help="Remove a tier."),
    click.option("--js-disable", is_flag=True, help="No stream storage at all."),
)


def claim_edit(given: Given) -> ClaimEdit:
    """Take the options every claim has out of ``given``. Raises Failure (usage)."""
    now = moment_now()
    expiry, start = given.pop("expiry", None), given.pop("start", None)
    return ClaimEdit(
        tags=tuple(split_list(given.pop("tag", ()))),
        remove_tags=tuple(split_list(given.pop("rm_tag", ()))),
        expires=None if expiry is None else parse_moment(expiry, now),
        not_before=None if start is None else parse_moment(start, now),
    )


def permission_edit(given: Given) -> PermissionEdit:
    """Take the permission options out of ``given``. Raises Failure (usage)."""
    lists = {
        name: split_list(given.pop(name, ()))
        for name in ("allow_pub", "allow_sub", "allow_pubsub", "deny_pub", "deny_sub", "deny_pubsub", "rm")
    }
    response, ttl = given.pop("allow_pub_response", None), given.pop("response_ttl", None)
    if response is not None and not re.fullmatch(r"-?\d{1,9}", response):
        raise usage(f"{response!r} is not a number of answers", "write --allow-pub-response=N")
    return PermissionEdit(
        allow_pub=(*lists["allow_pub"], *lists["allow_pubsub"]),
        allow_sub=(*lists["allow_sub"], *lists["allow_pubsub"]),
        deny_pub=(*lists["deny_pub"], *lists["deny_pubsub"]),
        deny_sub=(*lists["deny_sub"], *lists["deny_pubsub"]),
        remove=tuple(lists["rm"]),
        response_max=None if response is None else int(response),
        response_ttl_ns=None if ttl is None else parse_duration(ttl),
        remove_responses=given.pop("rm_response_perms", False),
    )


def grant_edit(given: Given) -> GrantEdit:
    """Take everything about a user's grant out of ``given``. Raises Failure (usage)."""
    return GrantEdit(
        permissions=permission_edit(given),
        subscriptions=_size(given, "subs"),
        data=_size(given, "data"),
        payload=_size(given, "payload"),
        bearer=given.pop("bearer", None),
        proxy_required=given.pop("proxy_required", None),
        networks=tuple(_checked_network(text) for text in split_list(given.pop("source_network", ()))),
        remove_networks=tuple(split_list(given.pop("rm_source_network", ()))),
        connection_types=tuple(split_list(given.pop("conn_type", ()))),
        remove_connection_types=tuple(split_list(given.pop("rm_conn_type", ()))),
        times=tuple(_time_range(text) for text in split_list(given.pop("time", ()))),
        remove_times=tuple(split_list(given.pop("rm_time", ()))),
        locale=_checked_zone(given.pop("locale", None)),
    )


def limit_edit(given: Given) -> LimitEdit:
    """Take an account's limits out of ``given``. Raises Failure (usage)."""
    tier, enable = given.pop("js_tier", None), given.pop("js_enable", None)
    if tier is not None and enable is not None and tier != enable:
        raise usage("--js-tier and --js-enable name different tiers", "give one of them")
    storage = StorageEdit(
        tier=enable if enable is not None else tier or 0,
        enable=enable is not None,
        memory_storage=_size(given, "js_mem_storage"),
        disk_storage=_size(given, "js_disk_storage"),
        streams=_size(given, "js_streams"),
        consumers=_size(given, "js_consumer"),
        max_ack_pending=_size(given, "js_max_ack_pending"),
        memory_max_stream_bytes=_size(given, "js_max_mem_stream"),
        disk_max_stream_bytes=_size(given, "js_max_disk_stream"),
        max_bytes_required=given.pop("js_max_bytes_required", None),
    )
    if tier is not None and not storage.enable and not storage.values():
        raise usage("--js-tier alone changes nothing", "give a --js limit with it, or --js-enable TIER")
    return LimitEdit(
        connections=_size(given, "conns"),
        leafnodes=_size(given, "leaf_conns"),
        subscriptions=_size(given, "subscriptions"),
        payload=_size(given, "payload"),
        data=_size(given, "data"),
        exports=_size(given, "exports"),
        imports=_size(given, "imports"),
        wildcards=given.pop("wildcard_exports", None),
        disallow_bearer=given.pop("disallow_bearer", None),
        storage=storage,
        remove_tiers=tuple(given.pop("rm_js_tier", ())),
        disable_storage=given.pop("js_disable", False),
    )


def _size(given: Given, name: str) -> int | None:
    text = given.pop(name, None)
    return None if text is None else parse_size(text)


def _checked_network(text: str) -> str:
    if parse_network(text) is None:
        raise usage(f"{text!r} is not a network", "write 10.1.0.0/16, 192.0.2.7/32 or 2001:db8::/32")
    return text.lower()


def _time_range(text: str) -> TimeRange:
    start, dash, end = text.partition("-")
    if not dash or parse_time_of_day(start) is None or parse_time_of_day(end) is None:
        raise usage(f"{text!r} is not a time of day", "write 08:00:00-17:30:00")
    return TimeRange(start=start, end=end)


def _checked_zone(name: str | None) -> str | None:
    if name and zone_named(name) is None:
        raise usage(f"{name!r} is not a time zone", "write a name such as Europe/Vienna or UTC")
    return name
