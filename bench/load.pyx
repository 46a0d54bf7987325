# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The load generator: one epoll thread on C structs that verifies every byte it is sent.

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
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcpy, memset, strerror
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close

import array


cdef extern from *:
    """
    #include <arpa/inet.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/epoll.h>
    #include <sys/socket.h>
    #include <time.h>

    /* Equality of short runs of bytes by overlapping loads: a call of memcmp costs more than the comparison. */
    static inline int bench_same(const char *a, const char *b, size_t n) {
        uint64_t p, q, r, s;
        if (n > 32 || n < 8) return memcmp(a, b, n) == 0;
        if (n > 16) {
            memcpy(&p, a + 8, 8); memcpy(&q, b + 8, 8);
            memcpy(&r, a + n - 16, 8); memcpy(&s, b + n - 16, 8);
            if ((p ^ q) | (r ^ s)) return 0;
        }
        memcpy(&p, a, 8); memcpy(&q, b, 8);
        memcpy(&r, a + n - 8, 8); memcpy(&s, b + n - 8, 8);
        return ((p ^ q) | (r ^ s)) == 0;
    }
    #define BENCH_NUMBER_MASK (((uint64_t)1 << 40) - 1)
    static inline uint64_t bench_u64(const char *at) { uint64_t v; memcpy(&v, at, 8); return v; }
    static inline void bench_set_u64(char *at, uint64_t v) { memcpy(at, &v, 8); }

    /* Source addresses change every 5,000 connections: the kernel is slow to find a free port beyond that. */
    static int bench_connect(int port, int number) {
        int on = 1;
        struct linger reset = {1, 0};
        struct sockaddr_in here, there;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) return -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        memset(&here, 0, sizeof here);
        here.sin_family = AF_INET;
        there = here;
        if (number >= 5000) {
            setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
            here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / 5000));
            bind(fd, (struct sockaddr *)&here, sizeof here);
        }
        there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        there.sin_port = htons((uint16_t)port);
        if (connect(fd, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS) { close(fd); return -1; }
        return fd;
    }
    static int bench_watch(int poll, int fd, int operation, uint32_t events, void *link) {
        struct epoll_event event;
        event.events = events;
        event.data.ptr = link;
        return epoll_ctl(poll, operation, fd, &event);
    }
    /* The clock of all threads of another process: what clock_getcpuclockid() would return. */
    static uint64_t bench_process_ns(int pid) {
        struct timespec t;
        if (clock_gettime((clockid_t)((~(unsigned)pid << 3) | 2), &t) < 0) return 0;
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    """
    const uint64_t NUMBER_MASK "BENCH_NUMBER_MASK"
    bint bench_same(const char *a, const char *b, size_t n) noexcept nogil
    uint64_t bench_u64(const char *at) noexcept nogil
    void bench_set_u64(char *at, uint64_t value) noexcept nogil
    int bench_connect(int port, int number) noexcept nogil
    int bench_watch(int poll, int fd, int operation, uint32_t events, void *link) noexcept nogil
    uint64_t bench_process_ns(int pid) noexcept nogil

    ctypedef union epoll_data_t:
        void *ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags) noexcept nogil
    int epoll_wait(int poll, epoll_event *events, int count, int timeout_ms) noexcept nogil
    ssize_t recv(int fd, void *at, size_t size, int flags) noexcept nogil
    ssize_t send(int fd, const void *at, size_t size, int flags) noexcept nogil
    const int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLLIN, EPOLLOUT, MSG_NOSIGNAL
    const int CLOCK_THREAD_CPUTIME_ID


cdef enum:
    EVENTS = 512
    READ_BYTES = 256 * 1024
    BATCH_BYTES = 256 * 1024
    WINDOW_BYTES = 4 * 1024 * 1024  # published and not yet delivered: far above what a server takes in one turn
    SENDER_SHIFT = 40
    CONNECTING_MAX = 256
    PUBLISHERS_MAX = 64
    PIDS_MAX = 8
    INBOX_LENGTH = 30               # "_INBOX." + 22 characters + "."
    REPLY_LENGTH = 40               # the inbox and 10 digits, a new subject for each request as real clients do
    PROBE = 0xFFFFFF                # the sender number of a probe

cdef enum Role:                     # what a connection does with what it is sent
    IDLE, PUBLISHER, SUBSCRIBER, REQUESTER, RESPONDER, SCATTERED, COLLECTOR

cdef enum State:
    NEW                             # waiting for INFO
    GREETED                         # hello sent, waiting for PONG
    READY

ROLES = {
    "idle": IDLE,
    "publisher": PUBLISHER,
    "subscriber": SUBSCRIBER,
    "requester": REQUESTER,
    "responder": RESPONDER,
    "scattered": SCATTERED,
    "collector": COLLECTOR,
}

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


