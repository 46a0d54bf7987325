# cython: language_level=3
"""Subjects: tokens, wildcards, and the relations between patterns (client-protocol section 7).

A token is a wildcard only when it is exactly ``*`` or ``>``; ``>`` counts as one only in the last place. All functions
walk both texts token by token, so no depth limit and no allocation is needed.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr, memcmp

from gossamer.mesh.engine.types cimport MAX_TOKENS


cdef inline uint32_t token_end(const char* text, uint32_t size, uint32_t start) noexcept nogil:
    cdef const char* dot = <const char*>memchr(text + start, 46, size - start)
    return size if dot == NULL else <uint32_t>(dot - text)


cdef uint32_t tokenize(const char* subject, uint32_t size, uint32_t* starts) noexcept nogil:
    """Write where each token starts, and one past the end plus one; the number of tokens, 0 if one is empty or there
    are more than MAX_TOKENS - 2."""
    cdef uint32_t count = 0
    cdef uint32_t start = 0
    cdef uint32_t end
    if size == 0:
        return 0
    while True:
        end = token_end(subject, size, start)
        if end == start or count >= MAX_TOKENS - 2:
            return 0
        starts[count] = start
        count += 1
        if end == size:
            break
        start = end + 1
        if start == size:
            return 0
    starts[count] = size + 1
    return count


cdef uint32_t token_count(const char* subject, uint32_t size) noexcept nogil:
    cdef uint32_t i
    cdef uint32_t count = 1
    for i in range(size):
        if subject[i] == 46:
            count += 1
    return count


cdef uint8_t subject_valid(const char* subject, uint32_t size) noexcept nogil:
    """May be subscribed to: no empty token, ``>`` only last."""
    cdef uint32_t start = 0
    cdef uint32_t end
    if size == 0:
        return 0
    while True:
        end = token_end(subject, size, start)
        if end == start:
            return 0
        if end == size:
            return 1
        if end - start == 1 and subject[start] == 62:
            return 0
        start = end + 1
        if start == size:
            return 0


cdef uint8_t subject_wildcard(const char* subject, uint32_t size) noexcept nogil:
    """Does a valid subject hold a wildcard token?"""
    cdef uint32_t i
    for i in range(size):
        if subject[i] == 42 or subject[i] == 62:
            if (i == 0 or subject[i - 1] == 46) and (i + 1 == size or subject[i + 1] == 46):
                return 1
    return 0


cdef uint8_t subject_literal(const char* subject, uint32_t size) noexcept nogil:
    return subject_valid(subject, size) and not subject_wildcard(subject, size)


cdef uint8_t matches(const char* pattern, uint32_t pattern_size, const char* subject, uint32_t size) noexcept nogil:
    """Does the pattern match the subject, whose tokens are all taken literally?"""
    cdef uint32_t p = 0, s = 0, p_end, s_end, p_size
    if pattern_size == 0 or size == 0:
        return 0
    while True:
        p_end = token_end(pattern, pattern_size, p)
        s_end = token_end(subject, size, s)
        p_size = p_end - p
        if s_end == s:
            return 0
        if p_size == 1 and pattern[p] == 62 and p_end == pattern_size:
            while s_end != size:        # an empty token further on matches nothing
                s = s_end + 1
                if s == size:
                    return 0
                s_end = token_end(subject, size, s)
                if s_end == s:
                    return 0
            return 1
        if not (p_size == 1 and pattern[p] == 42):
            if p_size != s_end - s or memcmp(pattern + p, subject + s, p_size) != 0:
                return 0
        if p_end == pattern_size or s_end == size:
            return p_end == pattern_size and s_end == size
        p = p_end + 1
        s = s_end + 1
        if p == pattern_size or s == size:
            return 0


cdef uint8_t covers(const char* wide, uint32_t wide_size, const char* narrow, uint32_t narrow_size) noexcept nogil:
    """Set inclusion: is every subject that ``narrow`` matches also matched by ``wide``? Both are valid."""
    cdef uint32_t w = 0, n = 0, w_end, n_end, w_size, n_size
    while True:
        w_end = token_end(wide, wide_size, w)
        n_end = token_end(narrow, narrow_size, n)
        w_size = w_end - w
        n_size = n_end - n
        if w_size == 1 and wide[w] == 62 and w_end == wide_size:
            return 1
        if n_size == 1 and narrow[n] == 62 and n_end == narrow_size:
            return 0
        if not (w_size == 1 and wide[w] == 42):
            if w_size != n_size or memcmp(wide + w, narrow + n, w_size) != 0:
                return 0
            # A literal token of ``wide`` equal to the ``*`` of ``narrow`` would itself be a wildcard: handled above.
        if w_end == wide_size or n_end == narrow_size:
            return w_end == wide_size and n_end == narrow_size
        w = w_end + 1
        n = n_end + 1


cdef uint8_t overlap(const char* one, uint32_t one_size, const char* other, uint32_t other_size) noexcept nogil:
    """Is there a literal subject that both match? Both are valid."""
    cdef uint32_t a = 0, b = 0, a_end, b_end, a_size, b_size
    while True:
        a_end = token_end(one, one_size, a)
        b_end = token_end(other, other_size, b)
        a_size = a_end - a
        b_size = b_end - b
        if a_size == 1 and one[a] == 62 and a_end == one_size:
            return 1
        if b_size == 1 and other[b] == 62 and b_end == other_size:
            return 1
        if not (a_size == 1 and one[a] == 42) and not (b_size == 1 and other[b] == 42):
            if a_size != b_size or memcmp(one + a, other + b, a_size) != 0:
                return 0
        if a_end == one_size or b_end == other_size:
            return a_end == one_size and b_end == other_size
        a = a_end + 1
        b = b_end + 1
