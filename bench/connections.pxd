# cython: language_level=3
from libc.stdint cimport uint64_t

from kernel cimport epoll_event


cdef enum:
    INBOX_LENGTH = 30               # "_INBOX." + 22 characters + "."
    REPLY_LENGTH = 40               # the inbox and 10 digits, a new subject for each request as real clients do

cdef enum Role:                     # what a connection does with what it is sent
    IDLE, PUBLISHER, SUBSCRIBER, REQUESTER, RESPONDER, SCATTERED, COLLECTOR

cdef enum State:
    NEW                             # waiting for INFO
    GREETED                         # hello sent, waiting for PONG
    READY

cdef struct Link:
    int fd
    int role
    int state
    int number                      # its place among the links of its role
    bint blocked                    # the socket took less than offered; EPOLLOUT is watched
    bint waiting                    # requester: a reply is due; publisher: the PONG that ends a flood is due
    char *rest                      # the start of a message whose end has not come yet
    size_t rest_length
    size_t rest_room
    char *out
    size_t out_start
    size_t out_end
    size_t out_room
    uint64_t *next                  # subscriber: the number that must come next, for each publisher
    uint64_t probe                  # the last probe that came
    uint64_t sequence               # publisher: numbers given out; requester, collector: the request under way
    uint64_t sent_ns
    char *batch                     # publisher: frames laid out once, numbers written in before each send
    size_t batch_start
    size_t batch_end


cdef class Connections:
    cdef Link *links
    cdef int links_count, links_max
    cdef int ready                  # links in state READY
    cdef int waiting                # requesters without reply, publishers without PONG
    cdef int poll
    cdef epoll_event *events
    cdef char *buffer
    cdef char fault[512]
    cdef bint faulty
    cdef bytes hello                # owns what hello_at shows
    cdef char *hello_at
    cdef size_t hello_length

    cdef void disconnect(self) noexcept
    cdef int count(self, int role) noexcept nogil
    cdef Link *prepare(self, int role, int fd, int number) noexcept nogil
    cdef void open_link(self, int role, int number, int port) noexcept nogil
    cdef void greet(self, Link *link) noexcept nogil
    cdef void write_reply(self, char *at, Link *link, uint64_t sequence) noexcept nogil
    cdef void fail(self, const char *what, Link *link, const char *sample, size_t length) noexcept nogil
    cdef object check(self)
    cdef void append(self, Link *link, const char *at, size_t length) noexcept nogil
    cdef size_t offer(self, Link *link, const char *at, size_t length) noexcept nogil
    cdef void flush(self, Link *link) noexcept nogil
    cdef void pump(self, int timeout_ms) noexcept nogil
    cdef void read(self, Link *link) noexcept nogil
    cdef char *take(self, Link *link, char *at, char *end) noexcept nogil
    cdef bint take_line(self, Link *link, char **at, char *end) noexcept nogil
