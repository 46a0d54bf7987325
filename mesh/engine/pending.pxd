from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport Account, Core, Import, Link, Message, Pending

cdef Pending* pending_add(Core* core, Import* of, Account* account, Account* to, const char* reply,
                          uint32_t reply_size, Link* requestor, uint8_t sampled, const char* headers,
                          uint32_t headers_size) noexcept nogil
cdef Pending* pending_find(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil
cdef void pending_touch(Core* core, Pending* one) noexcept nogil
cdef void pending_remove(Core* core, Pending* one) noexcept nogil
cdef void pendings_drop(Core* core, Import* of) noexcept nogil
cdef void requests_forgotten(Core* core, Link* link, const char* subject, uint32_t size) noexcept nogil
cdef void pendings_expire(Core* core) noexcept nogil
cdef void mail_latency(Core* core, Import* of, int status, uint64_t requestor, int64_t requestor_rtt_ns,
                       Link* responder, int64_t started_ns, int64_t service_ns, const char* headers,
                       uint32_t headers_size, const char* name, uint32_t name_size) noexcept nogil
cdef void pending_report(Core* core, Pending* one, int status, Message* answer) noexcept nogil

cdef inline char* pending_name(Pending* one) noexcept nogil:
    """``_R_.xxxxxx.yyyyyy``, sampled ``_R_.xxxxxx.yyyyyy.ssssssss.T``; behind it the requestor's reply, then the
    headers that triggered a sample."""
    return <char*>(one + 1)
