# cython: language_level=3
"""Interest across leaf links, both ways (leafnodes sections 8, 10 to 12).

What a peer is told is found when something changes, not kept: a subject is told when the first subscription that
concerns the peer comes, and withdrawn when the last goes. Which ones concern it depends on our role on the link, on
where they come from and on the peer's cluster (``concerns``).
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport realloc
from libc.string cimport memcmp

from gossamer.mesh.engine.announce cimport announce_one
from gossamer.mesh.engine.interest cimport group_name, terminal_find, terminal_subject
from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.output cimport link_doom, output_add, output_error
from gossamer.mesh.engine.parsing cimport Text, split, violation
from gossamer.mesh.engine.quoting cimport buffer_quoted
from gossamer.mesh.engine.rights cimport may_announce, may_learn
from gossamer.mesh.engine.subject cimport subject_valid
from gossamer.mesh.engine.subscriptions cimport remote_find, remote_subscribe, remote_unsubscribe
from gossamer.mesh.engine.text cimport read_number
from gossamer.mesh.engine.types cimport (
    ACTION_SUBSCRIBE,
    BY_HUB,
    BY_LEAF,
    HERE,
    PROTOCOL_VIOLATION,
    UNTOLD,
    Account,
    Core,
    Group,
    Link,
    Permission,
    Subscription,
    Terminal,
)
from gossamer.mesh.engine.mailbox cimport mail_denied


# --- what peers are told ----------------------------------------------------------------------------------------------


cdef inline uint8_t loop_detection(const char* subject, uint32_t size) noexcept nogil:
    return size > 5 and memcmp(subject, b"$LDS.", 5) == 0


cdef inline uint8_t concerns(Link* link, Subscription* one, uint8_t of_loops) noexcept nogil:
    """Is the subscription, leaving rights aside, one that the peer is told of?"""
    if one.remote == HERE or one.remote == UNTOLD:
        return 1
    if one.link == link or one.everything or (one.origin and one.origin == link.route.origin):
        return 0
    if link.route.isolated and (one.remote == BY_LEAF or of_loops):
        return 0
    return not link.route.spoke or one.remote == BY_LEAF


cdef uint32_t wanted(Link* link, Terminal* terminal, Group* group, Subscription* but) noexcept nogil:
    """Of what concerns the peer, except ``but``: is there something plain, or the weight of the group's members."""
    cdef uint8_t of_loops = loop_detection(terminal_subject(terminal), terminal.subject_size)
    cdef uint32_t i
    cdef uint32_t found = 0
    if group == NULL:
        if terminal.local_plain > (but != NULL and but.remote == HERE):
            return 1
        for i in range(terminal.plain_count):
            if terminal.plain[i] != but and concerns(link, terminal.plain[i], of_loops):
                return 1
        return 0
    if group.local_members == group.count:
        return group.local_members
    for i in range(group.count):
        if concerns(link, group.members[i], of_loops):
            found += group.members[i].weight
    return found


cdef inline uint8_t allowed(Link* link, Permission* permission, Terminal* terminal, Group* group) noexcept nogil:
    if permission == NULL:
        return 1
    if group == NULL:
        return may_announce(link, permission, terminal_subject(terminal), terminal.subject_size, NULL, 0)
    return may_announce(link, permission, terminal_subject(terminal), terminal.subject_size, group_name(group),
                        group.name_size)


cdef void leafs_told(Core* core, Account* account, Subscription* one, Terminal* terminal, Group* group,
                     uint8_t added) noexcept nogil:
    """A subscription of the account came, went, or changed its weight (then ``added`` is meant)."""
    cdef uint8_t of_loops = loop_detection(terminal_subject(terminal), terminal.subject_size)
    cdef uint32_t i
    cdef uint32_t count
    cdef Link* link
    for i in range(account.leafs_count):
        link = account.leafs[i]
        if not concerns(link, one, of_loops) or not allowed(link, link.permission, terminal, group):
            continue
        if group == NULL:
            if wanted(link, terminal, NULL, one if added else NULL):
                continue
            count = added
        else:
            count = wanted(link, terminal, group, NULL)
        announce_one(core, link, b"LS", account, terminal, group, count, 0)


cdef void announce_account(Core* core, Link* link, Permission* before, uint8_t again) noexcept nogil:
    """Everything of the account that concerns the peer. ``again``: it was told what ``before`` allowed."""
    cdef Account* account = link.account
    cdef Terminal* terminal = account.terminals
    cdef Group* group
    cdef uint8_t was, now
    cdef uint32_t count
    while terminal != NULL:
        was = again and allowed(link, before, terminal, NULL)
        now = allowed(link, link.permission, terminal, NULL)
        if was != now and wanted(link, terminal, NULL, NULL):
            announce_one(core, link, b"LS", account, terminal, NULL, now, 0)
        group = terminal.groups
        while group != NULL:
            was = again and allowed(link, before, terminal, group)
            now = allowed(link, link.permission, terminal, group)
            if was != now:
                count = wanted(link, terminal, group, NULL)
                if count:
                    announce_one(core, link, b"LS", account, terminal, group, count if now else 0, 0)
            group = group.next
        terminal = terminal.next


