# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The messages of a run: what is sent, what must come back, and whether it did, byte for byte.

Why it is cheap. All messages of one run have the same length, and every line the server may send is known beforehand.
So a received message is not parsed: its head is compared with the head that must come, its first eight payload bytes
with the number that must come, and the rest with a pattern that depends on that number. Anything else (PING, PONG,
INFO, errors) takes the slow path, and anything unexpected ends the run with the bytes in question.

Payload: u64, little endian, ``sender << 40 | number``, then pattern bytes ``PATTERN[number & 63:]``. A flood counts
numbers for each publisher; a subscriber must see them without gap, repetition or reordering; a queue group must see
each exactly once, and each member in rising order.

The server's CPU clock is read in here, at the first byte sent and after the last one verified, so neither the set-up
nor Python between the runs is in the figures.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC

from connections cimport (
    COLLECTOR, PUBLISHER, REPLY_LENGTH, REQUESTER, RESPONDER, SCATTERED, SUBSCRIBER, Connections, Link,
)
from kernel cimport NUMBER_MASK, bench_same, bench_set_u64, bench_u64, clock_ns


cdef enum:
    PHASES_OF_TEXT = 4096

#: Of ``text``, so many payloads are needed.
TEXT_PHASES = PHASES_OF_TEXT


cdef class Traffic(Connections):
    """Messages of one length over connections; ``load.Load`` makes runs of them and describes the arguments."""

    def __cinit__(
        self, *, int links_max, int size=16, subjects=(b"bench.msg",), heard=None, bytes header=b"", bint queue=False,
        int reply_heard=REPLY_LENGTH, bytes text=b"", **others
    ):
        cdef size_t length
        if size < 16 or size > 65536:
            raise ValueError("size must be 16 to 65536")
        if len({len(subject) for subject in subjects}) != 1:
            raise ValueError("all subjects must have the same length")
        # Text is cut into as many different payloads: a compressor must not find one message in the next.
        self.phase_mask, self.phase_step = 63, 1
        if text:
            self.phase_mask, self.phase_step = PHASES_OF_TEXT - 1, size
        length = self.phase_mask * self.phase_step + size
        self.pattern = <char *>malloc(length)
        if self.pattern == NULL:
            raise MemoryError
        if text:
            if <size_t>len(text) < length:
                raise ValueError(f"the text must have {length} bytes at least")
            memcpy(self.pattern, <char *>text, length)
        else:
            for at in range(<int>length):
                self.pattern[at] = <char>(33 + (at * 7 + (at >> 6) * 3) % 93)
        self.size, self.queue, self.subjects = size, queue, len(subjects)
        if header:
            sizes = b"%d %d\r\n%b" % (len(header), len(header) + size, header)
            pub = [b"HPUB %b %b" % (subject, sizes) for subject in subjects]
            msg = [b"HMSG %b 1 %b" % (subject, sizes) for subject in heard or subjects]
        else:
            pub = [b"PUB %b %d\r\n" % (subject, size) for subject in subjects]
            msg = [b"MSG %b 1 %d\r\n" % (subject, size) for subject in heard or subjects]
        self.pub_heads_kept, self.msg_heads_kept = b"".join(pub), b"".join(msg)
        self.pub_heads, self.msg_heads = self.pub_heads_kept, self.msg_heads_kept
        self.pub_head, self.msg_head = len(pub[0]), len(msg[0])
        self.pub_frame, self.msg_frame = self.pub_head + self.size + 2, self.msg_head + self.size + 2
        # A multiple of the phases, so that a frame's place in the batch decides its pattern.
        phases = self.phase_mask + 1
        self.batch_frames = max(phases, BATCH_BYTES // self.pub_frame // phases * phases)
        self.ask_kept, self.asked_kept = b"PUB %b " % subjects[0], b"MSG %b 1 " % (heard or subjects)[0]
        self.size_kept = b" %d\r\n" % size
        self.ask, self.asked, self.size_line = self.ask_kept, self.asked_kept, self.size_kept
        self.ask_length, self.asked_length = len(self.ask_kept), len(self.asked_kept)
        self.size_line_length = len(self.size_kept)
        self.reply_heard = reply_heard
        self.request_frame = self.asked_length + self.reply_heard + self.size_line_length + self.size + 2
        self.reply_frame = 4 + REPLY_LENGTH + 2 + self.size_line_length + self.size + 2

    def __dealloc__(self):
        free(self.pattern)
        free(self.seen)
        free(self.latencies)

    cdef char *take(self, Link *link, char *at, char *end) noexcept nogil:
        if link.role == SUBSCRIBER:
            return self.take_messages(link, at, end)
        if link.role == RESPONDER or link.role == SCATTERED:
            return self.take_requests(link, at, end)
        if link.role == REQUESTER or link.role == COLLECTOR:
            return self.take_replies(link, at, end)
        while at < end and self.take_line(link, &at, end):
            pass
        return at

    # ---- what comes in ----------------------------------------------------------------------------------------------

    @cython.final
    cdef inline bint intact(self, const char *payload, uint64_t number) noexcept nogil:
        return (
            bench_same(payload + 8, self.pattern + (number & self.phase_mask) * self.phase_step, self.size - 8)
            and payload[self.size] == c"\r" and payload[self.size + 1] == c"\n"
        )

    cdef char *take_messages(self, Link *link, char *at, char *end) noexcept nogil:
        cdef size_t head = self.msg_head, frame = self.msg_frame
        cdef uint64_t value, number, sender, delivered = 0
        cdef const char *expected = self.msg_heads
        while at < end and not self.faulty:
            if at[0] != c"M" and at[0] != c"H":
                if not self.take_line(link, &at, end):
                    break
                continue
            if <size_t>(end - at) < frame:
                break
            value = bench_u64(at + head)
            number, sender = value & NUMBER_MASK, value >> SENDER_SHIFT
            if self.subjects > 1:
                expected = self.msg_heads + (number % self.subjects) * head
            if not bench_same(at, expected, head) or not self.intact(at + head, number):
                self.fail(b"changed", link, at, frame)
                break
            if sender >= <uint64_t>self.publishers:
                if sender != PROBE:
                    self.fail(b"from nowhere", link, at, frame)
                    break
                link.probe = number
            elif not self.queue:
                if number != link.next[sender]:
                    self.fail(b"lost, repeated or out of order", link, at, frame)
                    break
                link.next[sender] = number + 1
                delivered += 1
            else:
                if number < link.next[0] or number >> 3 >= self.seen_bytes or (
                    self.seen[number >> 3] >> (number & 7) & 1
                ):
                    self.fail(b"repeated or out of order in the queue group", link, at, frame)
                    break
                self.seen[number >> 3] |= <uint8_t>1 << (number & 7)
                link.next[0] = number + 1
                delivered += 1
            at += frame
        self.delivered += delivered
        return at

    cdef char *take_requests(self, Link *link, char *at, char *end) noexcept nogil:
        cdef char *reply
        cdef char *payload
        cdef char answer[8]
        cdef uint64_t number
        while at < end and not self.faulty:
            if at[0] != c"M":
                if not self.take_line(link, &at, end):
                    break
                continue
            if <size_t>(end - at) < self.request_frame:
                break
            reply = at + self.asked_length
            payload = reply + self.reply_heard + self.size_line_length
            number = bench_u64(payload) & NUMBER_MASK
            if not (
                bench_same(at, self.asked, self.asked_length)
                and bench_same(reply + self.reply_heard, self.size_line, self.size_line_length)
                and self.intact(payload, number)
            ):
                self.fail(b"request changed", link, at, self.request_frame)
                break
            if link.role == SCATTERED:
                bench_set_u64(answer, (<uint64_t>link.number << SENDER_SHIFT) | number)
            else:
                memcpy(answer, payload, 8)
            self.append(link, b"PUB ", 4)
            self.append(link, reply, self.reply_heard + self.size_line_length)
            self.append(link, answer, 8)
            self.append(link, payload + 8, self.size - 6)
            at += self.request_frame
        return at

    cdef char *take_replies(self, Link *link, char *at, char *end) noexcept nogil:
        cdef char expected[4 + REPLY_LENGTH + 2]
        cdef char *payload
        cdef uint64_t value, now = clock_ns(CLOCK_MONOTONIC)
        memcpy(expected, b"MSG ", 4)
        memcpy(expected + 4 + REPLY_LENGTH, b" 1", 2)
        while at < end and not self.faulty:
            if at[0] != c"M":
                if not self.take_line(link, &at, end):
                    break
                continue
            if <size_t>(end - at) < self.reply_frame:
                break
            self.write_reply(expected + 4, link, link.sequence)
            payload = at + sizeof(expected) + self.size_line_length
            value = bench_u64(payload)
            if not (
                link.waiting
                and bench_same(at, expected, sizeof(expected))
                and bench_same(at + sizeof(expected), self.size_line, self.size_line_length)
                and value & NUMBER_MASK == link.sequence
                and self.intact(payload, link.sequence)
            ):
                self.fail(b"reply changed, repeated or of another request", link, at, self.reply_frame)
                break
            at += self.reply_frame
            self.delivered += 1
            if link.role == COLLECTOR:
                self.collect(link, value >> SENDER_SHIFT)
                continue
            if value >> SENDER_SHIFT != <uint64_t>link.number:
                self.fail(b"a reply of somebody else", link, NULL, 0)
                break
            self.note_latency(link, now)
            link.waiting = False
            self.waiting -= 1
            if now < self.repeat_until:
                self.request(link)
        return at

    cdef void collect(self, Link *link, uint64_t replier) noexcept nogil:
        if replier >= self.seen_bytes or self.seen[replier]:
            self.fail(b"a replier answered twice", link, NULL, 0)
            return
        self.seen[replier] = 1
        if self.delivered == self.seen_bytes:
            link.waiting = False
            self.waiting -= 1

    cdef void note_latency(self, Link *link, uint64_t now) noexcept nogil:
        cdef uint32_t *grown
        cdef size_t room
        if self.latencies_count == self.latencies_room:
            room = self.latencies_room * 2 + 65536
            grown = <uint32_t *>realloc(self.latencies, room * sizeof(uint32_t))
            if grown == NULL:
                self.fail(b"no memory", link, NULL, 0)
                return
            self.latencies, self.latencies_room = grown, room
        self.latencies[self.latencies_count] = <uint32_t>min(now - link.sent_ns, <uint64_t>0xFFFFFFFF)
        self.latencies_count += 1

    # ---- what goes out ----------------------------------------------------------------------------------------------

    cdef void request(self, Link *link) noexcept nogil:
        cdef char reply[REPLY_LENGTH]
        cdef char value[8]
        link.sequence += 1
        self.write_reply(reply, link, link.sequence)
        bench_set_u64(value, (<uint64_t>link.number << SENDER_SHIFT) | link.sequence)
        self.append(link, self.ask, self.ask_length)
        self.append(link, reply, REPLY_LENGTH)
        self.append(link, self.size_line, self.size_line_length)
        self.append(link, value, 8)
        self.append(link, self.pattern + (link.sequence & self.phase_mask) * self.phase_step, self.size - 8)
        self.append(link, b"\r\n", 2)
        link.waiting = True
        self.waiting += 1
        link.sent_ns = clock_ns(CLOCK_MONOTONIC)
        self.flush(link)

    cdef void write_payload(self, char *at, uint64_t number) noexcept nogil:
        memcpy(at + 8, self.pattern + (number & self.phase_mask) * self.phase_step, self.size - 8)
        at[self.size] = c"\r"
        at[self.size + 1] = c"\n"

    cdef void publish(self, Link *link) noexcept nogil:
        """Send more of the batch under way, or lay out the next one."""
        cdef size_t i, grown
        cdef char *frame
        cdef uint8_t *seen
        cdef uint64_t sender = <uint64_t>link.number << SENDER_SHIFT, number = link.sequence
        if link.batch_start == link.batch_end:
            self.flush(link)
            if link.out_start < link.out_end:
                return
            frame = link.batch
            if self.queue and (number + self.batch_frames) >> 3 >= self.seen_bytes:
                grown = self.seen_bytes * 2 + self.batch_frames
                seen = <uint8_t *>realloc(self.seen, grown)
                if seen == NULL:
                    self.fail(b"no memory", link, NULL, 0)
                    return
                memset(seen + self.seen_bytes, 0, grown - self.seen_bytes)
                self.seen, self.seen_bytes = seen, grown
            for i in range(self.batch_frames):
                if self.subjects > 1:
                    memcpy(frame, self.pub_heads + ((number + i) % self.subjects) * self.pub_head, self.pub_head)
                bench_set_u64(frame + self.pub_head, sender | (number + i))
                frame += self.pub_frame
            link.sequence += self.batch_frames
            self.sent += self.batch_frames
            link.batch_start, link.batch_end = 0, self.batch_frames * self.pub_frame
        link.batch_start += self.offer(link, link.batch + link.batch_start, link.batch_end - link.batch_start)
        if link.batch_start == link.batch_end:
            self.flush(link)

    cdef void lay_out(self, Link *link) noexcept nogil:
        """Allocate a publisher's batch or a subscriber's counters, once."""
        cdef size_t i
        cdef char *frame
        if link.role == SUBSCRIBER and link.next == NULL:
            link.next = <uint64_t *>calloc(self.publishers, sizeof(uint64_t))
            if link.next == NULL:
                self.fail(b"no memory", link, NULL, 0)
        elif link.role == PUBLISHER and link.batch == NULL:
            link.batch = <char *>malloc(self.batch_frames * self.pub_frame)
            if link.batch == NULL:
                self.fail(b"no memory", link, NULL, 0)
                return
            frame = link.batch
            for i in range(self.batch_frames):
                memcpy(frame, self.pub_heads, self.pub_head)
                self.write_payload(frame + self.pub_head, i)
                frame += self.pub_frame
