# cython: language_level=3
"""S2: the compression that server links of NATS negotiate (routes section 7, leafnodes section 5.2).

The stream is Snappy's framing with S2 blocks: chunks of one type byte, a 24-bit length, a masked CRC-32C of the data,
and the data plain or as a block. A block is a varint of its length, then literals and copies; S2 adds copies that
repeat the last offset. A writer starts every flush with the stream's identifier; a reader takes any mixture of chunks.

Written from the format's description, measured against captures of nats-server (``s2-frames.json``).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memmove, memset

from cpython.bytes cimport PyBytes_FromStringAndSize

from gossamer.mesh.engine.memory cimport buffer_add, buffer_free, buffer_room
from gossamer.mesh.engine.types cimport Buffer, Unpacker

cdef extern from *:
    """
    #include <stdint.h>
    #include <stddef.h>
    #include <string.h>
    static uint32_t s2_crc_table[8][256];
    static int s2_crc_ready = 0;
    static void s2_crc_prepare(void) {
        if (s2_crc_ready) return;
        for (uint32_t n = 0; n < 256; n++) {
            uint32_t c = n;
            for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
            s2_crc_table[0][n] = c;
        }
        for (uint32_t n = 0; n < 256; n++)
            for (int k = 1; k < 8; k++)
                s2_crc_table[k][n] = (s2_crc_table[k - 1][n] >> 8) ^ s2_crc_table[0][s2_crc_table[k - 1][n] & 255];
        s2_crc_ready = 1;
    }
    static uint32_t s2_crc_portable(const unsigned char* p, size_t size) {
        uint32_t c = 0xFFFFFFFFu;
        while (size >= 8) {
            c ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
            c = s2_crc_table[7][c & 255] ^ s2_crc_table[6][(c >> 8) & 255] ^ s2_crc_table[5][(c >> 16) & 255]
                ^ s2_crc_table[4][c >> 24] ^ s2_crc_table[3][p[4]] ^ s2_crc_table[2][p[5]]
                ^ s2_crc_table[1][p[6]] ^ s2_crc_table[0][p[7]];
            p += 8;
            size -= 8;
        }
        while (size--) c = s2_crc_table[0][(c ^ *p++) & 255] ^ (c >> 8);
        return c ^ 0xFFFFFFFFu;
    }
    #if defined(__x86_64__) && defined(__GNUC__)
    __attribute__((target("sse4.2"))) static uint32_t s2_crc_machine(const unsigned char* p, size_t size) {
        uint64_t c = 0xFFFFFFFFu;
        while (size >= 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            c = __builtin_ia32_crc32di(c, word);
            p += 8;
            size -= 8;
        }
        while (size--) c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
        return (uint32_t)c ^ 0xFFFFFFFFu;
    }
    static uint32_t s2_crc(const char* data, size_t size) {
        if (__builtin_cpu_supports("sse4.2")) return s2_crc_machine((const unsigned char*)data, size);
        s2_crc_prepare();
        return s2_crc_portable((const unsigned char*)data, size);
    }
    #else
    static uint32_t s2_crc(const char* data, size_t size) {
        s2_crc_prepare();
        return s2_crc_portable((const unsigned char*)data, size);
    }
    #endif
    static uint32_t s2_crc_slow(const char* data, size_t size) {
        s2_crc_prepare();
        return s2_crc_portable((const unsigned char*)data, size);
    }
    """
    uint32_t s2_crc(const char* data, size_t size) noexcept nogil
    uint32_t s2_crc_slow(const char* data, size_t size) noexcept nogil
    int count_zeros "__builtin_ctzll"(uint64_t word) noexcept nogil

cdef enum:
    CHUNK_COMPRESSED = 0x00
    CHUNK_PLAIN = 0x01
    CHUNK_SKIPPABLE = 0x80      # from here to 0xFD, and 0xFE, chunks may be skipped
    CHUNK_IDENTIFIER = 0xFF
    TABLE_BITS = 14
    LONG_BITS = 16
    MARGIN = 15                 # the last bytes of a block are literals: matching reads ahead
    CHUNK_MAX = 4194304 + 1048576   # of a reader: the most that data of S2_DATA_MAX may come to

cdef enum:                      # what is wrong with a stream
    FAULT_START = -1
    FAULT_CHUNK = -2
    FAULT_SIZE = -3
    FAULT_BLOCK = -4
    FAULT_CHECKSUM = -5
    FAULT_MEMORY = -6

cdef const char* IDENTIFIER = b"\xff\x06\x00\x00S2sTwO"


cdef inline uint32_t load32(const char* at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline uint64_t load64(const char* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint32_t masked(uint32_t crc) noexcept nogil:
    return ((crc >> 15) | (crc << 17)) + <uint32_t>0xA282EAD8


# --- writing a block --------------------------------------------------------------------------------------------------


cdef inline char* put_literal(char* to, const char* text, uint32_t size) noexcept nogil:
    cdef uint32_t n = size - 1
    if size == 0:
        return to
    if n < 60:
        to[0] = <char>(n << 2)
        to += 1
    elif n < 256:
        to[0] = <char>(60 << 2)
        to[1] = <char>n
        to += 2
    elif n < 65536:
        to[0] = <char>(61 << 2)
        to[1] = <char>n
        to[2] = <char>(n >> 8)
        to += 3
    else:
        to[0] = <char>(62 << 2)
        to[1] = <char>n
        to[2] = <char>(n >> 8)
        to[3] = <char>(n >> 16)
        to += 4
    memcpy(to, text, size)
    return to + size


cdef inline char* put_repeat(char* to, uint32_t size) noexcept nogil:
    """A copy from the last offset; ``size`` at least 4, less than a block."""
    to[1] = 0
    if size <= 8:
        to[0] = <char>((size - 4) << 2 | 1)
        return to + 2
    if size < 264:
        to[0] = <char>(5 << 2 | 1)
        to[2] = <char>(size - 8)
        return to + 3
    if size < 65796:
        size -= 260
        to[0] = <char>(6 << 2 | 1)
        to[2] = <char>size
        to[3] = <char>(size >> 8)
        return to + 4
    size -= 65540
    to[0] = <char>(7 << 2 | 1)
    to[2] = <char>size
    to[3] = <char>(size >> 8)
    to[4] = <char>(size >> 16)
    return to + 5


cdef inline char* put_copy(char* to, uint32_t offset, uint32_t size, uint32_t* last) noexcept nogil:
    """A copy of at least 4 bytes; longer than one tag holds it goes on as a repeat."""
    cdef uint32_t first = size
    if offset == last[0]:
        return put_repeat(to, size)
    last[0] = offset
    if size <= 11 and offset < 2048:
        to[0] = <char>((size - 4) << 2 | (offset >> 8) << 5 | 1)
        to[1] = <char>offset
        return to + 2
    if size > 64:
        first = 60                          # what is left is then at least 5
    to[0] = <char>((first - 1) << 2 | 2)
    to[1] = <char>offset
    to[2] = <char>(offset >> 8)
    to += 3
    return to if first == size else put_repeat(to, size - first)


cdef inline uint32_t match_size(const char* one, const char* other, const char* end) noexcept nogil:
    """How many bytes from both places on are the same; ``one`` is the later place."""
    cdef const char* start = one
    cdef uint64_t difference
    while end - one >= 8:
        difference = load64(one) ^ load64(other)
        if difference:
            return <uint32_t>(one - start) + (count_zeros(difference) >> 3)
        one += 8
        other += 8
    while one < end and one[0] == other[0]:
        one += 1
        other += 1
    return <uint32_t>(one - start)


cdef inline uint32_t short_key(const char* at) noexcept nogil:
    return (load32(at) * <uint32_t>0x9E3779B1) >> (32 - TABLE_BITS)


cdef inline uint32_t long_key(const char* at) noexcept nogil:
    return <uint32_t>((load64(at) * <uint64_t>0xCF1BBCDCB7A56463) >> (64 - LONG_BITS))


cdef uint32_t find(const char* data, uint32_t at, const char* end, uint16_t* short_table, uint16_t* long_table,
                   uint32_t last, uint32_t* from_at) noexcept nogil:
    """The longest match known for a place, at least 4 bytes, and where it begins; 0: none. The place is entered."""
    cdef uint32_t candidate, size
    cdef uint32_t best = 0
    cdef uint32_t key = short_key(data + at)
    candidate = short_table[key]
    short_table[key] = <uint16_t>at
    if candidate < at and load32(data + candidate) == load32(data + at):
        best = match_size(data + at + 4, data + candidate + 4, end) + 4
        from_at[0] = candidate
    if long_table == NULL:
        return best
    key = long_key(data + at)
    candidate = long_table[key]
    long_table[key] = <uint16_t>at
    if candidate < at and load32(data + candidate) == load32(data + at):
        size = match_size(data + at + 4, data + candidate + 4, end) + 4
        if size > best:
            best = size
            from_at[0] = candidate
    if last and last <= at and load32(data + at - last) == load32(data + at):
        size = match_size(data + at + 4, data + at - last + 4, end) + 4
        if size + 2 > best:                 # a repeat costs no offset
            best = size
            from_at[0] = at - last
    return best


cdef uint32_t pack_block(const char* data, uint32_t size, int level, char* to) noexcept nogil:
    """Write at most 65,536 bytes as a block; the block's size. ``to`` has room for all as literals and 32 more."""
    cdef uint16_t short_table[1 << TABLE_BITS]
    cdef uint16_t long_table[1 << LONG_BITS]
    cdef uint16_t* longer = NULL
    cdef char* start = to
    cdef const char* end = data + size
    cdef uint32_t at = 1, told = 0, last = 0
    cdef uint32_t source = 0, found, next_source = 0, next_found
    cdef uint32_t n = size
    while n >= 128:
        to[0] = <char>(n | 128)
        to += 1
        n >>= 7
    to[0] = <char>n
    to += 1
    if size > MARGIN + 4:
        memset(short_table, 0, sizeof(short_table))
        if level >= S2_BETTER:
            memset(long_table, 0, sizeof(long_table))
            longer = long_table
        while at < size - MARGIN:
            found = find(data, at, end, short_table, longer, last, &source)
            if found == 0:
                at += 1 + ((at - told) >> (6 if longer == NULL else 8))
                continue
            if level == S2_BEST and at + 1 < size - MARGIN:
                next_found = find(data, at + 1, end, short_table, longer, last, &next_source)
                if next_found > found + 1:
                    at += 1
                    found = next_found
                    source = next_source
            while at > told and source > 0 and data[at - 1] == data[source - 1]:
                at -= 1
                source -= 1
                found += 1
            to = put_literal(to, data + told, at - told)
            to = put_copy(to, at - source, found, &last)
            at += found
            told = at
            if at < size - MARGIN and longer != NULL:
                short_table[short_key(data + at - 2)] = <uint16_t>(at - 2)
                long_table[long_key(data + at - 4)] = <uint16_t>(at - 4)
    to = put_literal(to, data + told, size - told)
    return <uint32_t>(to - start)


