# cython: language_level=3
"""Does a request carry a trace that its tracing system samples? (auth section 19)

The headers of Jaeger, Zipkin (both forms) and W3C are looked at, in the order in which nats-server gives them weight.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char* one, const char* other, size_t size)


cdef const char* value_of(const char* headers, uint32_t size, const char* name, uint32_t name_size,
                          uint32_t* value_size) noexcept nogil:
    """The value of the first header of that name, blanks cut off; NULL: there is none."""
    cdef const char* at = headers
    cdef const char* end = headers + size
    cdef const char* stop
    while at < end:
        stop = <const char*>memchr(at, 10, end - at)
        if stop == NULL:
            return NULL
        if stop - at > name_size and at[name_size] == 58 and strncasecmp(at, name, name_size) == 0:
            at += name_size + 1
            while at < stop and (at[0] == 32 or at[0] == 9):
                at += 1
            while stop > at and ((stop - 1)[0] == 13 or (stop - 1)[0] == 32):
                stop -= 1
            value_size[0] = <uint32_t>(stop - at)
            return at
        at = stop + 1
    return NULL


cdef const char* part_of(const char* value, uint32_t size, char separator, uint32_t number,
                         uint32_t* part_size) noexcept nogil:
    """The number-th part (from 0) between separators; NULL: there are fewer."""
    cdef uint32_t start = 0
    cdef uint32_t i
    for i in range(size + 1):
        if i == size or value[i] == separator:
            if number == 0:
                part_size[0] = i - start
                return value + start
            number -= 1
            start = i + 1
    return NULL


cdef uint8_t odd(const char* text, uint32_t size) noexcept nogil:
    """Is the hexadecimal number odd?"""
    cdef char last
    if size == 0:
        return 0
    last = text[size - 1]
    if 48 <= last <= 57:
        return (last - 48) & 1
    last |= 32
    return 97 <= last <= 102 and (last - 97 + 10) & 1


cdef uint8_t sampled_by_headers(const char* headers, uint32_t size) noexcept nogil:
    cdef uint32_t value_size = 0
    cdef uint32_t part_size = 0
    cdef const char* part
    cdef const char* value = value_of(headers, size, b"Uber-Trace-Id", 13, &value_size)
    if value != NULL:
        part = part_of(value, value_size, 58, 3, &part_size)
        return part != NULL and odd(part, part_size)
    value = value_of(headers, size, b"X-B3-Sampled", 12, &value_size)
    if value != NULL:
        return value_size == 1 and value[0] == 49
    value = value_of(headers, size, b"X-B3-TraceId", 12, &value_size)
    if value != NULL:
        return 1
    value = value_of(headers, size, b"B3", 2, &value_size)
    if value != NULL:
        part = part_of(value, value_size, 45, 2, &part_size)
        if part == NULL:                # only a verdict, or identities without one
            return not (value_size == 1 and value[0] == 48)
        return not (part_size == 1 and part[0] == 48)
    value = value_of(headers, size, b"Traceparent", 11, &value_size)
    if value != NULL:
        part = part_of(value, value_size, 45, 3, &part_size)
        return part != NULL and odd(part, part_size)
    return 0
