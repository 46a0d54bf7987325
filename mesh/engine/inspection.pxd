# cython: language_level=3
from libc.stdint cimport int64_t, uint32_t

from gossamer.mesh.engine.types cimport Buffer, Link, Subscription, Terminal

cdef struct LinkView:
    int64_t number[13]


cdef struct SubscriptionView:
    int64_t number[6]
    uint32_t size[3]


cdef void view_link(Link* link, LinkView* view) noexcept nogil
cdef object link_statistics(LinkView* view)
cdef void view_subscription(Buffer* views, Subscription* one) noexcept nogil
cdef void view_terminal(Buffer* views, Terminal* terminal, int64_t* room) noexcept nogil
cdef list subscription_details(Buffer* views)