# --- writing a stream -------------------------------------------------------------------------------------------------


cdef inline void put_head(char* to, int kind, uint32_t size, uint32_t crc) noexcept nogil:
    to[0] = <char>kind
    to[1] = <char>size
    to[2] = <char>(size >> 8)
    to[3] = <char>(size >> 16)
    memcpy(to + 4, &crc, 4)                 # little-endian machines: the engine runs on no other


cdef void s2_pack(const char* data, size_t size, int level, Buffer* to) noexcept nogil:
    """Append the data as one flush: the stream's identifier and chunks. Out of memory: nothing whole is appended."""
    cdef uint32_t most = S2_PLAIN_CHUNK if level <= S2_PLAIN else S2_CHUNK
    cdef uint32_t piece, packed
    cdef char* at
    buffer_add(to, IDENTIFIER, 10)
    while size:
        piece = most if size > most else <uint32_t>size
        at = buffer_room(to, piece + 64)
        if at == NULL:
            return
        packed = piece
        if level > S2_PLAIN:
            packed = pack_block(data, piece, level, at + 8)
        if packed < piece - (piece >> 5):
            put_head(at, CHUNK_COMPRESSED, packed + 4, masked(s2_crc(data, piece)))
        else:
            packed = piece                  # not worth a reader's time
            memcpy(at + 8, data, piece)
            put_head(at, CHUNK_PLAIN, piece + 4, masked(s2_crc(data, piece)))
        to.size += packed + 8
        data += piece
        size -= piece


