# cython: language_level=3
"""What epoll watches, and how."""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from gossamer.mesh.engine.types cimport Core, Listener

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    uint32_t EPOLLIN
    uint32_t EPOLLOUT
    uint32_t EPOLLET
    uint32_t EPOLLRDHUP


cdef int watch(Core* core, int descriptor, void* owner) noexcept nogil:
    """Report the descriptor, both ways and edge-triggered; 0, or -1 with errno."""
    cdef epoll_event event
    memset(&event, 0, sizeof(event))
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
    event.data.ptr = owner
    return epoll_ctl(core.poll_descriptor, EPOLL_CTL_ADD, descriptor, &event)


cdef void unwatch(Core* core, int descriptor) noexcept nogil:
    cdef epoll_event event
    memset(&event, 0, sizeof(event))
    epoll_ctl(core.poll_descriptor, EPOLL_CTL_DEL, descriptor, &event)


cdef void listener_watch(Core* core, Listener* listener) noexcept nogil:
    """A listener stays reported while connections wait."""
    cdef epoll_event event
    memset(&event, 0, sizeof(event))
    event.events = EPOLLIN
    event.data.ptr = <void*>(<size_t>listener | <size_t>LISTENER_BIT)
    epoll_ctl(core.poll_descriptor, EPOLL_CTL_ADD, listener.descriptor, &event)
