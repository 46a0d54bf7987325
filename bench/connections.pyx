# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Connections of NATS clients on one epoll thread: opened, greeted, read and written. What messages mean is elsewhere.

A link is a C struct. ``take`` is given what was read and returns where it stopped; what is left is kept until more
comes. Lines that are no messages (PING, PONG, INFO, errors) are dealt with here. The first fault ends everything: it is
kept with the bytes in question, and ``check`` raises it.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcpy, memset, strerror
from posix.time cimport CLOCK_MONOTONIC
from posix.unistd cimport close

from kernel cimport (
    EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL, bench_connect, bench_same, bench_watch, clock_ns,
    epoll_create1, epoll_event, epoll_wait, recv, send, write_digits,
)


cdef enum:
    EVENTS = 512
    READ_BYTES = 256 * 1024
    CONNECTING_MAX = 256

ROLES = {
    "idle": IDLE,
    "publisher": PUBLISHER,
    "subscriber": SUBSCRIBER,
    "requester": REQUESTER,
    "responder": RESPONDER,
    "scattered": SCATTERED,
    "collector": COLLECTOR,
}


class LoadError(Exception):
    """The server lost, repeated, reordered or changed something, sent an error, hung up or took too long."""


cdef class Connections:
    """Connections to one server (or one mesh). Every method raises ``LoadError``."""

    def __cinit__(self, *, int links_max, **others):
        self.poll = epoll_create1(0)
        if self.poll < 0:
            raise OSError(errno, "epoll_create1")
        self.links = <Link *>calloc(links_max, sizeof(Link))
        self.buffer = <char *>malloc(READ_BYTES * 2)
        self.events = <epoll_event *>malloc(EVENTS * sizeof(epoll_event))
        if self.links == NULL or self.buffer == NULL or self.events == NULL:
            raise MemoryError
        self.links_max = links_max

    def __dealloc__(self):
        cdef int i
        self.disconnect()
        for i in range(self.links_count):
            free(self.links[i].rest)
            free(self.links[i].out)
            free(self.links[i].next)
            free(self.links[i].batch)
        if self.poll > 0:
            close(self.poll)
        free(self.links)
        free(self.buffer)
        free(self.events)

    cdef void disconnect(self) noexcept:
        cdef int i
        for i in range(self.links_count):
            if self.links[i].fd >= 0:
                close(self.links[i].fd)
                self.links[i].fd = -1

    def close(self):
        """Close all connections, by reset, so that no local port stays in TIME_WAIT."""
        self.disconnect()

    # ---- connecting -------------------------------------------------------------------------------------------------

    def connect(self, str role, int count, *, int port, bytes hello, int first=0, double deadline_s=60.0):
        """Open ``count`` connections, send ``hello`` (CONNECT and SUB lines) and wait for each to be answered.

        They are numbered from ``first``. A requester or collector subscribes to its own inbox besides. Returns the
        seconds it took.
        """
        cdef int target = self.ready + count, begun = self.ready, opened = 0, kind = ROLES[role]
        cdef uint64_t start = clock_ns(CLOCK_MONOTONIC), deadline = start + <uint64_t>(deadline_s * 1e9)
        if self.links_count + count > self.links_max:
            raise ValueError("more connections than links_max")
        self.hello = hello
        self.hello_at, self.hello_length = self.hello, len(hello)
        with nogil:
            while self.ready < target and not self.faulty:
                while opened < count and opened - (self.ready - begun) < CONNECTING_MAX and not self.faulty:
                    self.open_link(kind, first + opened, port)
                    opened += 1
                self.pump(100)
                if clock_ns(CLOCK_MONOTONIC) > deadline:
                    self.fail(b"connecting: not all connections were answered in time", NULL, NULL, 0)
        self.check()
        return (clock_ns(CLOCK_MONOTONIC) - start) / 1e9

    def adopt(self, str role, int fd):
        """Take over a non-blocking descriptor on which CONNECT, the SUB lines and PING were answered already."""
        cdef Link *link
        if self.links_count == self.links_max:
            raise ValueError("more connections than links_max")
        link = self.prepare(ROLES[role], fd, self.count(ROLES[role]))
        link.state = READY
        self.ready += 1
        if bench_watch(self.poll, fd, EPOLL_CTL_ADD, EPOLLIN, link) < 0:
            raise OSError(errno, "epoll_ctl")

    cdef int count(self, int role) noexcept nogil:
        cdef int i, found = 0
        for i in range(self.links_count):
            if self.links[i].role == role:
                found += 1
        return found

    cdef Link *prepare(self, int role, int fd, int number) noexcept nogil:
        cdef Link *link = &self.links[self.links_count]
        self.links_count += 1
        memset(link, 0, sizeof(Link))
        link.fd, link.role, link.number = fd, role, number
        return link

    cdef void open_link(self, int role, int number, int port) noexcept nogil:
        cdef Link *link
        cdef int fd = bench_connect(port, number)
        if fd < 0:
            self.fail(strerror(errno), NULL, b"connect", 7)
            return
        link = self.prepare(role, fd, number)
        if bench_watch(self.poll, fd, EPOLL_CTL_ADD, EPOLLIN, link) < 0:
            self.fail(strerror(errno), link, b"epoll_ctl", 9)

    cdef void greet(self, Link *link) noexcept nogil:
        cdef char reply[REPLY_LENGTH]
        self.append(link, self.hello_at, self.hello_length)
        if link.role == REQUESTER or link.role == COLLECTOR:
            self.write_reply(reply, link, 0)
            self.append(link, b"SUB ", 4)
            self.append(link, reply, INBOX_LENGTH)
            self.append(link, b"* 1\r\n", 5)
        self.append(link, b"PING\r\n", 6)
        link.state = GREETED

    cdef void write_reply(self, char *at, Link *link, uint64_t sequence) noexcept nogil:
        memcpy(at, b"_INBOX.gossamerbench", 20)
        write_digits(at + 20, 9, <uint64_t>link.number)
        at[29] = c"."
        write_digits(at + INBOX_LENGTH, REPLY_LENGTH - INBOX_LENGTH, sequence)

    # ---- moving bytes -----------------------------------------------------------------------------------------------

    cdef void fail(self, const char *what, Link *link, const char *sample, size_t length) noexcept nogil:
        """Keep the first fault, with up to 120 bytes of what was read."""
        cdef int number = -1, role = -1, shown = 120 if length > 120 else <int>length
        cdef unsigned long long expected = 0
        if self.faulty:
            return
        self.faulty = True
        if link != NULL:
            number, role = link.number, link.role
            if link.next != NULL:
                expected = link.next[0]
        if sample == NULL:
            sample = b""
        snprintf(self.fault, sizeof(self.fault), b"%s (connection %d of role %d, next number %llu): %.*s",
                 what, number, role, expected, shown, sample)

    cdef object check(self):
        if self.faulty:
            raise LoadError(self.fault.decode("utf-8", "backslashreplace"))

    cdef void append(self, Link *link, const char *at, size_t length) noexcept nogil:
        cdef size_t room
        cdef char *grown
        if link.out_end + length > link.out_room:
            room = max(link.out_room * 2, link.out_end + length + 512)
            grown = <char *>realloc(link.out, room)
            if grown == NULL:
                self.fail(b"no memory", link, NULL, 0)
                return
            link.out, link.out_room = grown, room
        memcpy(link.out + link.out_end, at, length)
        link.out_end += length

    cdef size_t offer(self, Link *link, const char *at, size_t length) noexcept nogil:
        """Send what the socket takes; watch EPOLLOUT when it takes less."""
        cdef ssize_t took = send(link.fd, at, length, MSG_NOSIGNAL)
        if took < 0:
            if errno != EAGAIN and errno != EINTR:
                self.fail(strerror(errno), link, b"send", 4)
                return 0
            took = 0
        if <size_t>took < length and not link.blocked:
            link.blocked = True
            bench_watch(self.poll, link.fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT, link)
        return <size_t>took

    cdef void flush(self, Link *link) noexcept nogil:
        if link.blocked or link.batch_start < link.batch_end or link.out_start == link.out_end:
            return
        link.out_start += self.offer(link, link.out + link.out_start, link.out_end - link.out_start)
        if link.out_start == link.out_end:
            link.out_start = link.out_end = 0

    cdef void pump(self, int timeout_ms) noexcept nogil:
        """One turn of the loop: wait, then read and write what is possible."""
        cdef int i, found = epoll_wait(self.poll, self.events, EVENTS, timeout_ms)
        cdef Link *link
        for i in range(found):
            link = <Link *>self.events[i].data.ptr
            if self.events[i].events & EPOLLOUT:
                link.blocked = False
                bench_watch(self.poll, link.fd, EPOLL_CTL_MOD, EPOLLIN, link)
                self.flush(link)
            if self.events[i].events & ~<uint32_t>EPOLLOUT:
                self.read(link)
            if self.faulty:
                return

    cdef void read(self, Link *link) noexcept nogil:
        cdef size_t length = link.rest_length, rest
        cdef ssize_t got
        cdef char *end
        cdef char *stop
        cdef char *grown
        if length:
            memcpy(self.buffer, link.rest, length)
        got = recv(link.fd, self.buffer + length, READ_BYTES, 0)
        if got <= 0:
            if got == 0:
                self.fail(b"the server closed the connection", link, link.rest, link.rest_length)
            elif errno != EAGAIN and errno != EINTR:
                self.fail(strerror(errno), link, b"recv", 4)
            return
        end = self.buffer + length + got
        stop = self.take(link, self.buffer, end)
        rest = end - stop
        if rest > READ_BYTES:
            self.fail(b"a line without end", link, stop, rest)
            return
        if rest > link.rest_room:
            grown = <char *>realloc(link.rest, rest + 64)
            if grown == NULL:
                self.fail(b"no memory", link, NULL, 0)
                return
            link.rest, link.rest_room = grown, rest + 64
        if rest:
            memcpy(link.rest, stop, rest)
        link.rest_length = rest
        self.flush(link)

    cdef char *take(self, Link *link, char *at, char *end) noexcept nogil:
        """Take what is complete between ``at`` and ``end``; return where the rest begins."""
        while at < end and self.take_line(link, &at, end):
            pass
        return at

    cdef bint take_line(self, Link *link, char **at, char *end) noexcept nogil:
        """Take one line that is no message; False when its end, or a message's, has not come yet."""
        cdef char *line = at[0]
        cdef size_t length
        cdef char *found = <char *>memchr(line, c"\n", end - line)
        if found == NULL or self.faulty:
            return False
        length = found + 1 - line
        if length == 6 and bench_same(line, b"PING\r\n", 6):
            self.append(link, b"PONG\r\n", 6)
        elif length == 6 and bench_same(line, b"PONG\r\n", 6):
            if link.state == GREETED:
                link.state = READY
                self.ready += 1
            elif link.waiting:
                link.waiting = False
                self.waiting -= 1
            else:
                self.fail(b"PONG without PING", link, line, length)
        elif length > 5 and bench_same(line, b"INFO ", 5):
            if link.state == NEW:
                self.greet(link)
        else:
            self.fail(b"unexpected", link, line, length)
        at[0] = found + 1
        return True
