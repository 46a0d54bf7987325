# cython: language_level=3
"""Looking inside: plain numbers are copied out while the engine waits, and objects made of them afterwards."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

from gossamer.mesh.engine.interest cimport group_name, terminal_subject
from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.subscriptions cimport sid_text
from gossamer.mesh.engine.types cimport (
    GATEWAY_INTEREST_ONLY,
    KIND_SYSTEM,
    RECEIVER_MAILBOX,
    Account,
    Buffer,
    Core,
    GatewayAccount,
    Group,
    Link,
    Subscription,
    Terminal,
)

from gossamer.mesh.engine.views import GatewayAccount as GatewayAccountView
from gossamer.mesh.engine.views import LinkStatistics, SubscriptionDetail

MODES = ("optimistic", "none", "transitioning", "interest-only")


cdef void view_link(Link* link, LinkView* view) noexcept nogil:
    view.number[0] = <int64_t>link.id
    view.number[1] = link.kind
    view.number[2] = link.account.id if link.account != NULL else 0
    view.number[3] = <int64_t>link.in_messages
    view.number[4] = <int64_t>link.out_messages
    view.number[5] = <int64_t>link.in_bytes
    view.number[6] = <int64_t>link.out_bytes
    view.number[7] = <int64_t>link.pending
    view.number[8] = link.subscription_count
    view.number[9] = link.rtt_ns
    view.number[10] = link.last_activity_ns
    view.number[11] = link.pings_out
    view.number[12] = link.stalls


cdef object link_statistics(LinkView* view):
    return LinkStatistics(
        view.number[0], view.number[1], view.number[2], view.number[3], view.number[4], view.number[5],
        view.number[6], view.number[7], view.number[8], view.number[9], view.number[10], view.number[11],
        view.number[12],
    )


cdef void view_subscription(Buffer* views, Subscription* one) noexcept nogil:
    cdef SubscriptionView view
    if one.terminal == NULL or one.receiver > RECEIVER_MAILBOX or one.everything:   # not somebody's
        return
    view.number[0] = <int64_t>one.link.id if one.link != NULL else 0
    view.number[1] = one.link.kind if one.link != NULL else KIND_SYSTEM
    view.number[2] = one.account.id
    view.number[3] = <int64_t>one.delivered
    view.number[4] = <int64_t>one.max
    view.number[5] = one.weight
    view.size[0] = one.terminal.subject_size
    view.size[1] = one.group.name_size if one.group != NULL else 0
    view.size[2] = one.sid_size - 1 if one.sid_size else 0
    buffer_add(views, &view, sizeof(view))
    buffer_add(views, terminal_subject(one.terminal), view.size[0])
    if view.size[1]:
        buffer_add(views, group_name(one.group), view.size[1])
    if view.size[2]:
        buffer_add(views, sid_text(one) + 1, view.size[2])


cdef void view_terminal(Buffer* views, Terminal* terminal, int64_t* room) noexcept nogil:
    cdef uint32_t i
    cdef Group* group = terminal.groups
    for i in range(terminal.plain_count):
        if room[0] <= 0:
            return
        view_subscription(views, terminal.plain[i])
        room[0] -= 1
    while group != NULL:
        for i in range(group.count):
            if room[0] <= 0:
                return
            view_subscription(views, group.members[i])
            room[0] -= 1
        group = group.next


cdef list subscription_details(Buffer* views):
    cdef list found = []
    cdef size_t at = 0
    cdef SubscriptionView view
    cdef char* text
    while at < views.size:
        memcpy(&view, views.data + at, sizeof(view))
        text = views.data + at + sizeof(view)
        found.append(SubscriptionDetail(
            view.number[0], view.number[1], view.number[2],
            text[:view.size[0]],
            text[view.size[0]:view.size[0] + view.size[1]],
            text[view.size[0] + view.size[1]:view.size[0] + view.size[1] + view.size[2]],
            view.number[3], view.number[4], view.number[5],
        ))
        at += sizeof(view) + view.size[0] + view.size[1] + view.size[2]
    return found


# --- gateways ---------------------------------------------------------------------------------------------------------


cdef void view_account(Buffer* views, Account* account, GatewayView* view) noexcept nogil:
    view.name_size = account.name_size
    buffer_add(views, view, sizeof(GatewayView))
    buffer_add(views, account.name, account.name_size)


cdef void view_gateway(Core* core, Link* link, Buffer* views) noexcept nogil:
    """What the peer wants of each account, or what it was told."""
    cdef GatewayView view
    cdef GatewayAccount* state
    cdef Subscription* one
    cdef Terminal* terminal
    cdef Group* group
    cdef uint32_t i
    if not link.route.outbound:
        for i in range(core.accounts_count):
            if core.accounts[i] == NULL:
                continue
            memset(&view, 0, sizeof(view))
            view.mode = GATEWAY_INTEREST_ONLY
            terminal = core.accounts[i].terminals
            while terminal != NULL:
                view.plain += terminal.cluster_plain > 0
                group = terminal.groups
                while group != NULL:
                    view.queues += group.cluster_members > 0
                    group = group.next
                terminal = terminal.next
            view_account(views, core.accounts[i], &view)
        return
    if link.route.gateway_accounts == NULL:
        return
    for i in range(link.route.gateway_accounts_mask + 1):
        state = link.route.gateway_accounts[i]
        while state != NULL:
            memset(&view, 0, sizeof(view))
            view.mode = state.mode
            view.refused = state.refused_count
            one = link.subscriptions
            while one != NULL:
                if one.account == state.account and not one.everything:
                    if one.group == NULL:
                        view.plain += 1
                    else:
                        view.queues += 1
                one = one.next
            view_account(views, state.account, &view)
            state = state.next


cdef list gateway_details(Buffer* views):
    cdef list found = []
    cdef size_t at = 0
    cdef GatewayView view
    while at < views.size:
        memcpy(&view, views.data + at, sizeof(view))
        at += sizeof(view)
        name = PyBytes_FromStringAndSize(views.data + at, view.name_size)
        found.append(GatewayAccountView(name, MODES[view.mode], view.plain, view.queues, view.refused))
        at += view.name_size
    return found
