# cython: language_level=3
"""Subjects made from subjects (client-protocol section 25): mappings and the renaming that imports do.

A program is read once from the control plane's form and holds which tokens of its source are wildcards, so that
applying it to a literal subject is walking its parts. ``program_narrow`` goes the other way for interest: what must a
subscription ask for in the exporting account to get what it wants under the local name?
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.memory cimport buffer_add, pick
from gossamer.mesh.engine.subject cimport tokenize
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.types cimport (
    MAX_TOKENS,
    PART_LEFT,
    PART_LITERAL,
    PART_PARTITION,
    PART_RANDOM,
    PART_RIGHT,
    PART_SLICE_FROM_LEFT,
    PART_SPLIT,
    PART_SPLIT_FROM_LEFT,
    PART_SPLIT_FROM_RIGHT,
    PART_TAIL,
    PART_WILDCARD,
    Buffer,
    Core,
    Part,
    Program,
)


# --- reading ----------------------------------------------------------------------------------------------------------


cdef Program* program_read(const char* source, uint32_t source_size, char** packed) noexcept nogil:
    """One program from its packed form: uint32 block size, count, then for each part uint32 kind, text size, numbers
    count, the numbers as int64, the text padded to eight bytes. ``packed`` is moved behind it. NULL: no memory."""
    cdef char* at = packed[0]
    cdef uint32_t head[2]
    cdef uint32_t fields[4]
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t tokens = tokenize(source, source_size, starts)
    cdef uint32_t i
    cdef Program* program
    cdef char* block
    memcpy(head, at, 8)
    program = <Program*>malloc(sizeof(Program) + head[1] * sizeof(Part) + head[0] + (tokens + 2) * sizeof(uint32_t))
    if program == NULL:
        packed[0] = at + head[0]
        return NULL
    memset(program, 0, sizeof(Program) + head[1] * sizeof(Part))
    program.count = head[1]
    program.tail = -1
    program.parts = <Part*>(program + 1)
    block = <char*>(program.parts + program.count)
    memcpy(block, at, head[0])
    program.stars = <uint32_t*>(block + head[0])
    for i in range(tokens):
        if starts[i + 1] - starts[i] == 2:
            if source[starts[i]] == 42:
                program.stars[program.stars_count] = i
                program.stars_count += 1
            elif source[starts[i]] == 62:
                program.tail = <int32_t>i
    packed[0] = at + head[0]
    at = block + 8
    for i in range(program.count):
        memcpy(fields, at, 16)
        program.parts[i].kind = fields[0]
        program.parts[i].text_size = fields[1]
        program.parts[i].numbers_count = fields[2]
        program.parts[i].numbers = <int64_t*>(at + 16)
        program.parts[i].text = at + 16 + fields[2] * 8
        if fields[0] == PART_RANDOM:
            program.by_chance = 1
        at += 16 + fields[2] * 8 + ((fields[1] + 7) & ~<uint32_t>7)
    return program


# --- applying ---------------------------------------------------------------------------------------------------------


cdef inline void dot(Buffer* to, size_t start) noexcept nogil:
    if to.size > start:
        buffer_add(to, b".", 1)


cdef inline uint32_t fnv(uint32_t hash, const char* text, uint32_t size) noexcept nogil:
    cdef uint32_t i
    for i in range(size):
        hash = (hash ^ <uint8_t>text[i]) * <uint32_t>16777619
    return hash


cdef void add_number(Buffer* to, uint32_t number) noexcept nogil:
    cdef char digits[24]
    buffer_add(to, digits, write_number(digits, number))


cdef void partition(Program* program, Part* part, const char* subject, uint32_t size, uint32_t* starts,
                    Buffer* to) noexcept nogil:
    """FNV-1a of the chosen tokens without separators (or of the whole subject), modulo the buckets."""
    cdef uint32_t hash = 0x811C9DC5
    cdef uint32_t i
    cdef uint32_t token
    cdef int64_t buckets = part.numbers[0]
    if part.numbers_count == 1:
        hash = fnv(hash, subject, size)
    for i in range(1, part.numbers_count):
        token = program.stars[part.numbers[i] - 1]
        hash = fnv(hash, subject + starts[token], starts[token + 1] - starts[token] - 1)
    add_number(to, <uint32_t>(hash % <uint32_t>buckets) if buckets > 0 else 0)


cdef void split(Part* part, const char* token, uint32_t size, size_t start, Buffer* to) noexcept nogil:
    """The pieces between separators as tokens; empty ones are dropped. If that leaves nothing the subject gets an empty
    token, so that it reaches nobody."""
    cdef uint32_t at = 0
    cdef uint32_t begin = 0
    cdef size_t before = to.size
    cdef uint32_t separator = part.text_size
    while at <= size:
        if at == size or (separator and size - at >= separator and memcmp(token + at, part.text, separator) == 0):
            if at > begin:
                dot(to, start)
                buffer_add(to, token + begin, at - begin)
            if at == size:
                break
            at += separator
            begin = at
        else:
            at += 1
    if to.size == before:
        buffer_add(to, b".", 1)


cdef void cut(Part* part, const char* token, uint32_t size, Buffer* to) noexcept nogil:
    """The functions that cut one token at a place."""
    cdef int64_t n = part.numbers[1]
    cdef uint32_t at
    cdef uint32_t piece
    cdef uint32_t kind = part.kind
    if n <= 0 or n >= size:
        buffer_add(to, token, size)
        return
    piece = <uint32_t>n
    if kind == PART_LEFT:
        buffer_add(to, token, piece)
    elif kind == PART_RIGHT:
        buffer_add(to, token + size - piece, piece)
    elif kind == PART_SPLIT_FROM_LEFT or kind == PART_SPLIT_FROM_RIGHT:
        at = piece if kind == PART_SPLIT_FROM_LEFT else size - piece
        buffer_add(to, token, at)
        buffer_add(to, b".", 1)
        buffer_add(to, token + at, size - at)
    else:
        at = piece if kind == PART_SLICE_FROM_LEFT or size % piece == 0 else size % piece
        buffer_add(to, token, at)
        while at < size:
            buffer_add(to, b".", 1)
            buffer_add(to, token + at, piece if size - at > piece else size - at)
            at += piece


cdef void program_apply(Core* core, Program* program, const char* subject, uint32_t size, Buffer* to) noexcept nogil:
    """Append the subject made from a literal one that the program's source matches."""
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t tokens = tokenize(subject, size, starts)
    cdef size_t start = to.size
    cdef uint32_t i, token, token_size, kind
    cdef Part* part
    if tokens == 0:
        return
    for i in range(program.count):
        part = &program.parts[i]
        kind = part.kind
        if kind == PART_SPLIT:
            token = program.stars[part.numbers[0] - 1]
            split(part, subject + starts[token], starts[token + 1] - starts[token] - 1, start, to)
            continue
        dot(to, start)
        if kind == PART_LITERAL:
            buffer_add(to, part.text, part.text_size)
        elif kind == PART_TAIL:
            buffer_add(to, subject + starts[program.tail], size - starts[program.tail])
        elif kind == PART_PARTITION:
            partition(program, part, subject, size, starts, to)
        elif kind == PART_RANDOM:
            add_number(to, pick(core, <uint32_t>part.numbers[0]) if part.numbers[0] > 0 else 0)
        else:
            token = program.stars[part.numbers[0] - 1]
            token_size = starts[token + 1] - starts[token] - 1
            if kind == PART_WILDCARD:
                buffer_add(to, subject + starts[token], token_size)
            else:
                cut(part, subject + starts[token], token_size, to)


