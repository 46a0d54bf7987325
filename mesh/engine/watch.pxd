# cython: language_level=3
from gossamer.mesh.engine.types cimport Core, Listener

cdef enum:
    LISTENER_BIT = 1        # listeners and links share the epoll: a listener's pointer has its lowest bit set

cdef int watch(Core* core, int descriptor, void* owner) noexcept nogil
cdef void unwatch(Core* core, int descriptor) noexcept nogil
cdef void listener_watch(Core* core, Listener* listener) noexcept nogil
