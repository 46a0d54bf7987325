# cython: language_level=3
"""Records of the engine, made into events for the control plane; on its thread."""

from gossamer.mesh.engine.types cimport (
    EVENT_ACCOUNT_SEEN,
    EVENT_CLOSED,
    EVENT_DENIED,
    EVENT_HELLO,
    EVENT_LATENCY,
    EVENT_MESSAGE,
    EVENT_OPENED,
    EVENT_OUTPUT,
    EVENT_PEER_ERROR,
    EVENT_PEER_INFO,
    EVENT_PONG,
    EVENT_SERVED,
    EVENT_TRACE,
    Buffer,
    Mail,
)

from gossamer.mesh.engine.events import (
    AccountSeen,
    Closed,
    Denied,
    Hello,
    Latency,
    Message,
    Opened,
    Output,
    PeerError,
    PeerInfo,
    Pong,
    Served,
    Trace,
)


cdef list decode(Buffer* taken):
    """Records to events."""
    cdef list events = []
    cdef size_t at = 0
    cdef Mail* mail
    cdef char* t0
    cdef char* t1
    cdef char* t2
    while at < taken.size:
        mail = <Mail*>(taken.data + at)
        t0 = taken.data + at + sizeof(Mail)
        t1 = t0 + mail.size[0]
        t2 = t1 + mail.size[1]
        at += sizeof(Mail) + ((<size_t>mail.size[0] + mail.size[1] + mail.size[2] + mail.size[3] + 7) & ~(<size_t>7))
        if mail.kind == EVENT_MESSAGE:
            event = Message(mail.number[0], mail.number[1], t0[:mail.size[0]], t1[:mail.size[1]], mail.number[2],
                            t2[:mail.size[2]], mail.number[3])
        elif mail.kind == EVENT_LATENCY:
            event = Latency(mail.number[0], mail.number[1], mail.number[2], mail.number[3], mail.number[4],
                            mail.number[5], mail.number[6], mail.number[7], t0[:mail.size[0]], t1[:mail.size[1]])
        elif mail.kind == EVENT_SERVED:
            event = Served(mail.number[0], mail.number[1], t0[:mail.size[0]], mail.number[2], mail.number[3],
                           mail.number[4])
        elif mail.kind == EVENT_OPENED:
            event = Opened(mail.number[0], mail.number[1], mail.number[2], t0[:mail.size[0]].decode("latin-1"),
                           mail.number[3])
        elif mail.kind == EVENT_HELLO:
            event = Hello(mail.number[0], t0[:mail.size[0]] if mail.number[2] else None, bool(mail.number[1]),
                          t1[:mail.size[1]])
        elif mail.kind == EVENT_CLOSED:
            event = Closed(mail.number[0], mail.number[1], t0[:mail.size[0]], mail.number[2], mail.number[3],
                           mail.number[4], mail.number[5], mail.number[6], mail.number[7], mail.number[8])
        elif mail.kind == EVENT_OUTPUT:
            event = Output(mail.number[0], t0[:mail.size[0]], bool(mail.number[1]))
        elif mail.kind == EVENT_PEER_INFO:
            event = PeerInfo(mail.number[0], t0[:mail.size[0]], t1[:mail.size[1]])
        elif mail.kind == EVENT_PEER_ERROR:
            event = PeerError(mail.number[0], t0[:mail.size[0]])
        elif mail.kind == EVENT_PONG:
            event = Pong(mail.number[0], mail.number[1])
        elif mail.kind == EVENT_DENIED:
            event = Denied(mail.number[0], mail.number[1], t0[:mail.size[0]], t1[:mail.size[1]], mail.number[2])
        elif mail.kind == EVENT_TRACE:
            event = Trace(mail.number[0], bool(mail.number[1]), t0[:mail.size[0]])
        elif mail.kind == EVENT_ACCOUNT_SEEN:
            event = AccountSeen(mail.number[0], t0[:mail.size[0]], mail.number[1], bool(mail.number[2]))
        else:
            raise AssertionError(f"unknown record {mail.kind} from the engine")
        events.append(event)
    return events
