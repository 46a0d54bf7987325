# cython: language_level=3
"""Telling routes what this node wants: RS+ and RS-, and LS+ and LS- for its leaf nodes (routes sections 4, 11).

What counts of this node's own is kept in the trie (``local_plain``, ``local_members``), so announcing it is reading two
numbers; what leaf nodes want is counted by their cluster, when it changes. Every account is bound to one link toward
each remote node: its dedicated one, the pooled one its name hashes to, or the only one.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from gossamer.mesh.engine.interest cimport group_name, terminal_subject
from gossamer.mesh.engine.origins cimport origin_by_number
from gossamer.mesh.engine.output cimport commit, reserve
from gossamer.mesh.engine.rights cimport may_import
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.types cimport (
    BY_LEAF,
    SPECIAL_CLOSING,
    Account,
    Core,
    Group,
    Link,
    Origin,
    Permission,
    Subscription,
    Terminal,
)


cdef uint8_t route_carries(Core* core, Link* link, Account* account) noexcept nogil:
    """Is the account bound to this link toward its node?"""
    cdef int pool = <int>core.configuration.route_pool_size
    if link.route == NULL or not link.route.joined or link.special & SPECIAL_CLOSING:
        return 0
    if link.route.dedicated != NULL:
        return link.route.dedicated == account
    if not link.route.pooled:
        return 1
    if account.dedicated:
        return 0
    if pool <= 1:
        return link.route.pool_index == 0
    return link.route.pool_index == <int>(account.pool_hash % <uint32_t>pool)


cdef void account_routes_rebuild(Core* core, Account* account) noexcept nogil:
    """Find the account's links anew, after a route joined or left or the account was made."""
    cdef Link** routes = <Link**>core.routes.data
    cdef Link** grown
    cdef uint32_t i
    account.routes_count = 0
    for i in range(<uint32_t>(core.routes.size // sizeof(void*))):
        if route_carries(core, routes[i], account):
            if account.routes_count == account.routes_capacity:
                grown = <Link**>realloc(account.routes, (account.routes_capacity + 4) * sizeof(Link*))
                if grown == NULL:
                    return
                account.routes = grown
                account.routes_capacity += 4
            account.routes[account.routes_count] = routes[i]
            account.routes_count += 1


cdef void announce_one(Core* core, Link* link, const char* verb, Account* account, Terminal* terminal, Group* group,
                       uint32_t count, uint32_t origin) noexcept nogil:
    """``RS+ [account] subject [queue weight]``, or ``RS- [account] subject [queue]`` when the count is 0; ``verb`` is
    its first two letters. An origin that is not 0 stands before the account."""
    cdef Origin* of = origin_by_number(core, origin) if origin else NULL
    cdef uint32_t size = 32 + account.name_size + terminal.subject_size + (group.name_size if group != NULL else 0) \
        + (of.size + 1 if of != NULL else 0)
    cdef char* start = reserve(core, link, size)
    cdef char* to = start
    if start == NULL:
        return
    to[0] = verb[0]
    to[1] = verb[1]
    to[2] = 43 if count else 45
    to[3] = 32
    to += 4
    if of != NULL:
        memcpy(to, <char*>(of + 1), of.size)
        to += of.size
        to[0] = 32
        to += 1
    if link.route.dedicated == NULL:
        memcpy(to, account.name, account.name_size)
        to += account.name_size
        to[0] = 32
        to += 1
    memcpy(to, terminal_subject(terminal), terminal.subject_size)
    to += terminal.subject_size
    if group != NULL:
        to[0] = 32
        to += 1
        memcpy(to, group_name(group), group.name_size)
        to += group.name_size
        if count:
            to[0] = 32
            to += 1
            to += write_number(to, count)
    memcpy(to, b"\r\n", 2)
    to += 2
    commit(core, link, <uint32_t>(to - start))


cdef uint32_t leaf_weight(Terminal* terminal, Group* group, uint32_t origin) noexcept nogil:
    """What leaf nodes below want of it: how many subscriptions, or the weight of all members; 0 as origin: of all."""
    cdef uint32_t i
    cdef uint32_t found = 0
    if group == NULL:
        for i in range(terminal.plain_count):
            if terminal.plain[i].remote == BY_LEAF and (origin == 0 or terminal.plain[i].origin == origin):
                found += 1
    elif group.leaf_members:
        for i in range(group.count):
            if group.members[i].remote == BY_LEAF and (origin == 0 or group.members[i].origin == origin):
                found += group.members[i].weight
    return found


cdef void announce_leaf(Core* core, Link* link, Account* account, Terminal* terminal, Group* group, uint32_t count,
                        uint32_t origin) noexcept nogil:
    """LS+ and LS-; older peers take the latter without the origin."""
    announce_one(core, link, b"LS", account, terminal, group, count,
                 origin if count or link.route.leaf_origin_unsubscribe else 0)


cdef void routes_told(Core* core, Account* account, Subscription* one, Terminal* terminal, Group* group,
                      uint8_t added) noexcept nogil:
    """A subscription of this node or of a leaf node came or went; of plain ones the first and the last matter. A queue
    group's weight may also have changed."""
    cdef uint32_t i, count
    cdef Link* link
    for i in range(account.routes_count):
        link = account.routes[i]
        if not may_import(link.permission, terminal_subject(terminal), terminal.subject_size):
            continue
        if one.remote == BY_LEAF and link.route.leaf_origin:
            count = leaf_weight(terminal, group, one.origin)
            if group != NULL or count == added:
                announce_leaf(core, link, account, terminal, group, count, one.origin)
            continue
        if group == NULL:
            count = terminal.local_plain + (0 if link.route.leaf_origin else terminal.leaf_plain)
            if count != added:
                continue
        else:
            count = group.local_members + (0 if link.route.leaf_origin else leaf_weight(terminal, group, 0))
        announce_one(core, link, b"RS", account, terminal, group, count, 0)


cdef void announce_leafs(Core* core, Link* link, Account* account, Terminal* terminal, Group* group,
                         uint8_t wanted) noexcept nogil:
    """What the leaf nodes of each cluster want of it; not ``wanted``: it is withdrawn."""
    cdef Subscription** all_of = terminal.plain if group == NULL else group.members
    cdef uint32_t count = terminal.plain_count if group == NULL else group.count
    cdef uint32_t i, j
    for i in range(count):
        if all_of[i].remote != BY_LEAF:
            continue
        j = 0
        while j < i and not (all_of[j].remote == BY_LEAF and all_of[j].origin == all_of[i].origin):
            j += 1
        if j == i:
            announce_leaf(core, link, account, terminal, group,
                          leaf_weight(terminal, group, all_of[i].origin) if wanted else 0, all_of[i].origin)


cdef void announce_terminal(Core* core, Link* link, Account* account, Terminal* terminal,
                            uint8_t wanted) noexcept nogil:
    """All that this node and its leaf nodes want of a subject; not ``wanted``: it is withdrawn."""
    cdef uint8_t apart = link.route.leaf_origin
    cdef uint32_t count = terminal.local_plain + (0 if apart else terminal.leaf_plain)
    cdef Group* group = terminal.groups
    if count:
        announce_one(core, link, b"RS", account, terminal, NULL, wanted, 0)
    if apart and terminal.leaf_plain:
        announce_leafs(core, link, account, terminal, NULL, wanted)
    while group != NULL:
        count = group.local_members + (0 if apart else leaf_weight(terminal, group, 0))
        if count:
            announce_one(core, link, b"RS", account, terminal, group, count if wanted else 0, 0)
        if apart and group.leaf_members:
            announce_leafs(core, link, account, terminal, group, wanted)
        group = group.next


cdef void announce_all(Core* core, Link* link, Permission* before, uint8_t again) noexcept nogil:
    """The full interest of all accounts bound to a link that has just joined, as far as it may be imported. ``again``:
    it was told all that ``before`` lets be imported, and what may no longer be is withdrawn."""
    cdef uint32_t i
    cdef Account* account
    cdef Terminal* terminal
    cdef char* subject
    for i in range(1, core.accounts_count):
        account = core.accounts[i]
        if account == NULL or not route_carries(core, link, account):
            continue
        terminal = account.terminals
        while terminal != NULL:
            subject = terminal_subject(terminal)
            if may_import(link.permission, subject, terminal.subject_size):
                announce_terminal(core, link, account, terminal, 1)
            elif again and may_import(before, subject, terminal.subject_size):
                announce_terminal(core, link, account, terminal, 0)
            terminal = terminal.next
