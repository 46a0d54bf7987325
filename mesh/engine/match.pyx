# cython: language_level=3
"""Who gets a subject, remembered: the match cache.

An ``Entry`` is the whole answer for one literal subject in one account: local receivers, remote nodes, queue groups
with their weights, whether publishing is reserved, and the last verdicts of permission sets. What a subscriber's deny
list filters is left out when the entry is made, so a delivery checks nothing.

The cache is four-way set-associative, with two sets for each subject. A change of interest on a literal subject marks
one entry; one with a wildcard bumps a generation: the account's, or, when the first token is literal, that token's, so
that every client's own ``_INBOX.x.*`` does not empty the cache. A subject is only cached when it is met twice
(``doorkeeper``): inboxes used once do not push out what is used for ever.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from gossamer.mesh.engine.entry cimport entry_build, first_token_slot
from gossamer.mesh.engine.memory cimport next_random
from gossamer.mesh.engine.permission cimport may_hear, may_publish
from gossamer.mesh.engine.subject cimport subject_wildcard
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport (
    CACHE_SETS,
    CACHE_WAYS,
    DOOR_BITS,
    DOOR_KEYS,
    VERDICTS,
    Account,
    CacheSet,
    Core,
    Entry,
    Permission,
)

cdef extern from *:
    void prefetch "__builtin_prefetch"(const void* at) noexcept nogil


cdef inline uint64_t subject_hash(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    return hash_bytes(subject, size, core.hash_seed + <uint64_t>account.id * <uint64_t>0xD6E8FEB86659FD93)


cdef inline uint32_t set_of(uint64_t hash, uint32_t choice) noexcept nogil:
    """A subject's first or second set: with two, hardly any overflows before the cache is full."""
    return <uint32_t>((hash >> (20 * choice)) & (CACHE_SETS - 1))


cdef inline uint8_t set_filled(Core* core, uint32_t index) noexcept nogil:
    """Was there ever an entry in it? The answer lies in eight kilobytes, the sets in four megabytes."""
    return (core.cache_filled[index >> 6] >> (index & 63)) & 1


cdef inline void entry_bury(Core* core, Entry* entry) noexcept nogil:
    entry.invalid = 1
    entry.grave_next = core.grave_entries
    core.grave_entries = entry


cdef void match_free_graves(Core* core) noexcept nogil:
    cdef Entry* entry = core.grave_entries
    cdef Entry* following
    core.grave_entries = NULL
    while entry != NULL:
        following = entry.grave_next
        free(entry.extra)
        free(entry)
        entry = following