# --- the other way, for interest --------------------------------------------------------------------------------------


cdef inline uint8_t is_token(const char* text, uint32_t size, char c) noexcept nogil:
    return size == 1 and text[0] == c


cdef uint8_t program_narrow(Program* program, const char* subject, uint32_t size, const char* pattern,
                            uint32_t pattern_size, Buffer* to) noexcept nogil:
    """Append the part of ``subject`` (the program's source, a pattern in the exporter) whose results ``pattern`` (of a
    subscriber, in local names) matches; 0: nothing can match. Programs of imports have literals, wildcards and a tail
    only. Where a wildcard is used twice the result may be too wide, never too narrow."""
    cdef uint32_t starts[MAX_TOKENS]
    cdef uint32_t wanted[MAX_TOKENS]
    cdef int32_t from_pattern[MAX_TOKENS]       # token of the pattern that stands for a token of the subject
    cdef uint32_t tokens = tokenize(subject, size, starts)
    cdef uint32_t pattern_tokens = tokenize(pattern, pattern_size, wanted)
    cdef uint32_t i, at, text_size
    cdef int32_t rest = -1                      # the pattern's tokens from here on stand for the subject's tail
    cdef char* text
    cdef Part* part
    cdef uint8_t open_ended = 0
    if tokens == 0 or pattern_tokens == 0:
        return 0
    for i in range(tokens):
        from_pattern[i] = -1
    for i in range(program.count):
        part = &program.parts[i]
        if i >= pattern_tokens:
            return 0
        text = <char*>pattern + wanted[i]
        text_size = wanted[i + 1] - wanted[i] - 1
        if i + 1 == pattern_tokens and is_token(text, text_size, 62):
            open_ended = 1                      # everything from here on is wanted
            break
        if part.kind == PART_TAIL:
            rest = <int32_t>i
            break
        if part.kind == PART_LITERAL:
            if not is_token(text, text_size, 42) and (
                    text_size != part.text_size or memcmp(text, part.text, text_size) != 0):
                return 0
        elif part.kind == PART_WILDCARD and not is_token(text, text_size, 42):
            at = program.stars[part.numbers[0] - 1]
            if from_pattern[at] >= 0:
                continue
            from_pattern[at] = <int32_t>i
    if not open_ended and rest < 0 and pattern_tokens != program.count:
        return 0
    for i in range(tokens):
        if i:
            buffer_add(to, b".", 1)
        if <int32_t>i == program.tail and rest >= 0:
            buffer_add(to, pattern + wanted[rest], pattern_size - wanted[rest])
            return 1
        if from_pattern[i] >= 0:
            at = <uint32_t>from_pattern[i]
            buffer_add(to, pattern + wanted[at], wanted[at + 1] - wanted[at] - 1)
        else:
            buffer_add(to, subject + starts[i], starts[i + 1] - starts[i] - 1)
    return 1