# --- reading a block --------------------------------------------------------------------------------------------------


cdef int unpack_block(const char* at, const char* end, char* to, uint32_t size) noexcept nogil:
    """Read a block behind its length into exactly ``size`` bytes; 0, or FAULT_BLOCK."""
    cdef uint32_t done = 0, length, offset = 0, tag, i
    cdef uint64_t wide
    cdef uint32_t tail = 0
    while at < end:
        tag = <uint8_t>at[0]
        at += 1
        if tag & 3 == 0:
            wide = tag >> 2
            if wide >= 60:
                i = <uint32_t>wide - 59
                if end - at < <int64_t>i:
                    return FAULT_BLOCK
                wide = 0
                memcpy(&wide, at, i)
                at += i
            wide += 1
            if wide > <uint64_t>(end - at) or wide > size - done:
                return FAULT_BLOCK
            memcpy(to + done, at, wide)
            at += wide
            done += <uint32_t>wide
            continue
        if tag & 3 == 1:
            if end - at < 1:
                return FAULT_BLOCK
            length = (tag >> 2) & 7
            tail = (tag >> 5) << 8 | <uint8_t>at[0]
            at += 1
            if tail:
                offset = tail
                length += 4
            elif length <= 4:
                length += 4
            else:
                i = length - 4
                if end - at < <int64_t>i:
                    return FAULT_BLOCK
                tail = 0
                memcpy(&tail, at, i)
                at += i
                length = tail + (8 if i == 1 else 260 if i == 2 else 65540)
        elif tag & 3 == 2:
            if end - at < 2:
                return FAULT_BLOCK
            length = (tag >> 2) + 1
            offset = <uint8_t>at[0] | <uint32_t>(<uint8_t>at[1]) << 8
            at += 2
        else:
            if end - at < 4:
                return FAULT_BLOCK
            length = (tag >> 2) + 1
            offset = load32(at)
            at += 4
        if offset == 0 or offset > done or length > size - done:
            return FAULT_BLOCK
        if offset >= length:
            memcpy(to + done, to + done - offset, length)
        else:                               # it overlaps itself: a pattern
            for i in range(length):
                to[done + i] = to[done - offset + i]
        done += length
    return 0 if done == size else FAULT_BLOCK


