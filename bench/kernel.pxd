# cython: language_level=3, cdivision=True
"""Clocks, sockets and comparisons: ``kernel.h`` and system calls, as Cython sees them."""

from libc.stdint cimport uint32_t, uint64_t
from posix.time cimport clock_gettime, timespec


cdef extern from "kernel.h":
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


cdef inline uint64_t clock_ns(int clock) noexcept nogil:
    cdef timespec t
    clock_gettime(clock, &t)
    return <uint64_t>t.tv_sec * 1000000000u + <uint64_t>t.tv_nsec


cdef inline void write_digits(char *at, int width, uint64_t value) noexcept nogil:
    while width > 0:
        width -= 1
        at[width] = <char>(48 + value % 10)
        value = value // 10
