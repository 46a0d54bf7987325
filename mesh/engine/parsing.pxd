# cython: language_level=3
"""Lines: cutting them into arguments, and the answers to bad ones that all parsers share."""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from gossamer.mesh.engine.text cimport is_blank
from gossamer.mesh.engine.types cimport MAX_CONTROL_LINE_EXCEEDED, PROTOCOL_VIOLATION, Core, Link
from gossamer.mesh.engine.output cimport link_doom

cdef struct Text:
    char* at
    uint32_t size


cdef inline int split(char* text, uint32_t size, Text* parts, int most) noexcept nogil:
    """Cut at blanks and tabs; the number of parts, ``most`` + 1 if there are more."""
    cdef uint32_t i = 0
    cdef uint32_t start
    cdef int count = 0
    while True:
        while i < size and is_blank(text[i]):
            i += 1
        if i == size:
            return count
        start = i
        while i < size and not is_blank(text[i]):
            i += 1
        if count == most:
            return most + 1
        parts[count].at = text + start
        parts[count].size = i - start
        count += 1


cdef inline void violation(Core* core, Link* link) noexcept nogil:
    """Bad arguments: closed without a word (client-protocol section 2.3)."""
    link_doom(core, link, PROTOCOL_VIOLATION, NULL, 0, 1)


cdef inline void unknown_operation(Core* core, Link* link) noexcept nogil:
    link_doom(core, link, PROTOCOL_VIOLATION, b"Unknown Protocol Operation", 26, 1)


cdef inline void line_exceeded(Core* core, Link* link) noexcept nogil:
    link_doom(core, link, MAX_CONTROL_LINE_EXCEEDED, b"maximum control line exceeded", 29, 1)


cdef inline uint8_t letters(const char* text, const char* verb, uint32_t size) noexcept nogil:
    """Is it the verb (given in lower case letters), in any case?"""
    cdef uint32_t i
    for i in range(size):
        if (text[i] | 32) != verb[i]:
            return 0
    return 1
