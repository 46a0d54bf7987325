# cython: language_level=3
"""Links that are let in: clients admitted, routes, gateways and leaf nodes joined, with their rights and limits."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from gossamer.mesh.engine.accounts cimport account_by_id, account_settle
from gossamer.mesh.engine.announce cimport announce_all
from gossamer.mesh.engine.command cimport (
    ADMIT_ECHO,
    ADMIT_HEADERS,
    ADMIT_NO_RESPONDERS,
    ADMIT_PEDANTIC,
    ADMIT_RESET,
    ADMIT_VERBOSE,
    CHANGE_KEEP,
    GATEWAY_HEADERS,
    GATEWAY_OPTIMISTIC_PEER,
    GATEWAY_OUTBOUND,
    LEAF_HEADERS,
    LEAF_ISOLATED,
    LEAF_SPOKE,
    ROUTE_HEADERS,
    ROUTE_LEAF_ORIGIN,
    ROUTE_LEAF_ORIGIN_UNSUBSCRIBE,
    ROUTE_POOLED,
)
from gossamer.mesh.engine.gateway cimport gateway_joined
from gossamer.mesh.engine.leaf cimport leaf_changed, leaf_joined
from gossamer.mesh.engine.links cimport link_admitted, route_joined
from gossamer.mesh.engine.match cimport match_invalidate_all
from gossamer.mesh.engine.origins cimport origin_number
from gossamer.mesh.engine.output cimport link_doom, link_ready, output_add
from gossamer.mesh.engine.permission cimport permission_keep, permission_leave, replies_free
from gossamer.mesh.engine.quoting cimport buffer_json
from gossamer.mesh.engine.subscriptions cimport exports_recheck, subscriptions_end_all, subscriptions_recheck
from gossamer.mesh.engine.types cimport (
    AUTHENTICATION_VIOLATION,
    KIND_CLIENT,
    KIND_GATEWAY,
    KIND_LEAF,
    MAX_SUBSCRIPTIONS_EXCEEDED,
    SPECIAL_NO_ECHO,
    SPECIAL_NO_HEADERS,
    SPECIAL_RESPONSES,
    STATE_CLOSING,
    STATE_OPEN,
    STATE_PARKED,
    Account,
    Buffer,
    Command,
    Core,
    Link,
    Permission,
    RouteState,
)

cdef enum:
    HASH_SIZE = 6


cdef void take_permission(Core* core, Link* link, int64_t id) noexcept nogil:
    cdef Permission* wanted = NULL
    cdef Permission* before = link.permission
    if 0 < id < core.permissions_capacity:
        wanted = core.permissions[id]
    if id and wanted == NULL:           # a set that is gone must not become "everything"
        link_doom(core, link, AUTHENTICATION_VIOLATION, b"Authorization Violation", 23, 1)
        return
    permission_keep(wanted)
    link.permission = wanted
    permission_leave(before)
    if wanted != NULL and wanted.response_max:
        link.special |= SPECIAL_RESPONSES
    else:
        link.special &= ~SPECIAL_RESPONSES


cdef void limit_link(Core* core, Link* link, int64_t max_payload, int64_t max_subscriptions) noexcept nogil:
    """The smaller of the server's payload limit and the link's own; -1 is no limit."""
    if max_payload != CHANGE_KEEP:
        link.max_payload = core.configuration.max_payload
    if max_payload >= 0 and (link.max_payload < 0 or max_payload < link.max_payload):
        link.max_payload = max_payload
    if max_subscriptions != CHANGE_KEEP:
        link.max_subscriptions = max_subscriptions


cdef void admit(Core* core, Link* link, Command* command) noexcept nogil:
    cdef Account* account = account_by_id(core, <uint64_t>command.b)
    cdef int64_t flags = command.d
    if link.state != STATE_PARKED:
        return
    if account == NULL:
        link_doom(core, link, AUTHENTICATION_VIOLATION, b"Authorization Violation", 23, 1)
        return
    if flags & ADMIT_RESET:
        subscriptions_end_all(core, link)
        replies_free(link)
    if link.account != account:
        if link.account != NULL:
            link.account.links -= 1
            account_settle(core, link.account)
        account.links += 1
        link.account = account
    take_permission(core, link, command.c)
    if link.state != STATE_PARKED:
        return
    link.verbose = (flags & ADMIT_VERBOSE) != 0
    link.pedantic = (flags & ADMIT_PEDANTIC) != 0
    link.echo = (flags & ADMIT_ECHO) != 0
    link.headers = (flags & ADMIT_HEADERS) != 0
    link.no_responders = (flags & ADMIT_NO_RESPONDERS) != 0
    link.special &= ~(SPECIAL_NO_ECHO | SPECIAL_NO_HEADERS)
    if not link.echo:
        link.special |= SPECIAL_NO_ECHO
    if not link.headers:
        link.special |= SPECIAL_NO_HEADERS
    limit_link(core, link, command.e, command.f)
    free(link.info_after_pong)
    link.info_after_pong = NULL
    if command.size[0] and not link.info_sent:
        link.info_after_pong = <char*>malloc(command.size[0])
        if link.info_after_pong != NULL:
            memcpy(link.info_after_pong, command.blob, command.size[0])
            link.info_after_pong_size = command.size[0]
    link.state = STATE_OPEN
    if link.verbose and link.judged_connect:
        output_add(core, link, b"+OK\r\n", 5)
    link_admitted(core, link)
    link_ready(core, link)


cdef RouteState* route_state(Link* link) noexcept nogil:
    if link.route == NULL:
        link.route = <RouteState*>calloc(1, sizeof(RouteState))
    return link.route


cdef void join_route(Core* core, Link* link, Command* command) noexcept nogil:
    """``b`` node, ``c`` place in the pool, ``d`` flags, ``e`` account, ``f`` permissions; the blob: the peer's hash. A
    link that has joined is told everything again."""
    cdef RouteState* route
    cdef Permission* before
    cdef uint8_t again
    if link.state >= STATE_CLOSING or link.kind == KIND_CLIENT \
            or (command.e and account_by_id(core, <uint64_t>command.e) == NULL):
        return
    route = route_state(link)
    if route == NULL:
        return
    route.node = <int>command.b
    route.pool_index = <int>command.c
    route.headers = (command.d & ROUTE_HEADERS) != 0
    route.leaf_origin = (command.d & ROUTE_LEAF_ORIGIN) != 0
    route.leaf_origin_unsubscribe = (command.d & ROUTE_LEAF_ORIGIN_UNSUBSCRIBE) != 0
    route.pooled = (command.d & ROUTE_POOLED) != 0
    route.dedicated = account_by_id(core, <uint64_t>command.e) if command.e else NULL
    if command.size[0] == HASH_SIZE:
        memcpy(route.peer_hash, command.blob, HASH_SIZE)
    again = route.joined
    before = link.permission
    permission_keep(before)
    take_permission(core, link, command.f)
    if link.state < STATE_CLOSING:
        link.state = STATE_OPEN
        if again:
            exports_recheck(core, link)
        else:
            route.joined = 1
            route_joined(core, link)
        announce_all(core, link, before, again)
    permission_leave(before)
    link_admitted(core, link)
    link_ready(core, link)


cdef void set_gateway_identity(Core* core, Command* command) noexcept nogil:
    """The blob: the cluster's hash, the server's, and the gateway's name."""
    cdef Buffer quoted
    memset(&quoted, 0, sizeof(quoted))
    buffer_json(&quoted, command.blob + 2 * HASH_SIZE, command.size[0] - 2 * HASH_SIZE)
    free(core.gateway_name)
    core.gateway_name = quoted.data
    core.gateway_name_size = <uint32_t>quoted.size
    memcpy(core.gateway_prefix, b"_GR_.", 5)
    memcpy(core.gateway_prefix + 5, command.blob, HASH_SIZE)
    core.gateway_prefix[11] = 46
    memcpy(core.gateway_prefix + 12, command.blob + HASH_SIZE, HASH_SIZE)
    core.gateway_prefix[18] = 46
    core.has_gateways = 1


