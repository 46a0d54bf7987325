# cython: language_level=3
"""An account's interest: the subjects at the ends of its trie, and the subscriptions they hold.

A ``Terminal`` is a subject somebody subscribes to: its plain subscriptions, its queue groups, and the counts that
other servers are told. Removing keeps arrays dense by moving the last element into the gap.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.blocks cimport block_bury, block_take
from gossamer.mesh.engine.memory cimport bury
from gossamer.mesh.engine.quoting cimport buffer_json
from gossamer.mesh.engine.trie cimport trie_begin, trie_find, trie_free, trie_prune, trie_reach
from gossamer.mesh.engine.types cimport (
    BY_LEAF,
    BY_ROUTE,
    HERE,
    RECEIVER_NOBODY,
    UNTOLD,
    Account,
    Buffer,
    Core,
    Group,
    Subscription,
    Terminal,
    TrieNode,
)


cdef Account* account_make(Core* core, const char* name, uint32_t size) noexcept nogil:
    """A new account without interest; NULL when memory is out."""
    cdef Account* account = <Account*>calloc(1, sizeof(Account))
    cdef uint32_t hash = 0x811C9DC5
    cdef uint32_t i
    cdef Buffer quoted
    if account == NULL:
        return NULL
    account.name = <char*>malloc(size + 64)
    account.seed = core.hash_seed
    if account.name == NULL or not trie_begin(core, account):
        free(account.name)
        free(account)
        return NULL
    memcpy(account.name, name, size)
    account.name_size = size
    memset(&quoted, 0, sizeof(quoted))
    buffer_json(&quoted, name, size)
    account.quoted = quoted.data
    account.quoted_size = <uint32_t>quoted.size
    account.generation = 1
    for i in range(size):
        hash = (hash ^ <uint8_t>name[i]) * <uint32_t>16777619
    account.pool_hash = hash
    return account


cdef void account_free(Core* core, Account* account) noexcept nogil:
    """Free the account; its subscriptions are gone already, and its subjects with them."""
    trie_free(core, account)
    free(account.routes)
    free(account.leafs)
    free(account.name)
    free(account.quoted)
    free(account)


# --- subjects ---------------------------------------------------------------------------------------------------------


cdef Terminal* terminal_find(Account* account, const char* subject, uint32_t size) noexcept nogil:
    cdef TrieNode* node = trie_find(account, subject, size)
    return NULL if node == NULL else node.terminal


cdef Terminal* terminal_reach(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    """The terminal of a valid subject, made if there is none. NULL: it has too many tokens, or memory is out."""
    cdef TrieNode* node = trie_reach(core, account, subject, size)
    cdef Terminal* terminal
    if node == NULL:
        return NULL
    if node.terminal != NULL:
        return node.terminal
    terminal = <Terminal*>block_take(core, sizeof(Terminal) + size)
    if terminal == NULL:
        trie_prune(core, account, node)
        return NULL
    memcpy(<char*>(terminal + 1), subject, size)
    terminal.subject_size = size
    terminal.node = node
    node.terminal = terminal
    terminal.previous = account.terminals_last
    if account.terminals_last != NULL:
        account.terminals_last.next = terminal
    else:
        account.terminals = terminal
    account.terminals_last = terminal
    return terminal


cdef void terminal_drop(Core* core, Account* account, Terminal* terminal) noexcept nogil:
    """Free a terminal without subscriptions, and the trie nodes that led to it alone."""
    cdef TrieNode* node = terminal.node
    if terminal.plain_count or terminal.groups != NULL:
        return
    if terminal.previous != NULL:
        terminal.previous.next = terminal.next
    else:
        account.terminals = terminal.next
    if terminal.next != NULL:
        terminal.next.previous = terminal.previous
    else:
        account.terminals_last = terminal.previous
    node.terminal = NULL
    if terminal.plain != &terminal.only:
        bury(core, terminal.plain)
    block_bury(core, terminal, sizeof(Terminal) + terminal.subject_size)
    trie_prune(core, account, node)


cdef Group* group_find(Terminal* terminal, const char* queue, uint32_t queue_size) noexcept nogil:
    cdef Group* group = terminal.groups
    while group != NULL:
        if group.name_size == queue_size and memcmp(group_name(group), queue, queue_size) == 0:
            break
        group = group.next
    return group


# --- subscriptions ----------------------------------------------------------------------------------------------------


cdef uint8_t place(Subscription*** array, Subscription** only, uint32_t* count, uint32_t* capacity,
                   Subscription* one) noexcept nogil:
    """Most subjects have one subscriber, who needs no array: ``only`` is its place."""
    cdef Subscription** grown
    if capacity[0] == 0:
        array[0] = only
        capacity[0] = 1
    elif count[0] == capacity[0]:
        grown = <Subscription**>realloc(NULL if array[0] == only else array[0],
                                        <size_t>capacity[0] * 2 * sizeof(Subscription*))
        if grown == NULL:
            return 0
        grown[0] = only[0] if array[0] == only else grown[0]
        array[0] = grown
        capacity[0] *= 2
    array[0][count[0]] = one
    one.position = count[0]
    count[0] += 1
    return 1


cdef inline void count_plain(Terminal* terminal, uint8_t remote, int by) noexcept nogil:
    if remote == HERE:
        terminal.local_plain += by
    elif remote == BY_LEAF:
        terminal.leaf_plain += by
    elif remote != BY_ROUTE:
        return
    terminal.cluster_plain += by


cdef inline void count_member(Group* group, uint8_t remote, int by) noexcept nogil:
    if remote == HERE:
        group.local_members += by
    elif remote == BY_LEAF:
        group.leaf_members += by
    elif remote != BY_ROUTE:
        return
    group.cluster_members += by


cdef uint8_t interest_add(Core* core, Account* account, Terminal* terminal, Subscription* subscription,
                          const char* queue, uint32_t queue_size) noexcept nogil:
    """Put a subscription on the terminal's subject; 0 when memory is out."""
    cdef Group* group
    if queue_size == 0:
        if not place(&terminal.plain, &terminal.only, &terminal.plain_count, &terminal.plain_capacity, subscription):
            terminal_drop(core, account, terminal)
            return 0
        subscription.group = NULL
        count_plain(terminal, subscription.remote, 1)
    else:
        group = group_find(terminal, queue, queue_size)
        if group == NULL:
            group = <Group*>block_take(core, sizeof(Group) + queue_size)
            if group == NULL:
                terminal_drop(core, account, terminal)
                return 0
            memcpy(<char*>(group + 1), queue, queue_size)
            group.name_size = queue_size
            group.terminal = terminal
            group.next = terminal.groups
            terminal.groups = group
        if not place(&group.members, &group.only, &group.count, &group.capacity, subscription):
            return 0                    # a group of others: there was no room for one more
        subscription.group = group
        count_member(group, subscription.remote, 1)
    subscription.account = account
    subscription.terminal = terminal
    if subscription.remote == HERE or subscription.remote == UNTOLD:
        account.local_subscriptions += subscription.receiver != RECEIVER_NOBODY
    else:
        account.remote_subscriptions += 1
    return 1


