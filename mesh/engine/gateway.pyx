# cython: language_level=3
"""Interest between clusters (gateways sections 7 and 8).

Inbound, a solicitor is told what the whole cluster wants: all queue groups, and account by account all plain subjects
between the commands 2 and 3, so that it never sends what nobody wants. Outbound, the same is kept per account, as
subscriptions in the account's trie like any other server's. Peers that know no interest-only mode, and those that fell
out of it, want everything but what they refused: that is one subscription to ``>`` that looks at what was refused.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, strlen

from gossamer.mesh.engine.accounts cimport account_from_route
from gossamer.mesh.engine.announce cimport announce_one
from gossamer.mesh.engine.match cimport match_invalidate, match_invalidate_all
from gossamer.mesh.engine.memory cimport buffer_add, buffer_pointer
from gossamer.mesh.engine.output cimport link_doom, output_add
from gossamer.mesh.engine.parsing cimport Text, split, violation
from gossamer.mesh.engine.subject cimport matches
from gossamer.mesh.engine.subscriptions cimport (
    enter,
    list_add,
    remote_subscribe,
    remote_unsubscribe,
    subscription_end,
    subscription_make,
)
from gossamer.mesh.engine.text cimport hash_bytes, is_blank
from gossamer.mesh.engine.types cimport (
    BY_GATEWAY,
    GATEWAY_INTEREST_ONLY,
    GATEWAY_NONE,
    GATEWAY_OPTIMISTIC,
    GATEWAY_TRANSITIONING,
    PROTOCOL_VIOLATION,
    RECEIVER_LINK,
    Account,
    Buffer,
    Core,
    GatewayAccount,
    Group,
    Link,
    Refused,
    RouteState,
    Subscription,
    Terminal,
)

cdef extern from "<string.h>" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t needle_size)

cdef enum:
    REFUSED_MAX = 65536         # subjects an account's refusals are kept of; what is refused beyond is sent in vain
    EVERYTHING = 0xFFFFFFFF     # as origin: tells the subscription to everything from the peer's own ``>``

cdef const char* INFO_FRONT = (
    b"INFO {\"server_id\":\"\",\"server_name\":\"\",\"version\":\"\",\"proto\":0,\"go\":\"\",\"host\":\"\","
    b"\"port\":0,\"headers\":false,\"max_payload\":0,\"gateway\":"
)
cdef const char* BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


# --- what is told -----------------------------------------------------------------------------------------------------


cdef void gateways_told(Core* core, Account* account, Terminal* terminal, Group* group, uint8_t added) noexcept nogil:
    """The cluster's first subscription of the subject (or its queue group) came, or its last one went."""
    cdef Link** inbounds = <Link**>core.inbounds.data
    cdef uint32_t i
    if (terminal.cluster_plain if group == NULL else group.cluster_members) != added:
        return
    for i in range(<uint32_t>(core.inbounds.size // sizeof(void*))):
        announce_one(core, inbounds[i], b"RS", account, terminal, group, added, 0)


cdef void write_command(Core* core, Link* link, Account* account, char command) noexcept nogil:
    """The INFO line that begins (2) or ends (3) the list of an account's plain interest."""
    cdef Buffer* to = &core.line_other
    cdef uint32_t i = 0
    cdef uint32_t triple, left
    cdef const uint8_t* name = <const uint8_t*>account.name
    cdef char four[4]
    to.size = 0
    buffer_add(to, INFO_FRONT, strlen(INFO_FRONT))
    buffer_add(to, core.gateway_name, core.gateway_name_size)
    buffer_add(to, b",\"gateway_cmd\":", 15)
    buffer_add(to, &command, 1)
    buffer_add(to, b",\"gateway_cmd_payload\":\"", 24)
    while i < account.name_size:
        left = account.name_size - i
        triple = <uint32_t>name[i] << 16
        if left > 1:
            triple |= <uint32_t>name[i + 1] << 8
        if left > 2:
            triple |= name[i + 2]
        four[0] = BASE64[triple >> 18]
        four[1] = BASE64[(triple >> 12) & 63]
        four[2] = BASE64[(triple >> 6) & 63] if left > 1 else 61
        four[3] = BASE64[triple & 63] if left > 2 else 61
        buffer_add(to, four, 4)
        i += 3
    buffer_add(to, b"\"}\r\n", 4)
    output_add(core, link, to.data, to.size)


cdef void announce_plain(Core* core, Link* link, Account* account) noexcept nogil:
    cdef Terminal* terminal = account.terminals
    write_command(core, link, account, 50)
    while terminal != NULL:
        if terminal.cluster_plain:
            announce_one(core, link, b"RS", account, terminal, NULL, 1, 0)
        terminal = terminal.next
    write_command(core, link, account, 51)


cdef void announce_queues(Core* core, Link* link, Account* account) noexcept nogil:
    cdef Terminal* terminal = account.terminals
    cdef Group* group
    while terminal != NULL:
        group = terminal.groups
        while group != NULL:
            if group.cluster_members:
                announce_one(core, link, b"RS", account, terminal, group, 1, 0)
            group = group.next
        terminal = terminal.next


cdef void gateway_joined(Core* core, Link* link) noexcept nogil:
    """Inbound: it is told everything. Outbound: one that does not announce interest-only mode wants everything."""
    cdef uint32_t i
    if link.route.outbound:
        buffer_pointer(&core.outbounds, link)
        for i in range(1, core.accounts_count):
            if core.accounts[i] != NULL and link.route.optimistic:
                state_make(core, link, core.accounts[i], 1)
        return
    buffer_pointer(&core.inbounds, link)
    for i in range(1, core.accounts_count):
        if core.accounts[i] != NULL:
            announce_queues(core, link, core.accounts[i])
    for i in range(1, core.accounts_count):
        if core.accounts[i] != NULL:
            announce_plain(core, link, core.accounts[i])


cdef void account_born(Core* core, Account* account) noexcept nogil:
    """A new account: every solicitor is told that its interest is complete."""
    cdef Link** links = <Link**>core.inbounds.data
    cdef uint32_t i
    for i in range(<uint32_t>(core.inbounds.size // sizeof(void*))):
        announce_plain(core, links[i], account)
    links = <Link**>core.outbounds.data
    for i in range(<uint32_t>(core.outbounds.size // sizeof(void*))):
        if links[i].route.optimistic:
            state_make(core, links[i], account, 1)


cdef void list_forget(Buffer* links, Link* link) noexcept nogil:
    cdef Link** all_of = <Link**>links.data
    cdef uint32_t count = <uint32_t>(links.size // sizeof(void*))
    cdef uint32_t i
    for i in range(count):
        if all_of[i] == link:
            all_of[i] = all_of[count - 1]
            links.size -= sizeof(void*)
            return


cdef void gateway_left(Core* core, Link* link) noexcept nogil:
    list_forget(&core.inbounds, link)
    list_forget(&core.outbounds, link)


# --- what an outbound wants, by account -------------------------------------------------------------------------------


cdef inline uint32_t place_of(Account* account, uint32_t mask) noexcept nogil:
    """By the struct: a placeholder that becomes known changes its number."""
    return <uint32_t>(<size_t>account >> 6) & mask


cdef GatewayAccount* state_find(Link* link, Account* account) noexcept nogil:
    cdef RouteState* route = link.route
    cdef GatewayAccount* one
    if route.gateway_accounts == NULL:
        return NULL
    one = route.gateway_accounts[place_of(account, route.gateway_accounts_mask)]
    while one != NULL and one.account != account:
        one = one.next
    return one


cdef void states_grow(RouteState* route) noexcept nogil:
    cdef uint32_t mask = route.gateway_accounts_mask * 2 + 1 if route.gateway_accounts != NULL else 15
    cdef GatewayAccount** table = <GatewayAccount**>calloc(mask + 1, sizeof(GatewayAccount*))
    cdef GatewayAccount* one
    cdef GatewayAccount* following
    cdef uint32_t i
    if table == NULL:
        return
    if route.gateway_accounts != NULL:
        for i in range(route.gateway_accounts_mask + 1):
            one = route.gateway_accounts[i]
            while one != NULL:
                following = one.next
                one.next = table[place_of(one.account, mask)]
                table[place_of(one.account, mask)] = one
                one = following
        free(route.gateway_accounts)
    route.gateway_accounts = table
    route.gateway_accounts_mask = mask


cdef GatewayAccount* state_make(Core* core, Link* link, Account* account, uint8_t flows) noexcept nogil:
    """An optimistic entry, or the one that is there; ``flows``: messages are sent until they are refused."""
    cdef RouteState* route = link.route
    cdef GatewayAccount* one = state_find(link, account)
    if one == NULL:
        if route.gateway_accounts == NULL or route.gateway_accounts_count > route.gateway_accounts_mask:
            states_grow(route)
        one = <GatewayAccount*>calloc(1, sizeof(GatewayAccount))
        if one == NULL or route.gateway_accounts == NULL:
            free(one)
            return NULL
        one.account = account
        one.next = route.gateway_accounts[place_of(account, route.gateway_accounts_mask)]
        route.gateway_accounts[place_of(account, route.gateway_accounts_mask)] = one
        route.gateway_accounts_count += 1
    one.mode = GATEWAY_OPTIMISTIC
    flow(core, link, one, flows)
    return one


cdef void flow(Core* core, Link* link, GatewayAccount* state, uint8_t on) noexcept nogil:
    """Is every message of the account sent?"""
    cdef Subscription* one = state.everything
    if not on:
        state.everything = NULL
        if one != NULL:
            subscription_end(core, one)
        return
    if one != NULL:
        return
    one = subscription_make(core, RECEIVER_LINK, BY_GATEWAY, 0)
    if one == NULL:
        return
    one.link = link
    one.everything = 1
    one.origin = EVERYTHING
    if not enter(core, state.account, one, b">", 1, NULL, 0):
        return
    list_add(link, one)
    state.everything = one


cdef void refused_clear(Core* core, GatewayAccount* state) noexcept nogil:
    cdef uint32_t i
    cdef Refused* one
    cdef Refused* following
    if state.refused == NULL:
        return
    for i in range(state.refused_mask + 1):
        one = state.refused[i]
        while one != NULL:
            following = one.next
            free(one)
            one = following
    free(state.refused)
    state.refused = NULL
    state.refused_count = 0
    if core != NULL:
        match_invalidate_all(state.account)


cdef Refused** refused_place(GatewayAccount* state, const char* subject, uint32_t size, uint64_t hash) noexcept nogil:
    cdef Refused** at = &state.refused[hash & state.refused_mask]
    while at[0] != NULL and not (at[0].hash == hash and at[0].size == size
                                 and memcmp(<char*>(at[0] + 1), subject, size) == 0):
        at = &at[0].next
    return at


cdef void refuse(Core* core, GatewayAccount* state, const char* subject, uint32_t size) noexcept nogil:
    cdef uint64_t hash = hash_bytes(subject, size, core.hash_seed)
    cdef Refused** at
    cdef Refused* one
    if state.refused == NULL:
        state.refused = <Refused**>calloc(1024, sizeof(Refused*))
        state.refused_mask = 1023
        if state.refused == NULL:
            return
    at = refused_place(state, subject, size, hash)
    if at[0] != NULL or state.refused_count == REFUSED_MAX:
        return
    one = <Refused*>malloc(sizeof(Refused) + size)
    if one == NULL:
        return
    memcpy(<char*>(one + 1), subject, size)
    one.hash = hash
    one.size = size
    one.next = NULL
    at[0] = one
    state.refused_count += 1
    match_invalidate(core, state.account, subject, size)


cdef void unrefuse(Core* core, GatewayAccount* state, const char* subject, uint32_t size) noexcept nogil:
    """The subject, or for a pattern all that it covers, are wanted again."""
    cdef Refused** at
    cdef Refused* gone
    cdef uint32_t i
    if state.refused == NULL:
        return
    for i in range(state.refused_mask + 1):
        at = &state.refused[i]
        while at[0] != NULL:
            if matches(subject, size, <char*>(at[0] + 1), at[0].size):
                gone = at[0]
                at[0] = gone.next
                state.refused_count -= 1
                free(gone)
            else:
                at = &at[0].next
    match_invalidate(core, state.account, subject, size)


cdef uint8_t refused_by(Core* core, Subscription* everything, const char* subject, uint32_t size) noexcept nogil:
    """Did the gateway refuse this subject?"""
    cdef GatewayAccount* state = state_find(everything.link, everything.account)
    if state == NULL or state.refused == NULL:
        return 0
    return refused_place(state, subject, size, hash_bytes(subject, size, core.hash_seed))[0] != NULL


cdef void interest_drop(Core* core, Link* link, Account* account, uint8_t queues) noexcept nogil:
    """End what the gateway wanted of the account."""
    cdef Subscription* one = link.subscriptions
    cdef Subscription* following
    while one != NULL:
        following = one.next
        if one.account == account and not one.everything and (queues or one.group == NULL):
            subscription_end(core, one)
        one = following


cdef uint8_t wants_queues(Link* link, Account* account) noexcept nogil:
    cdef Subscription* one = link.subscriptions
    while one != NULL:
        if one.account == account and one.group != NULL:
            return 1
        one = one.next
    return 0


cdef void gateway_forget(Link* link) noexcept nogil:
    """The link is gone; its subscriptions are ended already."""
    cdef uint32_t i
    cdef GatewayAccount* one
    cdef GatewayAccount* following
    if link.route.gateway_accounts == NULL:
        return
    for i in range(link.route.gateway_accounts_mask + 1):
        one = link.route.gateway_accounts[i]
        while one != NULL:
            following = one.next
            refused_clear(NULL, one)
            free(one)
            one = following
    free(link.route.gateway_accounts)
    link.route.gateway_accounts = NULL
    link.route.gateway_accounts_count = 0


# --- what an outbound says --------------------------------------------------------------------------------------------


cdef void plain_interest(Core* core, Link* link, Account* account, Text subject, uint8_t add) noexcept nogil:
    """RS+ and RS- without a queue, as the table of section 7.3 has it."""
    cdef GatewayAccount* state = state_find(link, account)
    cdef uint8_t none = state == NULL or state.mode == GATEWAY_NONE
    if none and add:
        return
    if none:
        state = state_make(core, link, account, link.route.optimistic or state != NULL)
        if state == NULL:
            return
    if state.mode == GATEWAY_OPTIMISTIC:
        if add:
            unrefuse(core, state, subject.at, subject.size)
        else:
            refuse(core, state, subject.at, subject.size)
    elif add:
        remote_subscribe(core, link, account, subject.at, subject.size, NULL, 0, 1, 0, BY_GATEWAY)
    else:
        remote_unsubscribe(core, link, account, subject.at, subject.size, NULL, 0, 0)


cdef void gateway_interest(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil:
    """RS+ and RS- after the verb: account, subject, and for queue groups their name, with a weight when it begins."""
    cdef Text parts[5]
    cdef int count = split(line, size, parts, 4)
    cdef Account* account
    cdef GatewayAccount* state
    if not link.route.outbound or count < 2 or count > (4 if add else 3) or (add and count == 3):
        violation(core, link)
        return
    account = account_from_route(core, link, parts[0].at, parts[0].size)
    if account == NULL:
        return
    if count == 2:
        plain_interest(core, link, account, parts[1], add)
        return
    if not add:
        remote_unsubscribe(core, link, account, parts[1].at, parts[1].size, parts[2].at, parts[2].size, 0)
        return
    state = state_find(link, account)
    if state == NULL or state.mode == GATEWAY_NONE:
        # After A- the peer tells of new plain interest no more: everything has to be sent.
        state_make(core, link, account, link.route.optimistic or state != NULL)
    remote_subscribe(core, link, account, parts[1].at, parts[1].size, parts[2].at, parts[2].size, 1, 0, BY_GATEWAY)


cdef void gateway_account(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil:
    """A+ and A-: some interest in the account, or none at all. From a solicitor they mean nothing."""
    cdef Text parts[2]
    cdef Account* account
    cdef GatewayAccount* state
    if not link.route.outbound:
        return
    if split(line, size, parts, 1) != 1:
        violation(core, link)
        return
    account = account_from_route(core, link, parts[0].at, parts[0].size)
    if account == NULL:
        return
    state = state_find(link, account)
    if wants_queues(link, account):
        if not add and state != NULL:
            refused_clear(core, state)
        return
    if add:
        # It may have forgotten that we wait to be told (section 8.2): everything is sent from now on.
        state_make(core, link, account, 1)
        return
    state = state_make(core, link, account, 0)
    if state != NULL:
        interest_drop(core, link, account, 0)
        refused_clear(core, state)
        state.mode = GATEWAY_NONE


cdef void switch_mode(Core* core, Link* link, Account* account, uint8_t complete) noexcept nogil:
    cdef GatewayAccount* state = state_find(link, account)
    if state == NULL or state.mode == GATEWAY_NONE:
        state = state_make(core, link, account, 0)
        if state == NULL:
            return
    if complete:
        flow(core, link, state, 0)
        refused_clear(core, state)
        state.mode = GATEWAY_INTEREST_ONLY
    else:
        state.mode = GATEWAY_TRANSITIONING


cdef int base64_value(char c) noexcept nogil:
    cdef const char* at = BASE64
    cdef int i
    for i in range(64):
        if at[i] == c:
            return i
    return -1


cdef uint8_t decode_name(Buffer* to, const char* text, uint32_t size) noexcept nogil:
    """Base64, padded or not; 0: it is none, or says nothing."""
    cdef uint32_t bits = 0
    cdef uint32_t have = 0
    cdef uint32_t i
    cdef int value
    cdef char c
    to.size = 0
    for i in range(size):
        if text[i] == 61:
            break
        value = base64_value(text[i])
        if value < 0:
            return 0
        bits = (bits << 6 | <uint32_t>value) & 0xFFFF
        have += 6
        if have >= 8:
            have -= 8
            c = <char>((bits >> have) & 255)
            buffer_add(to, &c, 1)
    return to.size > 0


cdef uint8_t gateway_command(Core* core, Link* link, char* line, uint32_t size) noexcept nogil:
    """An INFO line that begins or ends an account's list; 0: it is another one."""
    cdef char* end = line + size
    cdef char* at = <char*>memmem(line, size, b"\"gateway_cmd\":", 14)
    cdef char* stop
    cdef char command
    cdef Account* account
    if at == NULL or not link.route.outbound:
        return 0
    at += 14
    while at < end and is_blank(at[0]):
        at += 1
    if at + 1 >= end or (at[0] != 50 and at[0] != 51) or 48 <= at[1] <= 57:
        return 0
    command = at[0]
    at = <char*>memmem(line, size, b"\"gateway_cmd_payload\":", 22)
    stop = NULL
    if at != NULL:
        at += 22
        while at < end and at[0] != 34:
            at += 1
        at += 1
        stop = at
        while stop < end and stop[0] != 34:
            stop += 1
    core.line_other.size = 0
    if stop == NULL or stop >= end or not decode_name(&core.line_other, at, <uint32_t>(stop - at)):
        if command == 50:
            link_doom(core, link, PROTOCOL_VIOLATION, b"Account absent from receive-all-subscriptions-start command",
                      59, 1)
        else:
            link_doom(core, link, PROTOCOL_VIOLATION,
                      b"Account absent from receive-all-subscriptions-complete command", 62, 1)
        return 1
    account = account_from_route(core, link, core.line_other.data, <uint32_t>core.line_other.size)
    if account != NULL:
        switch_mode(core, link, account, command == 51)
    return 1
