# cython: language_level=3
"""Who gets a subject: an ``Entry`` is made from the trie, the imports and the mappings of an account.

It is the whole answer for one literal subject: local receivers, other servers, queue groups with their weights,
whether publishing is reserved. What a subscriber's deny list filters is left out, so a delivery checks nothing.
Nothing in here remembers anything: ``match`` does.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.gateway cimport refused_by
from gossamer.mesh.engine.interest cimport group_name, terminal_subject
from gossamer.mesh.engine.memory cimport buffer_add, buffer_pointer
from gossamer.mesh.engine.permission cimport delivery_denied
from gossamer.mesh.engine.subject cimport matches, tokenize
from gossamer.mesh.engine.transform cimport program_apply
from gossamer.mesh.engine.trie cimport trie_match
from gossamer.mesh.engine.types cimport (
    BY_GATEWAY,
    BY_ROUTE,
    ENTRY_ANSWERS,
    ENTRY_CALLS,
    ENTRY_GATEWAYS,
    ENTRY_MAPPED,
    ENTRY_SHADOWS,
    HERE,
    MAX_TOKENS,
    RECEIVER_MAILBOX,
    RECEIVER_SERVICE,
    RECEIVER_SHADOW,
    Account,
    CallMatch,
    Core,
    Entry,
    Extra,
    Group,
    Import,
    MapMatch,
    Mapping,
    MatchGroup,
    Permission,
    Program,
    ShadowMatch,
    Subscription,
    Terminal,
)

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** at, size_t alignment, size_t size)


cdef inline uint8_t starts_with(const char* text, uint32_t size, const char* prefix,
                                uint32_t prefix_size) noexcept nogil:
    return size >= prefix_size and memcmp(text, prefix, prefix_size) == 0


cdef inline uint8_t filtered(Subscription* one, const char* subject, uint32_t size) noexcept nogil:
    """Does the receiver's own deny list keep this subject from it?"""
    cdef Permission* permission
    if one.link == NULL or one.link.permission == NULL or one.remote:       # a leaf node's rights: ``rights.may_send``
        return 0
    permission = one.link.permission
    if permission.subscribe_deny.count == 0:
        return 0
    if one.group != NULL:
        return delivery_denied(permission, subject, size, group_name(one.group), one.group.name_size)
    return delivery_denied(permission, subject, size, NULL, 0)


cdef uint8_t shadow_hears(Core* core, Subscription* shadow, const char* subject, uint32_t size) noexcept nogil:
    """Give the subject its local name (once for each import while an entry is built, in scratch_text) and see whether
    the subscriber wants it by that name."""
    cdef Import* through = shadow.target
    cdef Subscription* of = shadow.shadow_of
    cdef char* text
    if through.stamp != core.build:
        through.stamp = core.build
        through.text = <uint32_t>core.scratch_text.size
        program_apply(core, through.program, subject, size, &core.scratch_text)
        through.text_size = <uint32_t>core.scratch_text.size - through.text
    if of.terminal == NULL:
        return 0
    text = core.scratch_text.data + through.text
    return matches(terminal_subject(of.terminal), of.terminal.subject_size, text, through.text_size) \
        and not filtered(of, text, through.text_size)


