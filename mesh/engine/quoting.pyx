# cython: language_level=3
"""Texts of peers inside our own: quoted as nats-server quotes them (client-protocol section 7), so that what a client
sees is the same and a log line stays one line."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.types cimport Buffer

cdef const char* HEXADECIMAL = b"0123456789abcdef"
cdef const char* SHORT = b"abtnvfr"     # the letters for the control characters 7 to 13


cdef uint32_t sequence_size(const uint8_t* text, uint32_t size) noexcept nogil:
    """Length of the UTF-8 sequence of more than one byte that starts here; 0: none does."""
    cdef uint32_t wanted
    cdef uint32_t i
    if 0xC2 <= text[0] <= 0xDF:
        wanted = 2
    elif 0xE0 <= text[0] <= 0xEF:
        wanted = 3
    elif 0xF0 <= text[0] <= 0xF4:
        wanted = 4
    else:
        return 0
    if size < wanted or (text[0] == 0xE0 and text[1] < 0xA0) or (text[0] == 0xED and text[1] > 0x9F) \
            or (text[0] == 0xF0 and text[1] < 0x90) or (text[0] == 0xF4 and text[1] > 0x8F):
        return 0
    for i in range(1, wanted):
        if text[i] & 0xC0 != 0x80:
            return 0
    return wanted


cdef void buffer_quoted(Buffer* buffer, const char* text, uint32_t size) noexcept nogil:
    """Append the text in double quotes; quotes, backslashes, control characters and bytes that are no UTF-8 escaped."""
    cdef uint32_t i = 0
    cdef uint32_t length
    cdef uint8_t c
    cdef char escaped[4]
    escaped[0] = 92
    buffer_add(buffer, b"\"", 1)
    while i < size:
        c = <uint8_t>text[i]
        if c == 34 or c == 92:
            escaped[1] = <char>c
            buffer_add(buffer, escaped, 2)
        elif 32 <= c < 127:
            buffer_add(buffer, text + i, 1)
        elif 7 <= c <= 13:
            escaped[1] = SHORT[c - 7]
            buffer_add(buffer, escaped, 2)
        else:
            length = sequence_size(<const uint8_t*>text + i, size - i) if c >= 128 else 0
            if length:
                buffer_add(buffer, text + i, length)
                i += length
                continue
            escaped[1] = 120
            escaped[2] = HEXADECIMAL[c >> 4]
            escaped[3] = HEXADECIMAL[c & 15]
            buffer_add(buffer, escaped, 4)
        i += 1
    buffer_add(buffer, b"\"", 1)


cdef void buffer_json(Buffer* buffer, const char* text, uint32_t size) noexcept nogil:
    """Append the text as a JSON string, escaped as Go does it: also ``<``, ``>`` and ``&``."""
    cdef uint32_t i = 0
    cdef uint32_t length
    cdef uint8_t c
    cdef char escaped[6]
    buffer_add(buffer, b"\"", 1)
    while i < size:
        c = <uint8_t>text[i]
        length = sequence_size(<const uint8_t*>text + i, size - i) if c >= 128 else 0
        if c == 34 or c == 92:
            escaped[0] = 92
            escaped[1] = <char>c
            buffer_add(buffer, escaped, 2)
        elif c < 32 or c == 38 or c == 60 or c == 62:
            memcpy(escaped, b"\\u00", 4)
            escaped[4] = HEXADECIMAL[c >> 4]
            escaped[5] = HEXADECIMAL[c & 15]
            buffer_add(buffer, escaped, 6)
        elif length:
            buffer_add(buffer, text + i, length)
            i += length
            continue
        elif c >= 128:
            buffer_add(buffer, b"\\ufffd", 6)
        else:
            buffer_add(buffer, text + i, 1)
        i += 1
    buffer_add(buffer, b"\"", 1)
