# cython: language_level=3
"""An account's interest: a trie of subject tokens whose ends hold the subscriptions.

Literal children are found in one hash table per account, keyed by the parent's number and the token, so that a node
costs the same whether it has one child or a million; the two wildcards hang directly off the node. A ``Terminal`` is a
subject somebody subscribes to: its plain subscriptions, its queue groups, and the counts that routes are told.
Removing keeps arrays dense by moving the last element into the gap.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.memory cimport buffer_pointer, bury
from gossamer.mesh.engine.quoting cimport buffer_json
from gossamer.mesh.engine.subject cimport tokenize
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport (
    BY_LEAF,
    BY_ROUTE,
    HERE,
    MAX_TOKENS,
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


cdef Account* account_make(const char* name, uint32_t size) noexcept nogil:
    """A new account without interest; NULL when memory is out."""
    cdef Account* account = <Account*>calloc(1, sizeof(Account))
    cdef uint32_t hash = 0x811C9DC5
    cdef uint32_t i
    cdef Buffer quoted
    if account == NULL:
        return NULL
    account.name = <char*>malloc(size + 64)
    account.root = <TrieNode*>calloc(1, sizeof(TrieNode))
    account.buckets = <TrieNode**>calloc(16, sizeof(TrieNode*))
    if account.name == NULL or account.root == NULL or account.buckets == NULL:
        free(account.name)
        free(account.root)
        free(account.buckets)
        free(account)
        return NULL
    memcpy(account.name, name, size)
    account.name_size = size
    memset(&quoted, 0, sizeof(quoted))
    buffer_json(&quoted, name, size)
    account.quoted = quoted.data
    account.quoted_size = <uint32_t>quoted.size
    account.bucket_mask = 15
    account.next_node_id = 1
    account.generation = 1
    for i in range(size):
        hash = (hash ^ <uint8_t>name[i]) * <uint32_t>16777619
    account.pool_hash = hash
    return account


cdef void account_free(Account* account) noexcept nogil:
    """Free the account; its subscriptions are gone already."""
    cdef Terminal* terminal = account.terminals
    cdef Terminal* following
    while terminal != NULL:
        following = terminal.next
        free(terminal.plain)
        free(terminal)
        terminal = following
    free(account.routes)
    free(account.leafs)
    free(account.buckets)
    free(account.root)
    free(account.name)
    free(account.quoted)
    free(account)


# --- trie -------------------------------------------------------------------------------------------------------------


cdef inline char* node_token(TrieNode* node) noexcept nogil:
    return <char*>(node + 1)


cdef inline uint32_t edge_hash(TrieNode* parent, const char* token, uint32_t size) noexcept nogil:
    return <uint32_t>hash_bytes(token, size, <uint64_t>parent.id * <uint64_t>0x9E3779B97F4A7C15)


cdef inline TrieNode* child_find(Account* account, TrieNode* parent, const char* token, uint32_t size) noexcept nogil:
    cdef uint32_t hash
    cdef TrieNode* node
    if parent.children == 0:
        return NULL
    hash = edge_hash(parent, token, size)
    node = account.buckets[hash & account.bucket_mask]
    while node != NULL:
        if node.hash == hash and node.parent == parent and node.token_size == size \
                and memcmp(node_token(node), token, size) == 0:
            return node
        node = node.bucket_next
    return NULL


cdef void buckets_grow(Account* account) noexcept nogil:
    cdef uint32_t mask = account.bucket_mask * 2 + 1
    cdef TrieNode** buckets = <TrieNode**>calloc(mask + 1, sizeof(TrieNode*))
    cdef TrieNode* node
    cdef TrieNode* following
    cdef uint32_t i
    if buckets == NULL:
        return
    for i in range(account.bucket_mask + 1):
        node = account.buckets[i]
        while node != NULL:
            following = node.bucket_next
            node.bucket_next = buckets[node.hash & mask]
            buckets[node.hash & mask] = node
            node = following
    free(account.buckets)
    account.buckets = buckets
    account.bucket_mask = mask


cdef TrieNode* child_make(Account* account, TrieNode* parent, const char* token, uint32_t size) noexcept nogil:
    cdef TrieNode* node = <TrieNode*>calloc(1, sizeof(TrieNode) + size)
    cdef TrieNode** bucket
    if node == NULL:
        return NULL
    memcpy(node_token(node), token, size)
    node.token_size = size
    node.parent = parent
    node.id = account.next_node_id
    account.next_node_id += 1
    if size == 1 and token[0] == 42:
        parent.star = node
    elif size == 1 and token[0] == 62:
        parent.tail = node
    else:
        if account.node_count > account.bucket_mask:
            buckets_grow(account)
        account.node_count += 1
        node.hash = edge_hash(parent, token, size)
        bucket = &account.buckets[node.hash & account.bucket_mask]
        node.bucket_next = bucket[0]
        bucket[0] = node
        parent.children += 1
    return node


cdef void node_prune(Account* account, TrieNode* node) noexcept nogil:
    """Free the node and its ancestors as far as nothing hangs off them."""
    cdef TrieNode* parent
    cdef TrieNode** at
    while node != account.root and node.terminal == NULL and node.children == 0 \
            and node.star == NULL and node.tail == NULL:
        parent = node.parent
        if parent.star == node:
            parent.star = NULL
        elif parent.tail == node:
            parent.tail = NULL
        else:
            at = &account.buckets[node.hash & account.bucket_mask]
            while at[0] != node:
                at = &at[0].bucket_next
            at[0] = node.bucket_next
            parent.children -= 1
            account.node_count -= 1
        free(node)
        node = parent


cdef TrieNode* walk(Account* account, const char* subject, uint32_t size, uint8_t make) noexcept nogil:
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t count = tokenize(subject, size, starts)
    cdef uint32_t i, token_size
    cdef const char* token
    cdef TrieNode* node = account.root
    cdef TrieNode* child
    if count == 0:
        return NULL
    for i in range(count):
        token = subject + starts[i]
        token_size = starts[i + 1] - starts[i] - 1
        if token_size == 1 and token[0] == 42:
            child = node.star
        elif token_size == 1 and token[0] == 62:
            child = node.tail
        else:
            child = child_find(account, node, token, token_size)
        if child == NULL:
            if not make:
                return NULL
            child = child_make(account, node, token, token_size)
            if child == NULL:
                node_prune(account, node)
                return NULL
        node = child
    return node


cdef Terminal* terminal_find(Account* account, const char* subject, uint32_t size) noexcept nogil:
    cdef TrieNode* node = walk(account, subject, size, 0)
    return NULL if node == NULL else node.terminal


# --- subscriptions ----------------------------------------------------------------------------------------------------


cdef uint8_t place(Subscription*** array, uint32_t* count, uint32_t* capacity, Subscription* one) noexcept nogil:
    cdef uint32_t wanted
    cdef Subscription** grown
    if count[0] == capacity[0]:
        wanted = 1 if capacity[0] == 0 else capacity[0] * 2
        grown = <Subscription**>realloc(array[0], wanted * sizeof(Subscription*))
        if grown == NULL:
            return 0
        array[0] = grown
        capacity[0] = wanted
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
    bury(core, terminal.plain)
    bury(core, terminal)
    node_prune(account, node)


cdef uint8_t interest_add(Account* account, Subscription* subscription, const char* subject, uint32_t size,
                          const char* queue, uint32_t queue_size) noexcept nogil:
    """Put a subscription on a valid subject into the trie; 0 when memory is out."""
    cdef TrieNode* node = walk(account, subject, size, 1)
    cdef Terminal* terminal
    cdef Group* group
    if node == NULL:
        return 0
    terminal = node.terminal
    if terminal == NULL:
        terminal = <Terminal*>calloc(1, sizeof(Terminal) + size + 64)
        if terminal == NULL:
            node_prune(account, node)
            return 0
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
    subscription.account = account
    subscription.terminal = terminal
    if queue_size == 0:
        subscription.group = NULL
        if not place(&terminal.plain, &terminal.plain_count, &terminal.plain_capacity, subscription):
            return 0
        count_plain(terminal, subscription.remote, 1)
    else:
        group = terminal.groups
        while group != NULL:
            if group.name_size == queue_size and memcmp(group_name(group), queue, queue_size) == 0:
                break
            group = group.next
        if group == NULL:
            group = <Group*>calloc(1, sizeof(Group) + queue_size + 64)
            if group == NULL:
                return 0
            memcpy(<char*>(group + 1), queue, queue_size)
            group.name_size = queue_size
            group.terminal = terminal
            group.next = terminal.groups
            terminal.groups = group
        subscription.group = group
        if not place(&group.members, &group.count, &group.capacity, subscription):
            return 0
        count_member(group, subscription.remote, 1)
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
            bury(core, group.members)
            bury(core, group)
    if subscription.remote == HERE or subscription.remote == UNTOLD:
        account.local_subscriptions -= subscription.receiver != RECEIVER_NOBODY
    else:
        account.remote_subscriptions -= 1
    subscription.terminal = NULL
    terminal_drop(core, account, terminal)


# --- matching ---------------------------------------------------------------------------------------------------------


cdef void match_below(Account* account, TrieNode* node, const char* subject, uint32_t* starts, uint32_t at,
                      uint32_t count, Buffer* terminals) noexcept nogil:
    cdef TrieNode* child
    cdef uint32_t size
    while True:
        if at == count:
            if node.terminal != NULL:
                buffer_pointer(terminals, node.terminal)
            return
        if node.tail != NULL and node.tail.terminal != NULL:
            buffer_pointer(terminals, node.tail.terminal)
        size = starts[at + 1] - starts[at] - 1
        child = child_find(account, node, subject + starts[at], size)
        at += 1
        if node.star != NULL:
            if child == NULL:
                node = node.star
                continue
            match_below(account, node.star, subject, starts, at, count, terminals)
        if child == NULL:
            return
        node = child


cdef void interest_match(Account* account, const char* subject, uint32_t* starts, uint32_t count,
                         Buffer* terminals) noexcept nogil:
    """Append every terminal whose subject matches the tokenized literal subject. Each trie node is met at most once,
    so the work is bounded by the trie, whatever the subject."""
    match_below(account, account.root, subject, starts, 0, count, terminals)