cdef Extra* extra_build(Core* core, Account* account, const char* subject, uint32_t size,
                        uint8_t* special) noexcept nogil:
    """What the gathered shadows and service imports, and the account's mapping of the subject, come to; one block."""
    cdef uint32_t shadow_count = <uint32_t>(core.scratch_shadows.size // sizeof(void*))
    cdef uint32_t call_count = <uint32_t>(core.scratch_calls.size // sizeof(void*))
    cdef Subscription** shadows = <Subscription**>core.scratch_shadows.data
    cdef Import** calls = <Import**>core.scratch_calls.data
    cdef Mapping* mapping = mapping_of(account, subject, size)
    cdef uint32_t map_count = 0
    cdef uint32_t i
    cdef size_t texts
    cdef Extra* extra
    cdef char* text
    cdef uint32_t* spans
    if mapping != NULL:
        map_count = mapping.count + (mapping.count == 0 or mapping.targets[mapping.count - 1].until < 100)
    if shadow_count == 0 and call_count == 0 and map_count == 0:
        return NULL
    # The texts are made first, behind those of the shadows, because their sizes are not known before.
    core.scratch_members.size = 0
    for i in range(call_count):
        add_text(core, calls[i].program, subject, size)
    if mapping != NULL:
        for i in range(mapping.count):
            if mapping.targets[i].program.by_chance:
                add_text(core, NULL, subject, size)
            else:
                add_text(core, mapping.targets[i].program, subject, size)
    texts = core.scratch_text.size
    extra = <Extra*>malloc(sizeof(Extra) + shadow_count * sizeof(ShadowMatch) + call_count * sizeof(CallMatch)
                           + map_count * sizeof(MapMatch) + texts + 64)
    if extra == NULL:
        return NULL
    memset(extra, 0, sizeof(Extra))
    extra.shadow_count = shadow_count
    extra.shadows = <ShadowMatch*>(extra + 1)
    extra.call_count = call_count
    extra.calls = <CallMatch*>(extra.shadows + shadow_count)
    extra.map_count = map_count
    extra.maps = <MapMatch*>(extra.calls + call_count)
    text = <char*>(extra.maps + map_count)
    if texts:
        memcpy(text, core.scratch_text.data, texts)
    for i in range(shadow_count):
        extra.shadows[i].shadow = shadows[i]
        extra.shadows[i].subject = text + shadows[i].target.text
        extra.shadows[i].subject_size = shadows[i].target.text_size
    spans = <uint32_t*>core.scratch_members.data
    for i in range(call_count):
        extra.calls[i].of = calls[i]
        extra.calls[i].subject = text + spans[2 * i]
        extra.calls[i].subject_size = spans[2 * i + 1]
        extra.calls[i].slot = 0
    if mapping != NULL:
        spans += 2 * call_count
        memset(extra.maps, 0, map_count * sizeof(MapMatch))
        for i in range(mapping.count):
            extra.maps[i].until = mapping.targets[i].until
            extra.maps[i].subject = text + spans[2 * i]
            extra.maps[i].subject_size = spans[2 * i + 1]
            extra.maps[i].drop = mapping.targets[i].program.count == 0
            if mapping.targets[i].program.by_chance:
                extra.maps[i].program = mapping.targets[i].program
        if map_count > mapping.count:
            extra.maps[mapping.count].keep = 1
            extra.maps[mapping.count].until = 100
    special[0] |= (ENTRY_SHADOWS if shadow_count else 0) | (ENTRY_CALLS if call_count else 0) \
        | (ENTRY_MAPPED if map_count else 0)
    return extra


cdef void add_text(Core* core, Program* program, const char* subject, uint32_t size) noexcept nogil:
    """Append what the program makes of the subject, and where it lies; NULL: nothing."""
    cdef uint32_t span[2]
    span[0] = <uint32_t>core.scratch_text.size
    if program != NULL:
        program_apply(core, program, subject, size, &core.scratch_text)
    span[1] = <uint32_t>core.scratch_text.size - span[0]
    buffer_add(&core.scratch_members, span, sizeof(span))


cdef Mapping* mapping_of(Account* account, const char* subject, uint32_t size) noexcept nogil:
    """The mapping for a literal subject: that of a literal source, else the first pattern that matches."""
    cdef Mapping* one = account.mappings
    while one != NULL:
        if one.literal:
            if one.source_size == size and memcmp(one.source, subject, size) == 0:
                return one
        elif matches(one.source, one.source_size, subject, size):
            return one
        one = one.next
    return NULL


cdef void gather_group(Core* core, Group* group, const char* subject, uint32_t size) noexcept nogil:
    """Add the group's members; a group of the same name on another matching subject is the same group."""
    cdef MatchGroup* found = NULL
    cdef MatchGroup* groups = <MatchGroup*>core.scratch_groups.data
    cdef MatchGroup fresh
    cdef uint32_t count = <uint32_t>(core.scratch_groups.size // sizeof(MatchGroup))
    cdef uint32_t i
    cdef uint32_t at
    for i in range(count):
        if groups[i].name_of.name_size == group.name_size \
                and memcmp(group_name(groups[i].name_of), group_name(group), group.name_size) == 0:
            found = &groups[i]
            at = i
            break
    if found == NULL:
        memset(&fresh, 0, sizeof(MatchGroup))
        fresh.name_of = group
        at = count
        buffer_add(&core.scratch_groups, &fresh, sizeof(MatchGroup))
    # Members of one group need not follow each other here: they are sorted out when the entry is laid out.
    for i in range(group.count):
        if group.members[i].receiver == RECEIVER_SHADOW:
            if not shadow_hears(core, group.members[i], subject, size):
                continue
        elif filtered(group.members[i], subject, size):
            continue
        buffer_pointer(&core.scratch_members, group.members[i])
        buffer_pointer(&core.scratch_members, <void*><size_t>at)


cdef void gather_remote(Core* core, Subscription* one) noexcept nogil:
    """One copy to each node, however often it asked; another one for each leaf cluster it asked for, because a message
    from that cluster is not wanted there."""
    cdef Subscription** remote = <Subscription**>core.scratch_remote.data
    cdef uint32_t i
    for i in range(<uint32_t>(core.scratch_remote.size // sizeof(void*))):
        if remote[i].link == one.link and remote[i].origin == one.origin:
            return
    buffer_pointer(&core.scratch_remote, one)


cdef inline uint32_t place_in_group(Subscription* one) noexcept nogil:
    """Who comes first: this node's, other nodes', leaf nodes' (here or at another node), other clusters'. Who is fed
    by a stream import counts as who it is."""
    if one.remote == HERE:
        return 2 if one.receiver == RECEIVER_SHADOW and one.shadow_of.remote != HERE else 0
    if one.remote == BY_GATEWAY:
        return 3
    return 1 if one.remote == BY_ROUTE and one.origin == 0 else 2


cdef Entry* entry_build(Core* core, Account* account, const char* subject, uint32_t size, uint64_t hash) noexcept nogil:
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t tokens = tokenize(subject, size, starts)
    cdef Terminal** terminals
    cdef uint32_t terminal_count, i, j, members
    cdef Group* group
    cdef Subscription* one
    cdef Subscription** to
    cdef void** pairs
    cdef MatchGroup* scratch
    cdef Entry* entry
    cdef size_t bytes_needed
    cdef void* memory = NULL
    cdef uint8_t stage
    core.scratch_terminals.size = 0
    core.scratch_plain.size = 0
    core.scratch_remote.size = 0
    core.scratch_groups.size = 0
    core.scratch_members.size = 0
    core.scratch_shadows.size = 0
    core.scratch_calls.size = 0
    core.scratch_text.size = 0
    core.build += 1
    if tokens:
        trie_match(account, subject, starts, tokens, &core.scratch_terminals)
    terminals = <Terminal**>core.scratch_terminals.data
    terminal_count = <uint32_t>(core.scratch_terminals.size // sizeof(void*))
    for i in range(terminal_count):
        for j in range(terminals[i].plain_count):
            one = terminals[i].plain[j]
            if one.receiver > RECEIVER_MAILBOX:
                if one.receiver == RECEIVER_SERVICE:
                    buffer_pointer(&core.scratch_calls, one.target)
                elif one.receiver == RECEIVER_SHADOW and shadow_hears(core, one, subject, size):
                    buffer_pointer(&core.scratch_shadows, one)
                continue
            if one.remote == HERE:
                if not filtered(one, subject, size):
                    buffer_pointer(&core.scratch_plain, one)
            elif not (one.everything and refused_by(core, one, subject, size)):
                gather_remote(core, one)
        group = terminals[i].groups
        while group != NULL:
            gather_group(core, group, subject, size)
            group = group.next
    members = <uint32_t>(core.scratch_members.size // (2 * sizeof(void*)))
    bytes_needed = sizeof(Entry) + core.scratch_plain.size + core.scratch_remote.size + core.scratch_groups.size
    bytes_needed += members * sizeof(void*) + size + 64
    # Aligned, so that what every message reads is one cache line.
    if posix_memalign(&memory, 64, bytes_needed) != 0:
        return NULL
    entry = <Entry*>memory
    memset(entry, 0, sizeof(Entry))
    entry.account = account
    entry.hash = hash
    entry.slot = first_token_slot(subject, size)
    entry.generation = account.generation
    entry.slot_generation = account.generations[entry.slot]
    entry.unmatched = tokens == 0
    entry.reserved = starts_with(subject, size, b"_GR_.", 5) or starts_with(subject, size, b"$GR.", 4) \
        or (not account.system and starts_with(subject, size, b"$NRG.", 5))
    entry.plain = <Subscription**>(entry + 1)
    entry.plain_count = <uint32_t>(core.scratch_plain.size // sizeof(void*))
    if entry.plain_count:
        memcpy(entry.plain, core.scratch_plain.data, core.scratch_plain.size)
    entry.remote = entry.plain + entry.plain_count
    entry.remote_count = <uint32_t>(core.scratch_remote.size // sizeof(void*))
    if entry.remote_count:
        memcpy(entry.remote, core.scratch_remote.data, core.scratch_remote.size)
    entry.groups = <MatchGroup*>(entry.remote + entry.remote_count)
    entry.group_count = <uint32_t>(core.scratch_groups.size // sizeof(MatchGroup))
    to = <Subscription**>(entry.groups + entry.group_count)
    pairs = <void**>core.scratch_members.data
    scratch = <MatchGroup*>core.scratch_groups.data
    for i in range(entry.group_count):
        entry.groups[i] = scratch[i]
        entry.groups[i].members = to
        for stage in range(4):
            for j in range(members):
                one = <Subscription*>pairs[2 * j]
                if <uint32_t><size_t>pairs[2 * j + 1] != i or place_in_group(one) != stage:
                    continue
                to[0] = one
                to += 1
                entry.groups[i].count += 1
                if stage <= 1:
                    entry.groups[i].weight += one.weight
            if stage == 0:
                entry.groups[i].local_count = entry.groups[i].count
            elif stage == 1:
                entry.groups[i].near_count = entry.groups[i].count
            elif stage == 2:
                entry.groups[i].own_count = entry.groups[i].count
    to = <Subscription**>(entry.groups + entry.group_count) + members
    entry.subject = <char*>to
    memcpy(entry.subject, subject, size)
    entry.subject_size = size
    if starts_with(subject, size, b"_R_.", 4):
        entry.special |= ENTRY_ANSWERS
    for i in range(entry.remote_count):
        if entry.remote[i].remote == BY_GATEWAY:
            entry.special |= ENTRY_GATEWAYS
    for i in range(entry.group_count):
        if entry.groups[i].own_count < entry.groups[i].count:
            entry.special |= ENTRY_GATEWAYS
    if tokens and (core.scratch_shadows.size or core.scratch_calls.size or account.mappings != NULL):
        entry.extra = extra_build(core, account, subject, size, &entry.special)
    return entry
