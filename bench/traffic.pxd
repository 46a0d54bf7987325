# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from connections cimport Connections, Link


cdef enum:
    BATCH_BYTES = 256 * 1024
    SENDER_SHIFT = 40
    PROBE = 0xFFFFFF                # the sender number of a probe


cdef class Traffic(Connections):
    # What is sent and what must come back. The bytes objects own what the pointers show.
    cdef bytes pub_heads_kept, msg_heads_kept, ask_kept, asked_kept, size_kept
    cdef char *pattern
    cdef uint64_t phase_mask, phase_step    # a payload starts (number & mask) * step bytes into the pattern
    cdef size_t size
    cdef uint64_t subjects
    cdef char *pub_heads            # one for each subject: all that precedes the payload
    cdef size_t pub_head, pub_frame, batch_frames
    cdef char *msg_heads
    cdef size_t msg_head, msg_frame
    cdef char *ask                  # "PUB subject "
    cdef char *asked                # "MSG subject 1 "
    cdef char *size_line            # " 16\r\n"
    cdef size_t ask_length, asked_length, size_line_length
    cdef size_t reply_heard         # length of the reply subject as a responder gets it
    cdef size_t request_frame       # a request as a responder gets it
    cdef size_t reply_frame         # a reply as a requester gets it
    # The run.
    cdef bint queue
    cdef int publishers, subscribers
    cdef uint64_t sent, delivered, repeat_until
    cdef uint8_t *seen              # queue group: a bit for each number; scatter: a byte for each replier
    cdef size_t seen_bytes
    cdef uint32_t *latencies
    cdef size_t latencies_count, latencies_room

    cdef bint intact(self, const char *payload, uint64_t number) noexcept nogil
    cdef char *take_messages(self, Link *link, char *at, char *end) noexcept nogil
    cdef char *take_requests(self, Link *link, char *at, char *end) noexcept nogil
    cdef char *take_replies(self, Link *link, char *at, char *end) noexcept nogil
    cdef void collect(self, Link *link, uint64_t replier) noexcept nogil
    cdef void note_latency(self, Link *link, uint64_t now) noexcept nogil
    cdef void request(self, Link *link) noexcept nogil
    cdef void write_payload(self, char *at, uint64_t number) noexcept nogil
    cdef void publish(self, Link *link) noexcept nogil
    cdef void lay_out(self, Link *link) noexcept nogil
