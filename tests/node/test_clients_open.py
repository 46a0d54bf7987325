"""Clients of an open server, from the first byte to the ring of closed ones."""

import json
from typing import Any

from gossamer.auth.settings import AccountLimits
from gossamer.mesh.engine.events import Closed, Hello
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.options.options import LimitOptions


def test_a_client_is_admitted_to_the_global_account(desk: Any) -> None:
    link = desk.hello(b'{"verbose":false,"pedantic":false,"protocol":1,"headers":true,"echo":false,"name":"x"}')
    admission = desk.admission(link)
    info = admission.pop("info_after_pong")
    assert admission == {
        "link": link,
        "account": desk.accounts.global_account.number,
        "permissions": 0,
        "verbose": False,
        "pedantic": False,
        "echo": False,
        "headers": True,
        "no_responders": False,
        "max_payload": -1,
        "max_subscriptions": -1,
        "reset": False,
    }
    found = json.loads(info[5:])
    assert found["remote_account"] == "$G"
    assert found["client_id"] == link
    assert desk.clients.find(link).name == "x"
    assert desk.accounts.global_account.clients == 1


def test_an_old_client_gets_no_further_info(desk: Any) -> None:
    assert desk.admission(desk.hello(b"{}"))["info_after_pong"] == b""


def test_a_client_may_leave_out_connect(desk: Any) -> None:
    admission = desk.admission(desk.hello(None))
    assert admission["verbose"]
    assert admission["pedantic"]
    assert admission["echo"]


def test_refusals(desk: Any) -> None:
    cases = {
        b"nonsense": (b"", CloseReason.PROTOCOL_VIOLATION),
        b'{"protocol":2}': (b"invalid client protocol", CloseReason.BAD_CLIENT_PROTOCOL_VERSION),
        b'{"protocol":-1}': (b"invalid client protocol", CloseReason.BAD_CLIENT_PROTOCOL_VERSION),
        b'{"no_responders":true}': (
            b"no responders requires headers support",
            CloseReason.NO_RESPONDERS_REQUIRES_HEADERS,
        ),
        b'{"account":"A"}': (b"Authorization Violation", CloseReason.AUTHENTICATION_VIOLATION),
        b'{"new_account":true}': (b"Authorization Violation", CloseReason.AUTHENTICATION_VIOLATION),
    }
    for connect, expected in cases.items():
        link = desk.hello(connect)
        assert desk.refusal(link) == expected, connect
        assert desk.admission(link) is None
    assert desk.accounts.global_account.clients == 0


def test_the_account_field_is_judged_before_the_protocol(desk: Any) -> None:
    link = desk.hello(b'{"protocol":9,"account":"A"}')
    assert desk.refusal(link) == (b"Authorization Violation", CloseReason.AUTHENTICATION_VIOLATION)


def test_no_responders_with_headers_is_fine(desk: Any) -> None:
    assert desk.admission(desk.hello(b'{"no_responders":true,"headers":true}'))["no_responders"]


def test_a_second_connect_drops_what_was_there(desk: Any) -> None:
    link = desk.hello(b'{"verbose":true}')
    desk.hello(b'{"verbose":false,"name":"later"}', link=link, again=True)
    admission = desk.admission(link)
    assert admission["reset"]
    assert not admission["verbose"]
    assert desk.clients.find(link).name == "later"
    assert desk.accounts.global_account.clients == 1


def test_a_full_account(desk: Any) -> None:
    desk.accounts.global_account.limits = AccountLimits(max_connections=1)
    first = desk.hello(b"{}")
    link = desk.hello(b"{}")
    assert desk.refusal(link) == (
        b"maximum account active connections exceeded",
        CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED,
    )
    desk.close(first)
    assert desk.admission(desk.hello(b"{}")) is not None