cdef int read_compressed(const char* at, uint32_t size, Buffer* to) noexcept nogil:
    """One compressed chunk's body: checksum, length, block."""
    cdef const char* end = at + size
    cdef uint32_t crc, byte
    cdef uint64_t wanted = 0
    cdef uint32_t shift = 0
    cdef char* room
    cdef int fault
    if size < 5:
        return FAULT_SIZE
    crc = load32(at)
    at += 4
    while True:
        if at == end or shift > 28:
            return FAULT_BLOCK
        byte = <uint8_t>at[0]
        at += 1
        wanted |= <uint64_t>(byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    if wanted > S2_DATA_MAX:
        return FAULT_SIZE
    room = buffer_room(to, wanted)
    if room == NULL:
        return FAULT_MEMORY
    fault = unpack_block(at, end, room, <uint32_t>wanted)
    if fault:
        return fault
    if masked(s2_crc(room, wanted)) != crc:
        return FAULT_CHECKSUM
    to.size += wanted
    return 0


cdef int read_chunk(Unpacker* unpacker, int kind, const char* at, uint32_t size, Buffer* to) noexcept nogil:
    if kind == CHUNK_IDENTIFIER:
        if size != 6 or memcmp(at, IDENTIFIER + 4, 6) != 0:
            return FAULT_START
        unpacker.begun = 1
        return 0
    if kind == CHUNK_COMPRESSED:
        return read_compressed(at, size, to)
    if kind == CHUNK_PLAIN:
        if size < 4 or size - 4 > S2_DATA_MAX:
            return FAULT_SIZE
        if masked(s2_crc(at + 4, size - 4)) != load32(at):
            return FAULT_CHECKSUM
        buffer_add(to, at + 4, size - 4)
    return 0                                # what may be skipped is


# --- reading a stream -------------------------------------------------------------------------------------------------


cdef int s2_unpack(Unpacker* unpacker, const char* data, size_t size, Buffer* to) noexcept nogil:
    """Append what the stream's next bytes hold. What is left is kept for the next call: an incomplete chunk, or, when
    S2_DATA_MAX have been appended, more (a few bytes may stand for very many: a caller takes them in portions, by
    calls without new bytes as long as ``s2_more``). 0, or what is wrong: the stream is then of no more use."""
    cdef const char* at = data
    cdef size_t before = to.size
    cdef const char* end
    cdef uint32_t length
    cdef int fault
    cdef int kind
    if unpacker.held.size:
        buffer_add(&unpacker.held, data, size)
        at = unpacker.held.data
        size = unpacker.held.size
    end = at + size
    while end - at >= 4 and to.size - before < S2_DATA_MAX:
        length = load32(at) >> 8
        kind = <uint8_t>at[0]
        if not unpacker.begun and kind != CHUNK_IDENTIFIER:     # said at once, not when the rest is here
            return FAULT_START
        if CHUNK_PLAIN < kind < CHUNK_SKIPPABLE:
            return FAULT_CHUNK
        if length > CHUNK_MAX:
            return FAULT_SIZE
        if end - at - 4 < <int64_t>length:
            break
        fault = read_chunk(unpacker, kind, at + 4, length, to)
        if fault:
            return fault
        at += 4 + length
    size = end - at
    if unpacker.held.size:
        if size and at != unpacker.held.data:
            memmove(unpacker.held.data, at, size)
        unpacker.held.size = size
    elif size:
        buffer_add(&unpacker.held, at, size)
    return 0


cdef uint8_t s2_more(Unpacker* unpacker) noexcept nogil:
    """Is a whole chunk being held?"""
    return unpacker.held.size >= 4 and unpacker.held.size - 4 >= load32(unpacker.held.data) >> 8


cdef void s2_forget(Unpacker* unpacker) noexcept nogil:
    buffer_free(&unpacker.held)
    unpacker.begun = 0


# --- for tests, fuzzing and tools -------------------------------------------------------------------------------------

FAULTS = {
    FAULT_START: "the stream does not start with the identifier of S2",
    FAULT_CHUNK: "a chunk of an unknown kind that must not be skipped",
    FAULT_SIZE: "a chunk of an impossible size",
    FAULT_BLOCK: "a broken block",
    FAULT_CHECKSUM: "a wrong checksum",
    FAULT_MEMORY: "no memory",
}


def pack(bytes data, int level=S2_FAST):
    """One flush of the data: level 1 plain, 2 fast, 3 better, 4 best."""
    cdef Buffer to
    memset(&to, 0, sizeof(to))
    s2_pack(data, len(data), level, &to)
    try:
        return PyBytes_FromStringAndSize(to.data, to.size)
    finally:
        buffer_free(&to)


def checksum(bytes data, bint slow=False):
    """The masked CRC-32C of a chunk; ``slow``: by table, whatever the machine has."""
    return masked(s2_crc_slow(data, len(data)) if slow else s2_crc(data, len(data)))


cdef class Reader:
    """A stream being read: ``feed`` bytes as they come, get the data that is whole. Raises ValueError for a broken
    stream."""

    cdef Unpacker unpacker

    def __dealloc__(self):
        s2_forget(&self.unpacker)

    def feed(self, bytes data):
        cdef Buffer to
        cdef int fault
        memset(&to, 0, sizeof(to))
        fault = s2_unpack(&self.unpacker, data, len(data), &to)
        while not fault and s2_more(&self.unpacker):
            fault = s2_unpack(&self.unpacker, NULL, 0, &to)
        try:
            if fault:
                raise ValueError(FAULTS[fault])
            return PyBytes_FromStringAndSize(to.data, to.size)
        finally:
            buffer_free(&to)

    @property
    def held(self):
        """Bytes of a chunk that is not whole yet."""
        return self.unpacker.held.size