cdef void leaf_joined(Core* core, Link* link) noexcept nogil:
    """One more leaf link of its account: it is told everything that concerns it."""
    cdef Account* account = link.account
    cdef Link** grown
    if account.leafs_count == account.leafs_capacity:
        grown = <Link**>realloc(account.leafs, (account.leafs_capacity * 2 + 4) * sizeof(Link*))
        if grown == NULL:
            return
        account.leafs = grown
        account.leafs_capacity = account.leafs_capacity * 2 + 4
    account.leafs[account.leafs_count] = link
    account.leafs_count += 1
    announce_account(core, link, NULL, 0)
    if core.has_gateways:
        output_add(core, link, b"LS+ _GR_.>\r\n", 12)      # answers to replies that gateways mapped come this way


cdef void leaf_left(Core* core, Link* link) noexcept nogil:
    cdef Account* account = link.account
    cdef uint32_t i
    for i in range(account.leafs_count):
        if account.leafs[i] == link:
            account.leafs_count -= 1
            account.leafs[i] = account.leafs[account.leafs_count]
            return


cdef void leaf_changed(Core* core, Link* link, Permission* before) noexcept nogil:
    """The link has other permissions than before: tell and withdraw what they make of a difference."""
    announce_account(core, link, before, 1)


# --- what peers tell --------------------------------------------------------------------------------------------------


cdef void refuse_interest(Core* core, Link* link, Text subject) noexcept nogil:
    """A leaf asked for what it may not have: leaf nodes are to keep to their rights by themselves."""
    core.line_other.size = 0
    buffer_add(&core.line_other, b"Permissions Violation for Subscription to ", 42)
    buffer_quoted(&core.line_other, subject.at, subject.size)
    mail_denied(core, link, ACTION_SUBSCRIBE, subject.at, subject.size, NULL, 0)
    link_doom(core, link, PROTOCOL_VIOLATION, core.line_other.data, <uint32_t>core.line_other.size, 1)


cdef void loop_found(Core* core, Link* link) noexcept nogil:
    core.line_other.size = 0
    buffer_add(&core.line_other, b"Loop detected for leafnode account=", 35)
    buffer_quoted(&core.line_other, link.account.name, link.account.name_size)
    buffer_add(&core.line_other, b". Delaying attempt to reconnect for 30s", 39)
    link_doom(core, link, PROTOCOL_VIOLATION, core.line_other.data, <uint32_t>core.line_other.size, 1)


cdef uint8_t own_loop_detection(Link* link, Text subject) noexcept nogil:
    """Is it our own subject that came back?"""
    cdef Terminal* terminal = terminal_find(link.account, subject.at, subject.size)
    cdef uint32_t i
    if terminal == NULL:
        return 0
    for i in range(terminal.plain_count):
        if terminal.plain[i].remote == UNTOLD:
            return 1
    return 0


cdef uint8_t one_more(Core* core, Link* link) noexcept nogil:
    """May it have one more subscription?"""
    cdef int64_t limit = core.configuration.max_subscriptions
    if limit <= 0:
        limit = -1
    if link.max_subscriptions >= 0 and (limit < 0 or link.max_subscriptions < limit):
        limit = link.max_subscriptions
    if limit < 0 or link.subscription_count < limit:
        return 1
    output_error(core, link, b"maximum subscriptions exceeded", 30)
    return 0


cdef void leaf_interest(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil:
    """LS+ and LS- after the verb (leafnodes section 8.3)."""
    cdef Text parts[4]
    cdef int count = split(line, size, parts, 3)
    cdef int64_t weight = 1
    cdef uint8_t remote = BY_HUB if link.route.spoke else BY_LEAF
    cdef Text queue
    queue.at = NULL
    queue.size = 0
    if count == (3 if add else 2):
        queue = parts[1]
        if add:
            weight = read_number(parts[2].at, parts[2].size)
    elif count != 1:
        violation(core, link)
        return
    if not add:
        remote_unsubscribe(core, link, link.account, parts[0].at, parts[0].size, queue.at, queue.size,
                           link.route.origin)
        return
    if weight < 0:
        violation(core, link)
        return
    if loop_detection(parts[0].at, parts[0].size) and own_loop_detection(link, parts[0]):
        loop_found(core, link)
        return
    if not may_learn(link, parts[0].at, parts[0].size, queue.at, queue.size):
        refuse_interest(core, link, parts[0])
        return
    if not subject_valid(parts[0].at, parts[0].size):
        output_error(core, link, b"Invalid Subscription", 20)
        return
    if remote_find(link, link.account, parts[0].at, parts[0].size, queue.at, queue.size, link.route.origin) == NULL \
            and not one_more(core, link):
        return
    if weight == 0:
        weight = 1
    remote_subscribe(core, link, link.account, parts[0].at, parts[0].size, queue.at, queue.size, <uint32_t>weight,
                     link.route.origin, remote)
