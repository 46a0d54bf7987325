# cython: language_level=3
from libc.stdint cimport int64_t, uint32_t, uint64_t

from gossamer.mesh.engine.viewer cimport Viewer


cdef class Tenants(Viewer):
    cdef dict account_ids
    cdef uint32_t permission_count
    cdef uint64_t subscription_count
    cdef uint32_t import_count

    cdef uint64_t new_subscription(self, uint32_t account, bytes subject, bytes queue, bint for_leafs) except 0
    cdef uint32_t new_import(self, uint32_t account, uint32_t exporter, bytes source, program, int64_t flags,
                             int64_t threshold_ns, int sampling) except 0
