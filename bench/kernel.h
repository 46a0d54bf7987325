/* What the load generator needs of the kernel and the processor, beside what Cython declares. */

#pragma once
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
