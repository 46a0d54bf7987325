# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Buffer, Core, Link, Subscription, Terminal

cdef struct LinkView:
    int64_t number[13]


cdef struct SubscriptionView:
    int64_t number[6]
    uint32_t size[3]


cdef struct GatewayView:
    uint32_t name_size
    uint8_t mode
    uint32_t plain
    uint32_t queues
    uint32_t refused


cdef void view_link(Link* link, LinkView* view) noexcept nogil
cdef object link_statistics(LinkView* view)
cdef void view_subscription(Buffer* views, Subscription* one) noexcept nogil
cdef void view_terminal(Buffer* views, Terminal* terminal, int64_t* room) noexcept nogil
cdef list subscription_details(Buffer* views)
cdef void view_gateway(Core* core, Link* link, Buffer* views) noexcept nogil
cdef list gateway_details(Buffer* views)
