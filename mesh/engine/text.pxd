# cython: language_level=3
"""Bytes: hashing, copying, numbers. Inline, so that every room has them without a call."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef inline uint64_t hash_bytes(const char* text, uint32_t size, uint64_t seed) noexcept nogil:
    """Eight bytes a step, multiply and fold. Not for hostile keys beyond what a match cache has to bear."""
    cdef uint64_t h = seed ^ (<uint64_t>size * <uint64_t>0x9E3779B97F4A7C15)
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, text, 8)
        h = (h ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        h ^= h >> 32
        text += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, text, size)
        h = (h ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        h ^= h >> 32
    h *= <uint64_t>0xC4CEB9FE1A85EC53
    h ^= h >> 29
    return h


cdef inline void copy_over(char* to, const char* source, uint32_t size) noexcept nogil:
    """Copy in steps of 32 bytes; both sides have SLACK bytes behind their end."""
    cdef uint32_t i = 0
    if size > 256:
        memcpy(to, source, size)
        return
    while i < size:
        memcpy(to + i, source + i, 32)
        i += 32


cdef inline uint32_t write_number(char* to, uint64_t number) noexcept nogil:
    """Decimal digits; returns how many."""
    cdef char digits[20]
    cdef uint32_t count = 0
    cdef uint32_t i
    while True:
        digits[count] = <char>(48 + number % 10)
        number //= 10
        count += 1
        if number == 0:
            break
    for i in range(count):
        to[i] = digits[count - 1 - i]
    return count


cdef inline int64_t read_number(const char* text, uint32_t size) noexcept nogil:
    """A decimal of one to nine digits, else -1 (client-protocol section 2)."""
    cdef uint32_t i
    cdef int64_t number = 0
    cdef uint8_t digit
    if size == 0 or size > 9:
        return -1
    for i in range(size):
        digit = <uint8_t>(<uint8_t>text[i] - 48)
        if digit > 9:
            return -1
        number = number * 10 + digit
    return number


cdef inline uint8_t is_blank(char c) noexcept nogil:
    return c == 32 or c == 9
