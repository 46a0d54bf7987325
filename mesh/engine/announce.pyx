# cython: language_level=3
"""Telling routes what this node wants: RS+ and RS- (routes sections 4, 11).

What counts is kept in the trie (``local_plain``, ``local_members``), so announcing is reading two numbers. Every
account is bound to one link toward each remote node: its dedicated one, the pooled one its name hashes to, or the only
one.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from gossamer.mesh.engine.interest cimport group_name, terminal_subject
from gossamer.mesh.engine.output cimport commit, reserve
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.types cimport (
    SPECIAL_CLOSING,
    Account,
    Core,
    Group,
    Link,
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


cdef void announce_one(Core* core, Link* link, Account* account, Terminal* terminal, Group* group,
                       uint32_t count) noexcept nogil:
    """``RS+ [account] subject [queue weight]``, or ``RS- [account] subject [queue]`` when the count is 0."""
    cdef uint32_t size = 32 + account.name_size + terminal.subject_size + (group.name_size if group != NULL else 0)
    cdef char* start = reserve(core, link, size)
    cdef char* to = start
    if start == NULL:
        return
    memcpy(to, b"RS+ " if count else b"RS- ", 4)
    to += 4
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


cdef void announce_change(Core* core, Account* account, Terminal* terminal, Group* group) noexcept nogil:
    """The local count of the subject (or of its queue group) changed to what it is now."""
    cdef uint32_t i
    cdef uint32_t count = terminal.local_plain if group == NULL else group.local_members
    for i in range(account.routes_count):
        announce_one(core, account.routes[i], account, terminal, group, count)


cdef void announce_all(Core* core, Link* link) noexcept nogil:
    """The full interest of all accounts bound to a link that has just joined."""
    cdef uint32_t i
    cdef Account* account
    cdef Terminal* terminal
    cdef Group* group
    for i in range(1, core.accounts_count):
        account = core.accounts[i]
        if account == NULL or not route_carries(core, link, account):
            continue
        terminal = account.terminals
        while terminal != NULL:
            if terminal.local_plain:
                announce_one(core, link, account, terminal, NULL, terminal.local_plain)
            group = terminal.groups
            while group != NULL:
                if group.local_members:
                    announce_one(core, link, account, terminal, group, group.local_members)
                group = group.next
            terminal = terminal.next
