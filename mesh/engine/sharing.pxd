from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport Account, Core, Import, Mapping, Subscription

cdef void mapping_set(Core* core, Account* account, Mapping* mapping) noexcept nogil
cdef void mapping_remove(Core* core, Account* account, const char* source, uint32_t size) noexcept nogil
cdef void mapping_free(Mapping* mapping) noexcept nogil
cdef void import_enter(Core* core, Import* one) noexcept nogil
cdef void import_remove(Core* core, uint64_t id) noexcept nogil
cdef void import_free(Import* one) noexcept nogil
cdef void sharing_destroy(Core* core) noexcept nogil