cdef void interest_remove(Core* core, Subscription* subscription) noexcept nogil:
    """Take the subscription out of the trie. Its terminal and group stay readable until the tick ends."""
    cdef Terminal* terminal = subscription.terminal
    cdef Group* group = subscription.group
    cdef Account* account = subscription.account
    cdef Group** at
    cdef Subscription* moved
    if terminal == NULL:
        return
    if group == NULL:
        moved = terminal.plain[terminal.plain_count - 1]
        terminal.plain[subscription.position] = moved
        moved.position = subscription.position
        terminal.plain_count -= 1
        count_plain(terminal, subscription.remote, -1)
    else:
        moved = group.members[group.count - 1]
        group.members[subscription.position] = moved
        moved.position = subscription.position
        group.count -= 1
        count_member(group, subscription.remote, -1)
        if group.count == 0:
            at = &terminal.groups
            while at[0] != group:
                at = &at[0].next
            at[0] = group.next
            if group.members != &group.only:
                bury(core, group.members)
            block_bury(core, group, sizeof(Group) + group.name_size)
    if subscription.remote == HERE or subscription.remote == UNTOLD:
        account.local_subscriptions -= subscription.receiver != RECEIVER_NOBODY
    else:
        account.remote_subscriptions -= 1
    subscription.terminal = NULL
    terminal_drop(core, account, terminal)
