# cython: language_level=3
"""The table of accounts: by number, which the control plane uses, and by name, which routes use."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from gossamer.mesh.engine.announce cimport account_routes_rebuild
from gossamer.mesh.engine.gateway cimport account_born
from gossamer.mesh.engine.interest cimport account_free, account_make
from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.memory cimport buffer_free, buffer_pointer
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport DENIED_PER_SECOND, EVENT_ACCOUNT_SEEN, Account, Core, Link, Mail

cdef extern from *:
    uint32_t atomic_add "__sync_fetch_and_add"(uint32_t* at, uint32_t value) noexcept nogil

cdef enum:
    PLACEHOLDERS_MAX = 1048576      # interest for unknown accounts is kept for no more than so many


cdef Account* account_find(Core* core, const char* name, uint32_t size) noexcept nogil:
    cdef Account* account
    if core.account_names == NULL:
        return NULL
    account = core.account_names[hash_bytes(name, size, 0) & core.account_names_mask]
    while account != NULL:
        if account.name_size == size and memcmp(account.name, name, size) == 0:
            return account
        account = account.name_next
    return NULL


cdef Account* account_by_id(Core* core, uint64_t id) noexcept nogil:
    if id >= core.accounts_count:
        return NULL
    return core.accounts[id]


cdef void names_grow(Core* core) noexcept nogil:
    cdef uint32_t mask = core.account_names_mask * 2 + 1 if core.account_names != NULL else 63
    cdef Account** table = <Account**>calloc(mask + 1, sizeof(Account*))
    cdef uint32_t i
    cdef uint64_t hash
    if table == NULL:
        return
    for i in range(core.accounts_count):
        if core.accounts[i] != NULL:
            hash = hash_bytes(core.accounts[i].name, core.accounts[i].name_size, 0)
            core.accounts[i].name_next = table[hash & mask]
            table[hash & mask] = core.accounts[i]
    free(core.account_names)
    core.account_names = table
    core.account_names_mask = mask


cdef uint8_t accounts_reach(Core* core, uint32_t id) noexcept nogil:
    """Make the table long enough for the number; 0 when memory is out."""
    cdef uint32_t capacity
    cdef Account** grown
    if id >= core.accounts_capacity:
        capacity = core.accounts_capacity * 2 if core.accounts_capacity else 64
        if capacity <= id:
            capacity = id + 64
        grown = <Account**>realloc(core.accounts, capacity * sizeof(Account*))
        if grown == NULL:
            return 0
        memset(grown + core.accounts_capacity, 0, (capacity - core.accounts_capacity) * sizeof(Account*))
        core.accounts = grown
        core.accounts_capacity = capacity
    if id >= core.accounts_count:
        core.accounts_count = id + 1
    return 1


cdef Account* account_enter(Core* core, uint32_t id, const char* name, uint32_t size, uint8_t dedicated,
                            uint8_t system) noexcept nogil:
    """Make the account under this number (0: the next free one); one of the name that exists is taken and changed."""
    cdef Account* account = account_find(core, name, size)
    cdef uint64_t hash
    cdef uint8_t born = account == NULL
    if account == NULL:
        account = account_make(core, name, size)
        if account == NULL:
            return NULL
        if id == 0:
            id = atomic_add(&core.next_account_id, 1)
        if not accounts_reach(core, id):
            account_free(core, account)
            return NULL
        account.id = id
        core.accounts[id] = account
        if core.account_names == NULL or core.accounts_count > core.account_names_mask:
            names_grow(core)
        else:
            hash = hash_bytes(name, size, 0)
            account.name_next = core.account_names[hash & core.account_names_mask]
            core.account_names[hash & core.account_names_mask] = account
    elif id != 0 and account.id != id:
        # A placeholder becomes known and takes the control plane's number. What the cache holds was found by the
        # old one.
        if not accounts_reach(core, id):
            return NULL
        core.accounts[account.id] = NULL
        core.accounts[id] = account
        account.id = id
        account.placeholder = 0
        account.generation += 1
    account.removed = 0
    account.dedicated = dedicated
    if born:
        account_born(core, account)
    if account.system != system:
        account.system = system
        account.generation += 1         # entries know what is reserved
    account_routes_rebuild(core, account)
    return account


cdef Account* account_from_route(Core* core, Link* link, const char* name, uint32_t size) noexcept nogil:
    """The account a route names; an unknown one is reported, and kept as a placeholder if so configured."""
    cdef Account* account = account_find(core, name, size)
    cdef Mail mail
    if account != NULL or size == 0:
        return account
    if core.now_ns // 1000000000 != core.seen_second:
        core.seen_second = core.now_ns // 1000000000
        core.seen_in_second = 0
    core.seen_in_second += 1
    if not core.configuration.placeholder_accounts and core.seen_in_second > DENIED_PER_SECOND:
        return NULL
    mail_begin(&mail, EVENT_ACCOUNT_SEEN)
    if core.configuration.placeholder_accounts and core.accounts_count < PLACEHOLDERS_MAX:
        account = account_enter(core, 0, name, size, 0, 0)
        if account != NULL:
            account.placeholder = 1
            mail.number[0] = account.id
    mail.number[1] = link.id
    mail.number[2] = account != NULL
    mail.size[0] = size
    mail_add(core, &mail, name, NULL, NULL, NULL)
    return account


cdef void account_settle(Core* core, Account* account) noexcept nogil:
    """Free an account that was removed once nothing hangs on it any more."""
    cdef Account** at
    if not account.removed or account.links or account.local_subscriptions or account.remote_subscriptions:
        return
    if core.outbounds.size:         # what gateways said of it would be missed if it came back
        return
    at = &core.account_names[hash_bytes(account.name, account.name_size, 0) & core.account_names_mask]
    while at[0] != NULL:
        if at[0] == account:
            at[0] = account.name_next
            break
        at = &at[0].name_next
    core.accounts[account.id] = NULL
    # Match entries hold the pointer: it must not be taken for another account's later, so the struct stays as a husk.
    account.generation += 1
    account.name_size = 0
    buffer_pointer(&core.husks, account)


cdef void accounts_destroy(Core* core) noexcept nogil:
    cdef uint32_t i
    for i in range(core.accounts_count):
        if core.accounts[i] != NULL:
            account_free(core, core.accounts[i])
    for i in range(<uint32_t>(core.husks.size // sizeof(void*))):
        account_free(core, (<Account**>core.husks.data)[i])
    buffer_free(&core.husks)
    free(core.accounts)
    free(core.account_names)
