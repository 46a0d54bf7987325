# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Core, Entry, Link, Permission

cdef uint8_t may_announce(Link* link, Permission* permission, const char* subject, uint32_t size, const char* queue,
                          uint32_t queue_size) noexcept nogil
cdef uint8_t may_learn(Link* link, const char* subject, uint32_t size, const char* queue,
                       uint32_t queue_size) noexcept nogil
cdef uint8_t may_import(Permission* permission, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t may_export(Link* link, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t may_send(Link* link, Entry* entry, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t may_take(Core* core, Link* link, Entry* entry, const char* subject, uint32_t size) noexcept nogil
