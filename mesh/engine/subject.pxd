# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

cdef uint32_t tokenize(const char* subject, uint32_t size, uint32_t* starts) noexcept nogil
cdef uint8_t subject_valid(const char* subject, uint32_t size) noexcept nogil
cdef uint8_t subject_literal(const char* subject, uint32_t size) noexcept nogil
cdef uint8_t subject_wildcard(const char* subject, uint32_t size) noexcept nogil
cdef uint8_t matches(const char* pattern, uint32_t pattern_size, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t covers(const char* wide, uint32_t wide_size, const char* narrow, uint32_t narrow_size) noexcept nogil
cdef uint8_t overlap(const char* one, uint32_t one_size, const char* other, uint32_t other_size) noexcept nogil
cdef uint32_t token_count(const char* subject, uint32_t size) noexcept nogil
