# cython: language_level=3
"""What accounts share: imports programmed by the control plane, and the mappings of an account.

A service import is a subscription in the importing account that nobody is told of; what it gets becomes a request in
the exporting account (``request.pyx``). A stream import gives every subscription that overlaps its local subject a
shadow in the exporting account, which is announced there like any other (``subscriptions.pyx``).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memset

from gossamer.mesh.engine.match cimport match_invalidate_all
from gossamer.mesh.engine.memory cimport buffer_add, bury
from gossamer.mesh.engine.pending cimport pendings_drop
from gossamer.mesh.engine.subscriptions cimport (
    enter,
    shadow_make,
    shadows_of_end,
    subscription_end,
    subscription_make,
)
from gossamer.mesh.engine.types cimport (
    RECEIVER_NOBODY,
    RECEIVER_SERVICE,
    UNTOLD,
    Account,
    Core,
    Group,
    Import,
    Mapping,
    Subscription,
    Terminal,
)


# --- mappings ---------------------------------------------------------------------------------------------------------


cdef void mapping_free(Mapping* mapping) noexcept nogil:
    cdef uint32_t i
    for i in range(mapping.count):
        free(mapping.targets[i].program)
    free(mapping)


cdef void mapping_tell(Core* core, Account* account, Mapping* mapping) noexcept nogil:
    """Leaf nodes are told of the source: what they publish there is mapped here."""
    cdef Subscription* one = subscription_make(core, RECEIVER_NOBODY, UNTOLD, 0)
    if one != NULL and enter(core, account, one, mapping.source, mapping.source_size, NULL, 0):
        mapping.told = one


cdef void mapping_set(Core* core, Account* account, Mapping* mapping) noexcept nogil:
    """Take it over; one of the same source is replaced in its place."""
    cdef Mapping** at = &account.mappings
    cdef Mapping* before
    match_invalidate_all(account)
    while at[0] != NULL:
        before = at[0]
        if before.source_size == mapping.source_size and memcmp(before.source, mapping.source,
                                                                mapping.source_size) == 0:
            mapping.next = before.next
            mapping.told = before.told
            at[0] = mapping
            mapping_bury(core, before)
            return
        at = &before.next
    mapping_tell(core, account, mapping)
    if mapping.literal:
        mapping.next = account.mappings
        account.mappings = mapping
    else:
        mapping.next = NULL
        at[0] = mapping


cdef void mapping_bury(Core* core, Mapping* mapping) noexcept nogil:
    """A message on its way may be using its programs."""
    cdef uint32_t i
    for i in range(mapping.count):
        bury(core, mapping.targets[i].program)
    bury(core, mapping)


cdef void mapping_remove(Core* core, Account* account, const char* source, uint32_t size) noexcept nogil:
    cdef Mapping** at = &account.mappings
    cdef Mapping* one
    while at[0] != NULL:
        one = at[0]
        if one.source_size == size and memcmp(one.source, source, size) == 0:
            at[0] = one.next
            if one.told != NULL:
                subscription_end(core, one.told)
            mapping_bury(core, one)
            match_invalidate_all(account)
            return
        at = &one.next


# --- imports ----------------------------------------------------------------------------------------------------------


cdef uint8_t service_begin(Core* core, Import* one) noexcept nogil:
    cdef Subscription* subscription = subscription_make(core, RECEIVER_SERVICE, UNTOLD, 0)
    if subscription == NULL:
        return 0
    subscription.target = one
    if not enter(core, one.account, subscription, one.local, one.local_size, NULL, 0):
        return 0
    one.subscription = subscription
    return 1


cdef void shadow_all(Core* core, Import* one, uint8_t make) noexcept nogil:
    """Give the account's subscriptions their shadows for this import, or end them. They are gathered first: an account
    may import from itself, and then the shadows come into the arrays that are being read."""
    cdef Terminal* terminal = one.account.terminals
    cdef Group* group
    cdef Subscription** found
    cdef uint32_t i
    core.scratch_plain.size = 0
    while terminal != NULL:
        buffer_add(&core.scratch_plain, terminal.plain, terminal.plain_count * sizeof(void*))
        group = terminal.groups
        while group != NULL:
            buffer_add(&core.scratch_plain, group.members, group.count * sizeof(void*))
            group = group.next
        terminal = terminal.next
    found = <Subscription**>core.scratch_plain.data
    for i in range(<uint32_t>(core.scratch_plain.size // sizeof(void*))):
        if found[i].closed:
            continue
        if make:
            shadow_make(core, one, found[i])
        else:
            shadows_of_end(core, one, found[i])


cdef void import_enter(Core* core, Import* one) noexcept nogil:
    """Take it over and begin. The accounts are there."""
    cdef uint32_t capacity
    cdef Import** grown
    if one.id >= core.imports_capacity:
        capacity = one.id * 2 + 64
        grown = <Import**>realloc(core.imports, capacity * sizeof(Import*))
        if grown == NULL:
            import_free(one)
            return
        memset(grown + core.imports_capacity, 0, (capacity - core.imports_capacity) * sizeof(Import*))
        core.imports = grown
        core.imports_capacity = capacity
    if one.service and not service_begin(core, one):
        import_free(one)
        return
    core.imports[one.id] = one
    one.next = one.account.imports
    one.account.imports = one
    if not one.service:
        one.stream_next = one.account.streams
        one.account.streams = one
        shadow_all(core, one, 1)


cdef void import_remove(Core* core, uint64_t id) noexcept nogil:
    cdef Import* one
    cdef Import** at
    if id >= core.imports_capacity or core.imports[id] == NULL:
        return
    one = core.imports[id]
    core.imports[id] = NULL
    one.removed = 1
    at = &one.account.imports
    while at[0] != NULL:
        if at[0] == one:
            at[0] = one.next
            break
        at = &at[0].next
    if one.service:
        subscription_end(core, one.subscription)
        pendings_drop(core, one)
    else:
        at = &one.account.streams
        while at[0] != NULL:
            if at[0] == one:
                at[0] = one.stream_next
                break
            at = &at[0].stream_next
        shadow_all(core, one, 0)
    match_invalidate_all(one.account)
    match_invalidate_all(one.exporter)
    bury(core, one.program)
    bury(core, one.local)
    bury(core, one.info.data)
    bury(core, one)


cdef void import_free(Import* one) noexcept nogil:
    free(one.program)
    free(one.local)
    free(one.info.data)
    free(one)


cdef void sharing_destroy(Core* core) noexcept nogil:
    cdef uint32_t i
    cdef Mapping* mapping
    cdef Account* account
    for i in range(core.imports_capacity):
        if core.imports[i] != NULL:
            import_remove(core, i)
    for i in range(core.accounts_count):
        account = core.accounts[i]
        if account == NULL:
            continue
        if account.answers != NULL:
            subscription_end(core, account.answers)
            account.answers = NULL
        while account.mappings != NULL:
            mapping = account.mappings
            account.mappings = mapping.next
            if mapping.told != NULL:
                subscription_end(core, mapping.told)
            mapping_free(mapping)
    free(core.imports)
    free(core.pendings)