cdef uint8_t seen_before(Core* core, uint64_t hash) noexcept nogil:
    """Was the subject met since the filter was last emptied? (now it was)"""
    cdef uint32_t one = <uint32_t>((hash >> 11) & (DOOR_BITS - 1))
    cdef uint32_t other = <uint32_t>((hash >> 37) & (DOOR_BITS - 1))
    cdef uint64_t one_bit = <uint64_t>1 << (one & 63)
    cdef uint64_t other_bit = <uint64_t>1 << (other & 63)
    if core.doorkeeper[one >> 6] & one_bit and core.doorkeeper[other >> 6] & other_bit:
        return 1
    if core.door_keys == DOOR_KEYS:
        memset(core.doorkeeper, 0, DOOR_BITS // 8)
        core.door_keys = 0
    core.door_keys += 1
    core.doorkeeper[one >> 6] |= one_bit
    core.doorkeeper[other >> 6] |= other_bit
    return 0


cdef Entry* match_lookup(Core* core, Account* account, const char* subject, uint32_t size,
                         uint32_t* slot) noexcept nogil:
    """The entry for a literal subject, from the cache or made now; NULL when memory is out. It stays readable until
    the tick ends. ``slot`` is where it lies in the cache, NO_SLOT if it was not kept."""
    cdef uint64_t hash = subject_hash(core, account, subject, size)
    cdef uint32_t tag = <uint32_t>(hash >> 32)
    cdef uint32_t index, way, choice
    cdef CacheSet* line
    cdef Entry* entry
    for choice in range(2):
        index = set_of(hash, choice)
        line = &core.cache[index]
        for way in range(CACHE_WAYS):
            if line.tag[way] != tag:
                continue
            entry = line.entry[way]
            if entry == NULL:
                continue
            prefetch(<char*>entry + 64)
            prefetch(<char*>entry + 128)
            if entry.hash != hash or entry.account != account or entry.subject_size != size \
                    or memcmp(entry.subject, subject, size) != 0:
                continue
            slot[0] = index * CACHE_WAYS + way
            if entry_valid(entry):
                core.cache_hits += 1
                return entry
            core.cache_misses += 1
            entry_bury(core, entry)
            entry = entry_build(core, account, subject, size, hash)
            line.entry[way] = entry
            if entry == NULL:
                core.cache_entries -= 1
            return entry
    core.cache_misses += 1
    entry = entry_build(core, account, subject, size, hash)
    if entry == NULL:
        return NULL
    if not seen_before(core, hash):
        slot[0] = NO_SLOT
        entry_bury(core, entry)
        entry.invalid = 0
        return entry
    slot[0] = place_entry(core, entry, hash, tag)
    return entry


cdef Entry* match_again(Core* core, Account* account, const char* subject, uint32_t size,
                        uint32_t* slot) noexcept nogil:
    """The same, looking first where the subject's entry lay last time: no hashing while it is still there."""
    cdef Entry* entry
    if slot[0] != NO_SLOT:
        entry = core.cache[slot[0] // CACHE_WAYS].entry[slot[0] % CACHE_WAYS]
        if entry != NULL and entry.account == account and entry.subject_size == size \
                and memcmp(entry.subject, subject, size) == 0 and entry_valid(entry):
            core.cache_hits += 1
            return entry
    return match_lookup(core, account, subject, size, slot)


cdef uint32_t place_entry(Core* core, Entry* entry, uint64_t hash, uint32_t tag) noexcept nogil:
    """A free or outdated place in one of the subject's two sets, else that of a random other; the slot."""
    cdef uint32_t index, way, choice
    cdef CacheSet* line
    for choice in range(2):
        index = set_of(hash, choice)
        line = &core.cache[index]
        for way in range(CACHE_WAYS):
            if line.entry[way] == NULL:
                core.cache_entries += 1
            elif not entry_valid(line.entry[way]):
                entry_bury(core, line.entry[way])
            else:
                continue
            line.entry[way] = entry
            line.tag[way] = tag
            core.cache_filled[index >> 6] |= <uint64_t>1 << (index & 63)
            return index * CACHE_WAYS + way
    index = set_of(hash, <uint32_t>(next_random(core) >> 63))
    way = <uint32_t>(next_random(core) >> 62)
    line = &core.cache[index]
    entry_bury(core, line.entry[way])
    line.entry[way] = entry
    line.tag[way] = tag
    return index * CACHE_WAYS + way


cdef void match_prefetch(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    """Have at hand what ``match_invalidate`` is going to look at, while the trie is walked."""
    cdef uint64_t hash = subject_hash(core, account, subject, size)
    cdef uint32_t choice
    for choice in range(2):
        if set_filled(core, set_of(hash, choice)):
            prefetch(&core.cache[set_of(hash, choice)])


cdef void match_invalidate(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    """Interest on this subject or pattern changed."""
    cdef uint64_t hash
    cdef CacheSet* line
    cdef uint32_t index, way, choice
    cdef Entry* entry
    if subject_wildcard(subject, size):
        if (subject[0] == 42 or subject[0] == 62) and (size == 1 or subject[1] == 46):
            account.generation += 1
        else:
            account.generations[first_token_slot(subject, size)] += 1
        return
    hash = subject_hash(core, account, subject, size)
    for choice in range(2):
        index = set_of(hash, choice)
        if not set_filled(core, index):
            continue
        line = &core.cache[index]
        for way in range(CACHE_WAYS):
            if line.tag[way] != <uint32_t>(hash >> 32):
                continue
            entry = line.entry[way]
            if entry != NULL and entry.hash == hash and entry.account == account and entry.subject_size == size \
                    and memcmp(entry.subject, subject, size) == 0:
                entry.invalid = 1


cdef void match_invalidate_all(Account* account) noexcept nogil:
    account.generation += 1


cdef uint8_t match_may_pass(Entry* entry, Permission* permission, uint8_t publish, const char* subject,
                            uint32_t size) noexcept nogil:
    """The permission set's verdict on the entry's subject, to be published or heard, remembered for a few sets.
    Without an entry the lists are walked."""
    cdef uint32_t i
    cdef uint32_t key = permission.id * 2 + (not publish)
    if entry == NULL:
        return may_publish(permission, subject, size) if publish else may_hear(permission, subject, size)
    for i in range(VERDICTS):
        if entry.verdict_permission[i] == key:
            return entry.verdict[i]
    i = entry.verdict_next
    entry.verdict_next = <uint8_t>((i + 1) % VERDICTS)
    if publish:
        entry.verdict[i] = may_publish(permission, entry.subject, entry.subject_size)
    else:
        entry.verdict[i] = may_hear(permission, entry.subject, entry.subject_size)
    entry.verdict_permission[i] = key
    return entry.verdict[i]


cdef void match_destroy(Core* core) noexcept nogil:
    cdef uint32_t i, way
    for i in range(CACHE_SETS):
        for way in range(CACHE_WAYS):
            if core.cache[i].entry[way] != NULL:
                free(core.cache[i].entry[way].extra)
                free(core.cache[i].entry[way])
            core.cache[i].entry[way] = NULL
    match_free_graves(core)
