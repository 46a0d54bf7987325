from libc.stdint cimport uint8_t, uint32_t

cdef uint8_t sampled_by_headers(const char* headers, uint32_t size) noexcept nogil
