# cython: language_level=3
"""The trie of subject tokens, one for each account; whose nodes are subjects is ``interest``'s business.

Literal children are found in one hash table per account, keyed by the parent's number and the token, so that a node
costs the same whether it has one child or a million; the two wildcards hang directly off the node. The table is open:
a slot holds a node's address and, in the 16 bits that no address uses, some of its hash, so that a token which is not
there is known from the table alone, without a look at any node.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.blocks cimport block_give, block_take
from gossamer.mesh.engine.memory cimport buffer_pointer
from gossamer.mesh.engine.subject cimport tokenize
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport MAX_TOKENS, Account, Buffer, Core, TrieNode

cdef enum:
    FIRST_SLOTS = 16
    ADDRESS_BITS = 48


cdef uint8_t trie_begin(Core* core, Account* account) noexcept nogil:
    """The root and an empty table; 0 when memory is out."""
    account.root = <TrieNode*>block_take(core, sizeof(TrieNode))
    account.slots = <uint64_t*>calloc(FIRST_SLOTS, sizeof(uint64_t))
    account.slot_mask = FIRST_SLOTS - 1
    account.next_node_id = 1
    if account.root == NULL or account.slots == NULL:
        trie_free(core, account)
        return 0
    return 1


cdef void trie_free(Core* core, Account* account) noexcept nogil:
    """The root and the table; no other node is left."""
    block_give(core, account.root, sizeof(TrieNode))
    free(account.slots)
    account.root = NULL
    account.slots = NULL


cdef inline char* node_token(TrieNode* node) noexcept nogil:
    return <char*>(node + 1)


cdef inline uint64_t edge_hash(Account* account, TrieNode* parent, const char* token, uint32_t size) noexcept nogil:
    return hash_bytes(token, size, account.seed + <uint64_t>parent.id * <uint64_t>0x9E3779B97F4A7C15)


cdef inline uint64_t slot_of(TrieNode* node) noexcept nogil:
    return (node.hash >> ADDRESS_BITS << ADDRESS_BITS) | <uint64_t><size_t>node


cdef inline TrieNode* node_of(uint64_t slot) noexcept nogil:
    return <TrieNode*><size_t>(slot & ((<uint64_t>1 << ADDRESS_BITS) - 1))


cdef inline TrieNode* child_find(Account* account, TrieNode* parent, const char* token, uint32_t size,
                                 uint64_t hash) noexcept nogil:
    cdef uint64_t tag = hash >> ADDRESS_BITS
    cdef uint32_t at = <uint32_t>hash & account.slot_mask
    cdef uint64_t slot
    cdef TrieNode* node
    while True:
        slot = account.slots[at]
        if slot == 0:
            return NULL
        if slot >> ADDRESS_BITS == tag:
            node = node_of(slot)
            if node.parent == parent and node.token_size == size and memcmp(node_token(node), token, size) == 0:
                return node
        at = (at + 1) & account.slot_mask


cdef inline void slot_fill(uint64_t* slots, uint32_t mask, TrieNode* node) noexcept nogil:
    cdef uint32_t at = <uint32_t>node.hash & mask
    while slots[at] != 0:
        at = (at + 1) & mask
    slots[at] = slot_of(node)


cdef uint8_t slots_grow(Account* account) noexcept nogil:
    cdef uint32_t mask = account.slot_mask * 2 + 1
    cdef uint64_t* slots = <uint64_t*>calloc(<size_t>mask + 1, sizeof(uint64_t))
    cdef uint32_t i
    if slots == NULL:
        return 0
    for i in range(account.slot_mask + 1):
        if account.slots[i] != 0:
            slot_fill(slots, mask, node_of(account.slots[i]))
    free(account.slots)
    account.slots = slots
    account.slot_mask = mask
    return 1


cdef void slot_empty(Account* account, TrieNode* node) noexcept nogil:
    """Take the node out of the table, and move those up that would not be found across the gap."""
    cdef uint64_t* slots = account.slots
    cdef uint32_t mask = account.slot_mask
    cdef uint32_t gap = <uint32_t>node.hash & mask
    cdef uint32_t at, home
    while node_of(slots[gap]) != node:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        if slots[at] == 0:
            break
        home = <uint32_t>node_of(slots[at]).hash & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            slots[gap] = slots[at]
            gap = at
    slots[gap] = 0


cdef TrieNode* child_make(Core* core, Account* account, TrieNode* parent, const char* token, uint32_t size,
                          uint64_t hash) noexcept nogil:
    """A new child of this token; ``hash`` is of a literal one. NULL when memory is out."""
    cdef TrieNode* node
    cdef uint8_t wildcard = size == 1 and (token[0] == 42 or token[0] == 62)
    # A third of the slots stays empty. A table that cannot grow is filled until one is left.
    if not wildcard and (account.node_count + 1) * 3 > (<uint64_t>account.slot_mask + 1) * 2 \
            and not slots_grow(account) and account.node_count >= account.slot_mask:
        return NULL
    node = <TrieNode*>block_take(core, sizeof(TrieNode) + size)
    if node == NULL:
        return NULL
    memcpy(node_token(node), token, size)
    node.token_size = size
    node.parent = parent
    node.id = account.next_node_id
    account.next_node_id += 1
    if wildcard and token[0] == 42:
        parent.star = node
    elif wildcard:
        parent.tail = node
    else:
        account.node_count += 1
        parent.children += 1
        node.hash = hash
        slot_fill(account.slots, account.slot_mask, node)
    return node


cdef void trie_prune(Core* core, Account* account, TrieNode* node) noexcept nogil:
    """Free the node and its ancestors as far as nothing hangs off them."""
    cdef TrieNode* parent
    while node != account.root and node.terminal == NULL and node.children == 0 \
            and node.star == NULL and node.tail == NULL:
        parent = node.parent
        if parent.star == node:
            parent.star = NULL
        elif parent.tail == node:
            parent.tail = NULL
        else:
            slot_empty(account, node)
            parent.children -= 1
            account.node_count -= 1
        block_give(core, node, sizeof(TrieNode) + node.token_size)
        node = parent


cdef inline TrieNode* walk(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    """The subject's node, made if ``core`` is given; NULL: there is none, it has too many tokens or memory is out."""
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t count = tokenize(subject, size, starts)
    cdef uint32_t i, token_size
    cdef uint64_t hash = 0
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
        elif node.children == 0 and core == NULL:
            child = NULL
        else:
            hash = edge_hash(account, node, token, token_size)
            child = NULL if node.children == 0 else child_find(account, node, token, token_size, hash)
        if child == NULL:
            if core == NULL:
                return NULL
            child = child_make(core, account, node, token, token_size, hash)
            if child == NULL:
                trie_prune(core, account, node)
                return NULL
        node = child
    return node


cdef TrieNode* trie_find(Account* account, const char* subject, uint32_t size) noexcept nogil:
    return walk(NULL, account, subject, size)


cdef TrieNode* trie_reach(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    """The subject's node, with all before it made as needed; NULL: too many tokens, or memory is out."""
    return walk(core, account, subject, size)


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
        child = NULL
        if node.children:
            size = starts[at + 1] - starts[at] - 1
            child = child_find(account, node, subject + starts[at], size,
                               edge_hash(account, node, subject + starts[at], size))
        at += 1
        if node.star != NULL:
            if child == NULL:
                node = node.star
                continue
            match_below(account, node.star, subject, starts, at, count, terminals)
        if child == NULL:
            return
        node = child


cdef void trie_match(Account* account, const char* subject, uint32_t* starts, uint32_t count,
                     Buffer* terminals) noexcept nogil:
    """Append every terminal whose subject matches the tokenized literal subject. Each trie node is met at most once,
    so the work is bounded by the trie, whatever the subject."""
    match_below(account, account.root, subject, starts, 0, count, terminals)