cdef void join_gateway(Core* core, Link* link, Command* command) noexcept nogil:
    cdef RouteState* route
    if link.state >= STATE_CLOSING or link.kind != KIND_GATEWAY:
        return
    route = route_state(link)
    if route == NULL or route.joined:
        return
    route.outbound = (command.d & GATEWAY_OUTBOUND) != 0
    route.headers = (command.d & GATEWAY_HEADERS) != 0
    route.optimistic = (command.d & GATEWAY_OPTIMISTIC_PEER) != 0
    if command.size[0] == HASH_SIZE:
        memcpy(route.peer_hash, command.blob, HASH_SIZE)
    link.state = STATE_OPEN
    route.joined = 1
    gateway_joined(core, link)
    link_admitted(core, link)
    link_ready(core, link)


cdef void join_leaf(Core* core, Link* link, Command* command) noexcept nogil:
    """``b`` account, ``c`` permissions, ``d`` flags, ``e`` and ``f`` limits; the blob: the peer's cluster, and what the
    account is called there."""
    cdef RouteState* route
    cdef Account* account = account_by_id(core, <uint64_t>command.b)
    if link.state >= STATE_CLOSING or link.kind != KIND_LEAF:
        return
    route = route_state(link)
    if account == NULL or route == NULL or route.joined:
        link_doom(core, link, AUTHENTICATION_VIOLATION, b"Authorization Violation", 23, 1)
        return
    take_permission(core, link, command.c)
    if link.state >= STATE_CLOSING:
        return
    limit_link(core, link, command.e, command.f)
    account.links += 1
    link.account = account
    route.dedicated = account
    route.spoke = (command.d & LEAF_SPOKE) != 0
    route.headers = (command.d & LEAF_HEADERS) != 0
    route.isolated = (command.d & LEAF_ISOLATED) != 0
    route.origin = origin_number(core, command.blob, command.size[0])
    if command.size[1]:
        route.remote_account = <char*>malloc(command.size[1])
        if route.remote_account != NULL:
            memcpy(route.remote_account, command.blob + command.size[0], command.size[1])
            route.remote_account_size = command.size[1]
    link.state = STATE_OPEN
    route.joined = 1
    leaf_joined(core, link)
    link_admitted(core, link)
    link_ready(core, link)


cdef void change(Core* core, Link* link, Command* command) noexcept nogil:
    """Other permissions and limits. A leaf node's peer is told what that makes of a difference."""
    cdef Permission* before = link.permission
    cdef uint8_t leaf = link.kind == KIND_LEAF and link.route != NULL and link.route.joined
    permission_keep(before)
    take_permission(core, link, command.c)
    limit_link(core, link, command.e, command.f)
    if link.state < STATE_CLOSING and link.account != NULL:
        if leaf:
            match_invalidate_all(link.account)
            leaf_changed(core, link, before)
        else:
            subscriptions_recheck(core, link)
            if 0 <= link.max_subscriptions < link.subscription_count:
                link_doom(core, link, MAX_SUBSCRIPTIONS_EXCEEDED, b"maximum subscriptions exceeded", 30, 1)
    permission_leave(before)