def test_the_strictest_limit_holds(make_desk: Any) -> None:
    desk = make_desk(limits=LimitOptions(max_subscriptions=50, max_payload=1000))
    desk.accounts.global_account.limits = AccountLimits(max_subscriptions=20, max_payload=10)
    admission = desk.admission(desk.hello(b'{"protocol":1}'))
    assert admission["max_subscriptions"] == 20
    assert admission["max_payload"] == 10
    assert json.loads(admission["info_after_pong"][5:])["max_payload"] == 10
    desk.accounts.global_account.limits = AccountLimits(max_subscriptions=70, max_payload=5000)
    admission = desk.admission(desk.hello(b'{"protocol":1}'))
    assert admission["max_subscriptions"] == 50
    assert admission["max_payload"] == -1


def test_a_closed_client_is_remembered(desk: Any) -> None:
    link = desk.hello(b'{"name":"x","lang":"l","version":"1"}')
    start = desk.clock.wall
    desk.clock.advance(2)
    desk.clients.ended(Closed(link, CloseReason.STALE_CONNECTION, b"Stale Connection", 1, 2, 3, 4, 5, 6, 7))
    assert desk.clients.find(link) is None
    (entry,) = desk.clients.closed
    assert (entry.link, entry.name, entry.lang, entry.version) == (link, "x", "l", "1")
    assert entry.start_ns == start
    assert entry.stop_ns == start + 2_000_000_000
    assert entry.reason is CloseReason.STALE_CONNECTION
    assert entry.error == "Stale Connection"
    assert entry.account == "$G"
    assert (entry.in_messages, entry.out_messages, entry.in_bytes, entry.out_bytes) == (1, 2, 3, 4)
    assert desk.accounts.global_account.clients == 0
    assert desk.clients.closed_by_reason[CloseReason.STALE_CONNECTION] == 1


def test_the_ring_of_closed_clients_is_bounded(make_desk: Any) -> None:
    desk = make_desk(limits=LimitOptions(max_closed_clients=2))
    links = [desk.hello(b"{}") for _ in range(3)]
    for link in links:
        desk.close(link)
    assert [entry.link for entry in desk.clients.closed] == links[1:]
    assert desk.clients.closed.total == 3


def test_an_event_of_a_link_that_is_gone_changes_nothing(desk: Any) -> None:
    link = desk.hello(b"{}")
    desk.close(link)
    calls = len(desk.engine.calls)
    desk.clients.hello(Hello(link, b"{}", False, b""))
    desk.close(link)
    assert len(desk.engine.calls) == calls


def test_kick(desk: Any) -> None:
    link = desk.hello(b"{}")
    assert desk.clients.kick(link)
    assert desk.refusal(link) == (b"", CloseReason.KICKED)
    assert not desk.clients.kick(9999)


def test_only_clients_that_understand_get_an_announcement(desk: Any) -> None:
    new, _old, _parked = desk.hello(b'{"protocol":1}'), desk.hello(b"{}"), desk.open()
    assert desk.welcome.change(connect_urls=("127.0.0.1:4222", "127.0.0.1:4223"))
    desk.clients.announce()
    (sent,) = desk.engine.of("send")
    assert sent["link"] == new
    assert sent["after_pong"]
    found = json.loads(sent["data"][5:])
    assert found["connect_urls"] == ["127.0.0.1:4222", "127.0.0.1:4223"]
    assert found["client_id"] == new
    assert "connect_info" not in found
    assert not desk.welcome.change(connect_urls=("127.0.0.1:4222", "127.0.0.1:4223"))


def test_handshakes_are_not_answered_in_lame_duck_mode(desk: Any) -> None:
    desk.clients.leaving = True
    link = desk.hello(b"{}")
    assert desk.admission(link) is None
    assert desk.refusal(link) is None


def test_log_lines_name_the_client(desk: Any) -> None:
    link = desk.hello(b'{"name":"n","lang":"py","version":"1.2","protocol":7}')
    assert any(
        f'127.0.0.1:5555 - cid:{link} - "v1.2:py:n" - invalid client protocol' in line for line in desk.lines.lines
    )
