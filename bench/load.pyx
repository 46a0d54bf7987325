# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The load generator: runs of traffic over one epoll thread that verifies every byte it is sent.

``connections`` moves bytes, ``traffic`` knows what must come, this module starts and ends the runs.

The server's CPU clock is read in here, at the first byte sent and after the last one verified, so neither the set-up
nor Python between the runs is in the figures.
"""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_MONOTONIC

import array

from connections import LoadError

from connections cimport COLLECTOR, PUBLISHER, REQUESTER, SCATTERED, SUBSCRIBER, Link
from kernel cimport CLOCK_THREAD_CPUTIME_ID, bench_process_ns, bench_set_u64, clock_ns
from traffic cimport PROBE, SENDER_SHIFT, Traffic

__all__ = ["Load", "LoadError"]


cdef enum:
    WINDOW_BYTES = 4 * 1024 * 1024  # published and not yet delivered: far above what a server takes in one turn
    PUBLISHERS_MAX = 64
    PIDS_MAX = 16


@cython.final
cdef class Load(Traffic):
    """Connections to one server (or one cluster) and the traffic over them.

    ``size`` is the payload in bytes (16 at least); ``subjects`` all have the same length; ``header`` is a whole header
    block (``NATS/1.0 ... CRLF CRLF``) or empty; with ``queue`` all subscribers are one queue group; ``heard`` are the
    subjects as they arrive and ``reply_heard`` the length of a reply subject as it arrives, where the server changes
    them; ``text`` (at least ``TEXT_PHASES`` payloads) replaces the pattern; ``pids`` are the server processes
    whose CPU time is summed. Every method raises ``LoadError``.
    """

    cdef int pids[PIDS_MAX]
    cdef int pids_count
    cdef uint64_t start_ns, start_server_ns, start_client_ns

    def __cinit__(self, *, pids=(), **others):
        if len(pids) > PIDS_MAX:
            raise ValueError("at most 16 processes can be watched")
        for pid in pids:
            self.pids[self.pids_count] = pid
            self.pids_count += 1

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

    def serve(self, double seconds):
        """Only answer what comes, for ``seconds``."""
        cdef uint64_t now = clock_ns(CLOCK_MONOTONIC), end = now + <uint64_t>(seconds * 1e9)
        with nogil:
            while now < end and not self.faulty:
                self.pump(<int>((end - now) // 1000000) + 1)
                now = clock_ns(CLOCK_MONOTONIC)
        self.check()

    def scatter(self, int others=0, double deadline_s=30.0):
        """One request, an answer from every scattered connection: those here, and ``others`` of other processes.

        The numbers of all together must be 0, 1, 2 and so on.
        """
        cdef uint64_t end, server, deadline
        cdef int i, repliers = self.count(SCATTERED) + others
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
