# cython: language_level=3
from libc.stdint cimport int64_t, uint64_t

from gossamer.mesh.engine.types cimport Command, Core


cdef inline bytes text_of(object text):
    """Bytes as they are, str as UTF-8."""
    return text.encode() if isinstance(text, str) else bytes(text)


cdef class Handle:
    cdef Core* core
    cdef readonly int wakeup_fd

    cdef void release(self)
    cdef Core* alive(self) except NULL
    cdef int push(self, Command* command, bytes blob) except -1
    cdef int simple(self, int op, uint64_t a, int64_t b=*) except -1
    cdef void look(self) noexcept
    cdef void leave(self) noexcept