cdef inline uint64_t clock_ns(int clock) noexcept nogil:
    cdef timespec t
    clock_gettime(clock, &t)
    return <uint64_t>t.tv_sec * 1000000000u + <uint64_t>t.tv_nsec


cdef void write_digits(char *at, int width, uint64_t value) noexcept nogil:
    while width > 0:
        width -= 1
        at[width] = <char>(48 + value % 10)
        value = value // 10


class LoadError(Exception):
    """The server lost, repeated, reordered or changed something, sent an error, hung up or took too long."""


@cython.final
cdef class Load:
    """Connections to one server (or one cluster) and the traffic over them.

    ``size`` is the payload in bytes (16 at least); ``subjects`` all have the same length; ``header`` is a whole header
    block (``NATS/1.0 ... CRLF CRLF``) or empty; with ``queue`` all subscribers are one queue group; ``heard`` are the
    subjects as they arrive and ``reply_heard`` the length of a reply subject as it arrives, where the server changes
    them; ``pids`` are the server processes whose CPU time is summed. Every method raises ``LoadError``.
    """

    cdef Link *links
    cdef int links_count, links_max
    cdef int ready                  # links in state READY
    cdef int poll
    cdef epoll_event *events
    cdef char *buffer
    cdef char fault[512]
    cdef bint faulty
    cdef int pids[PIDS_MAX]
    cdef int pids_count
    # What is sent and what must come back. The bytes objects own what the pointers show.
    cdef bytes hello, pub_heads_kept, msg_heads_kept, ask_kept, asked_kept, size_kept
    cdef char *hello_at
    cdef size_t hello_length
    cdef char *pattern
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
    cdef int waiting                # requesters without reply, publishers without PONG
    cdef uint8_t *seen              # queue group: a bit for each number; scatter: a byte for each replier
    cdef size_t seen_bytes
    cdef uint32_t *latencies
    cdef size_t latencies_count, latencies_room
    cdef uint64_t start_ns, start_server_ns, start_client_ns

    def __cinit__(
        self, *, int links_max, int size=16, subjects=(b"bench.msg",), heard=None, bytes header=b"", bint queue=False,
        int reply_heard=REPLY_LENGTH, pids=()
    ):
        if size < 16 or size > 65536 or len(pids) > PIDS_MAX:
            raise ValueError("size must be 16 to 65536, and at most 8 processes can be watched")
        if len({len(subject) for subject in subjects}) != 1:
            raise ValueError("all subjects must have the same length")
        self.poll = epoll_create1(0)
        if self.poll < 0:
            raise OSError(errno, "epoll_create1")
        self.links = <Link *>calloc(links_max, sizeof(Link))
        self.buffer = <char *>malloc(READ_BYTES * 2)
        self.events = <epoll_event *>malloc(EVENTS * sizeof(epoll_event))
        self.pattern = <char *>malloc(size + 64)
        if self.links == NULL or self.buffer == NULL or self.events == NULL or self.pattern == NULL:
            raise MemoryError
        self.links_max = links_max
        for pid in pids:
            self.pids[self.pids_count] = pid
            self.pids_count += 1
        for at in range(size + 64):
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
        # A multiple of 64, so that a frame's place in the batch decides its pattern.
        self.batch_frames = max(64, BATCH_BYTES // self.pub_frame // 64 * 64)
        self.ask_kept, self.asked_kept = b"PUB %b " % subjects[0], b"MSG %b 1 " % (heard or subjects)[0]
        self.size_kept = b" %d\r\n" % size
        self.ask, self.asked, self.size_line = self.ask_kept, self.asked_kept, self.size_kept
        self.ask_length, self.asked_length = len(self.ask_kept), len(self.asked_kept)
        self.size_line_length = len(self.size_kept)
        self.reply_heard = reply_heard
        self.request_frame = self.asked_length + self.reply_heard + self.size_line_length + self.size + 2
        self.reply_frame = 4 + REPLY_LENGTH + 2 + self.size_line_length + self.size + 2

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
        free(self.pattern)
        free(self.seen)
        free(self.latencies)

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

    def connect(self, str role, int count, *, int port, bytes hello, double deadline_s=60.0):
        """Open ``count`` connections, send ``hello`` (CONNECT and SUB lines) and wait for each to be answered.

        A requester or collector subscribes to its own inbox besides. Returns the seconds it took.
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
                    self.open_link(kind, opened, port)
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
        if link.role == SUBSCRIBER:
            stop = self.take_messages(link, self.buffer, end)
        elif link.role == RESPONDER or link.role == SCATTERED:
            stop = self.take_requests(link, self.buffer, end)
        elif link.role == REQUESTER or link.role == COLLECTOR:
            stop = self.take_replies(link, self.buffer, end)
        else:
            stop = self.buffer
            while stop < end and self.take_line(link, &stop, end):
                pass
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

    # ---- what comes in ----------------------------------------------------------------------------------------------

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

    cdef inline bint intact(self, const char *payload, uint64_t number) noexcept nogil:
        return (
            bench_same(payload + 8, self.pattern + (number & 63), self.size - 8)
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
        self.append(link, self.pattern + (link.sequence & 63), self.size - 8)
        self.append(link, b"\r\n", 2)
        link.waiting = True
        self.waiting += 1
        link.sent_ns = clock_ns(CLOCK_MONOTONIC)
        self.flush(link)

    cdef void write_payload(self, char *at, uint64_t number) noexcept nogil:
        memcpy(at + 8, self.pattern + (number & 63), self.size - 8)
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

    # ---- runs -------------------------------------------------------------------------------------------------------

    cdef void start(self) noexcept nogil:
        self.sent = self.delivered = 0
        self.start_server_ns = self.server_ns()
        self.start_client_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID)
        self.start_ns = clock_ns(CLOCK_MONOTONIC)

    cdef uint64_t server_ns(self) noexcept nogil:
        cdef int i
        cdef uint64_t total = 0
        for i in range(self.pids_count):
            total += bench_process_ns(self.pids[i])
        return total

    cdef dict outcome(self, uint64_t end, uint64_t server):
        self.check()
        return {
            "sent": self.sent,
            "delivered": self.delivered,
            "seconds": (end - self.start_ns) / 1e9,
            "server_cpu_s": (server - self.start_server_ns) / 1e9,
            "client_cpu_s": (clock_ns(CLOCK_THREAD_CPUTIME_ID) - self.start_client_ns) / 1e9,
        }

    cdef void begin_flood(self) noexcept nogil:
        cdef int i
        self.publishers, self.subscribers = self.count(PUBLISHER), self.count(SUBSCRIBER)
        for i in range(self.links_count):
            self.lay_out(&self.links[i])

    def probe(self, double deadline_s=10.0):
        """Publish single messages until every subscriber (of a queue group: one) has had the last: interest has spread.

        Messages between clustered nodes flow only once the subscription is known there, which PING does not tell.
        """
        cdef uint64_t number = 0, deadline = clock_ns(CLOCK_MONOTONIC) + <uint64_t>(deadline_s * 1e9), pause
        cdef int i, arrived, needed
        cdef char *frame
        self.begin_flood()
        needed = 1 if self.queue else self.subscribers
        frame = <char *>malloc(self.pub_frame)
        if frame == NULL:
            raise MemoryError
        memcpy(frame, self.pub_heads, self.pub_head)
        arrived = 0
        while arrived < needed and not self.faulty:
            number += self.subjects
            self.write_payload(frame + self.pub_head, number)
            bench_set_u64(frame + self.pub_head, (<uint64_t>PROBE << SENDER_SHIFT) | number)
            for i in range(self.links_count):
                if self.links[i].role == PUBLISHER and self.links[i].number == 0:
                    self.append(&self.links[i], frame, self.pub_frame)
                    self.flush(&self.links[i])
            # The earlier ones may still be on their way: only the last one's arrival means that none will follow.
            pause = clock_ns(CLOCK_MONOTONIC) + 20000000
            while arrived < needed and clock_ns(CLOCK_MONOTONIC) < pause and not self.faulty:
                self.pump(5)
                arrived = 0
                for i in range(self.links_count):
                    if self.links[i].role == SUBSCRIBER and self.links[i].probe == number:
                        arrived += 1
            if clock_ns(CLOCK_MONOTONIC) > deadline:
                self.fail(b"interest did not spread in time", NULL, NULL, 0)
        free(frame)
        self.check()

    def flood(self, double seconds, double grace_s=30.0):
        """Publish as fast as possible for ``seconds``, then wait until the last message is delivered and verified."""
        cdef uint64_t fan, end, now, server, deadline, window
        cdef int i, open_publishers, eager
        cdef bint publishing = True
        cdef Link *link
        cdef Link *publishers[PUBLISHERS_MAX]
        self.begin_flood()
        if not 1 <= self.publishers <= (1 if self.queue else PUBLISHERS_MAX):
            raise ValueError("1 to 64 publishers; exactly 1 for a queue group")
        fan = min(self.subscribers, 1) if self.queue else self.subscribers
        window = max(<uint64_t>WINDOW_BYTES // self.pub_frame, self.batch_frames * 2) * max(fan, <uint64_t>1)
        open_publishers = 0
        for i in range(self.links_count):
            if self.links[i].role == PUBLISHER:
                publishers[open_publishers] = &self.links[i]
                open_publishers += 1
        with nogil:
            self.start()
            end = self.start_ns + <uint64_t>(seconds * 1e9)
            deadline = end + <uint64_t>(grace_s * 1e9)
            self.waiting = open_publishers
            while not self.faulty and (self.waiting or self.delivered != self.sent * fan):
                now = clock_ns(CLOCK_MONOTONIC)
                publishing = publishing and now < end
                eager = 0
                for i in range(self.publishers):
                    link = publishers[i]
                    if link == NULL or link.blocked:
                        continue
                    if link.batch_start < link.batch_end or (
                        publishing and (fan == 0 or self.sent * fan - self.delivered < window)
                    ):
                        self.publish(link)
                        eager += not link.blocked
                    elif not publishing:
                        link.waiting = True
                        self.append(link, b"PING\r\n", 6)
                        self.flush(link)
                        publishers[i] = NULL
                self.pump(0 if eager else 10)
                if now > deadline:
                    self.fail(b"messages were lost: the run did not end in time", NULL, NULL, 0)
            end = clock_ns(CLOCK_MONOTONIC)
            server = self.server_ns()
        return self.outcome(end, server)

    def receive(self, uint64_t count, double deadline_s=10.0):
        """Only read and verify: ``count`` messages of publisher 0, of which somebody else takes care (selftest)."""
        cdef uint64_t deadline, server, end
        self.begin_flood()
        with nogil:
            self.start()
            deadline = self.start_ns + <uint64_t>(deadline_s * 1e9)
            while self.delivered < count and not self.faulty:
                self.pump(10)
                if clock_ns(CLOCK_MONOTONIC) > deadline:
                    self.fail(b"messages are missing", NULL, NULL, 0)
            end, server = clock_ns(CLOCK_MONOTONIC), self.server_ns()
        return self.outcome(end, server)

    def settle(self, double deadline_s=10.0):
        """PING on every connection and wait for the answers: nothing more may come. Not part of a measurement."""
        cdef uint64_t deadline = clock_ns(CLOCK_MONOTONIC) + <uint64_t>(deadline_s * 1e9), before = self.delivered
        cdef int i
        self.waiting = 0
        for i in range(self.links_count):
            self.links[i].waiting = True
            self.waiting += 1
            self.append(&self.links[i], b"PING\r\n", 6)
            self.flush(&self.links[i])
        while self.waiting and not self.faulty:
            self.pump(100)
            if clock_ns(CLOCK_MONOTONIC) > deadline:
                self.fail(b"a PING was not answered in time", NULL, NULL, 0)
        if self.delivered != before:
            self.fail(b"more messages than were sent", NULL, NULL, 0)
        self.check()

    def requests(self, double seconds, double grace_s=20.0):
        """Every requester asks, waits for the echo, asks again, for ``seconds``; ``latencies_ns`` is an array."""
        cdef uint64_t end, server, deadline
        cdef int i
        with nogil:
            self.latencies_count = 0
            self.waiting = 0
            self.start()
            self.repeat_until = self.start_ns + <uint64_t>(seconds * 1e9)
            deadline = self.repeat_until + <uint64_t>(grace_s * 1e9)
            for i in range(self.links_count):
                if self.links[i].role == REQUESTER:
                    self.request(&self.links[i])
            while self.waiting and not self.faulty:
                self.pump(100)
                if clock_ns(CLOCK_MONOTONIC) > deadline:
                    self.fail(b"a request was not answered in time", NULL, NULL, 0)
            end = clock_ns(CLOCK_MONOTONIC)
            server = self.server_ns()
        self.sent = self.delivered
        result = self.outcome(end, server)
        latencies = array.array("I")
        if self.latencies_count:
            latencies.frombytes((<char *>self.latencies)[:self.latencies_count * sizeof(uint32_t)])
        result["latencies_ns"] = latencies
        return result

    def scatter(self, double deadline_s=30.0):
        """One request, an answer from every scattered connection."""
        cdef uint64_t end, server, deadline
        cdef int i, repliers = self.count(SCATTERED)
        free(self.seen)
        self.seen = <uint8_t *>calloc(max(repliers, 1), 1)
        self.seen_bytes = repliers
        if self.seen == NULL:
            raise MemoryError
        with nogil:
            self.waiting = 0
            self.start()
            deadline = self.start_ns + <uint64_t>(deadline_s * 1e9)
            for i in range(self.links_count):
                if self.links[i].role == COLLECTOR:
                    self.request(&self.links[i])
            while self.waiting and not self.faulty:
                self.pump(100)
                if clock_ns(CLOCK_MONOTONIC) > deadline:
                    self.fail(b"a reply is missing", NULL, NULL, 0)
            end = clock_ns(CLOCK_MONOTONIC)
            server = self.server_ns()
        self.sent = 1
        return self.outcome(end, server)
