# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Buffer, Core, TrieNode

cdef uint8_t trie_begin(Core* core, Account* account) noexcept nogil
cdef void trie_free(Core* core, Account* account) noexcept nogil
cdef TrieNode* trie_find(Account* account, const char* subject, uint32_t size) noexcept nogil
cdef TrieNode* trie_reach(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil
cdef void trie_prune(Core* core, Account* account, TrieNode* node) noexcept nogil
cdef void trie_match(Account* account, const char* subject, uint32_t* starts, uint32_t count,
                     Buffer* terminals) noexcept nogil
