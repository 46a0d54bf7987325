"""What an engine holds goes back to nothing, and the same seed with the same bytes does the same."""

import gc
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from memory_node import MemoryNode

from gossamer.mesh.engine.core import Engine
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.reference import Admission, ReferencePermissions

LINKS = 10_000
#: What the process may keep of that: allocators round up and keep some for next time.
KEPT_BYTES_PER_LINK = 200
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")


def resident_bytes() -> int:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def one_generation(node: MemoryNode, links: int) -> None:
    """Open that many links, use each a little, close them in different ways."""
    opened = []
    for number in range(links):
        link = node.engine.open(kind=LinkKind.CLIENT, listener=node.clients)
        node.admissions[link] = Admission(account=b"A" if number % 2 else b"B", headers=True)
        stream = b"CONNECT {}\r\nSUB a.%d 1\r\nSUB a.* q 2\r\nPUB a.%d 3\r\nabc\r\nPUB x 9\r\nha"
        node.engine.feed(link, stream % (number, number))
        opened.append(link)
        if len(opened) % 500 == 0:
            node.settle()
    node.settle()
    for place, link in enumerate(opened):
        if place % 3 == 0:
            node.engine.feed(link, b"", end=True)
        elif place % 3 == 1:
            node.engine.close(link, reason=CloseReason.KICKED, flush=False)
        else:
            node.engine.feed(link, b"lf a!\r\nGARBAGE\r\n")
    node.settle()
    assert node.closed.issuperset(opened)
    node.output.clear()
    node.closed.clear()
    node.reasons.clear()
    node.events.clear()
    node.admissions.clear()


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's allocator keeps freed memory in quarantine")
def test_ten_thousand_links_leave_nothing_behind() -> None:
    node = MemoryNode()
    for _ in range(3):  # tables grow once, the allocator finds its level
        one_generation(node, LINKS // 5)
    gc.collect()
    before = resident_bytes()
    for _ in range(5):
        one_generation(node, LINKS // 5)
    totals = node.engine.totals()
    assert (totals.links, totals.subscriptions, totals.pending_bytes, totals.mailbox_bytes) == (0, 0, 0, 0)
    assert all(one.subscriptions == 0 for one in node.engine.accounts())
    gc.collect()
    assert resident_bytes() - before < LINKS * KEPT_BYTES_PER_LINK
    node.finish()


@pytest.mark.skipif(SANITIZED, reason="the sanitizer's allocator keeps freed memory in quarantine")
def test_engines_free_what_they_had() -> None:
    """Destroyed in the middle of everything: links open, output queued, messages waiting for Python."""

    def once() -> None:
        node = MemoryNode()
        node.engine.subscribe(node.account(b"A"), b">")
        permissions = ReferencePermissions(publish_allow=(b"a.>",), subscribe_deny=((b"b", b""),), response_max=1)
        for number in range(10):
            link = node.open_raw(Admission(account=b"A", permissions=permissions))
            node.feed(
                link, b"CONNECT {}\r\nSUB > 1\r\nPUB a.%d 100000\r\n" % number + b"x" * 100_000 + b"\r\nPUB a 5\r\n1"
            )
        node.engine.destroy()
        del node
        gc.collect()

    for _ in range(3):
        once()
    gc.collect()
    before = resident_bytes()
    for _ in range(20):
        once()
    gc.collect()
    assert resident_bytes() - before < 20 << 20


def test_accounts_and_permission_sets_go_when_removed() -> None:
    node = MemoryNode()
    for number in range(2000):
        account = node.engine.account(b"account-%d" % number)
        permissions = node.engine.permissions(publish_allow=(b"a",), subscribe_deny=((b"b", b"q"),))
        node.engine.remove_permissions(permissions)
        node.engine.remove_account(account)
    node.settle()
    assert node.engine.accounts() == []
    again = node.engine.account(b"account-1")
    node.settle()
    assert [(one.account, one.name) for one in node.engine.accounts()] == [(again, b"account-1")]
    node.finish()


def test_a_removed_account_lives_as_long_as_its_last_link() -> None:
    node = MemoryNode()
    link = node.open_raw(Admission(account=b"A"))
    node.feed(link, b"CONNECT {}\r\nSUB a 1\r\n")
    node.engine.remove_account(node.account(b"A"))
    assert node.feed(link, b"PUB a 1\r\nx\r\n") == b"MSG a 1 1\r\nx\r\n"
    node.feed(link, b"", end=True)
    assert node.engine.accounts() == []
    node.finish()


def life(seed: int) -> list[object]:
    """Every event and step of a small life with choices in it."""
    node = MemoryNode(seed=seed)
    links = [node.open_raw(Admission(account=b"A")) for _ in range(5)]
    said: list[object] = []
    said += [node.feed(link, b"CONNECT {}\r\nSUB a q 1\r\n") for link in links]
    node.engine.feed(links[0], b"PUB a 1\r\nx\r\n" * 300)
    for _ in range(30):
        node.now_ns += 500_000_000
        said.append(node.engine.step(node.now_ns))
        said += node.engine.drain()
    said += node.events
    node.finish()
    return said


def test_the_same_seed_does_the_same() -> None:
    assert life(7) == life(7)
    assert life(7) != life(8)


def test_calls_about_what_is_gone_have_no_effect() -> None:
    engine = Engine(seed=1)
    for link in (0, 1, 99, 2**40):
        engine.feed(link, b"x")
        engine.send(link, b"x")
        engine.close(link, reason=CloseReason.KICKED)
        engine.ping(link)
        engine.resume(link)
        engine.admit(link, account=1)
        engine.admit_route(link)
        engine.join_route(link, node=1, headers=True)
        engine.change(link, permissions=3)
        engine.expire(link, at_ns=5, reason=CloseReason.KICKED, error=b"")
        assert engine.link(link) is None
    engine.unsubscribe(12)
    engine.publish(5, b"a", b"x")
    engine.remove_account(9)
    engine.remove_permissions(9)
    engine.close_listener(9)
    engine.set_info(9, (b"x",))
    engine.step(1)
    assert engine.drain() == []
    engine.destroy()


def test_slow_consumer_by_pending_bytes() -> None:
    """A socket nobody reads: cut at ``max_pending``, without a word; the others do not notice (section 16)."""
    node = MemoryNode()
    node.engine.configure(max_pending=1 << 20)
    slow_end, other_end = socket.socketpair()
    other_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    slow = node.engine.adopt(other_end.detach(), kind=LinkKind.CLIENT, listener=node.clients)
    node.admissions[slow] = Admission(account=b"A")
    slow_end.sendall(b"CONNECT {}\r\nSUB a 1\r\n")
    node.settle()
    good = node.open_raw(Admission(account=b"A"))
    node.feed(good, b"CONNECT {}\r\nSUB a 1\r\n")
    publisher = node.open_raw(Admission(account=b"A"))
    node.feed(publisher, b"CONNECT {}\r\n")
    message = b"PUB a 100000\r\n" + b"x" * 100_000 + b"\r\n"
    received = 0
    for _ in range(40):
        node.engine.feed(publisher, message)
        for _ in range(20):
            node.now_ns += 20_000_000  # stalls are let go
            node.settle()
        received += len(node.take(good).replace(b"PING\r\n", b""))
    assert slow in node.closed
    assert node.reasons[slow].reason == CloseReason.SLOW_CONSUMER_PENDING_BYTES
    assert received == 40 * len(b"MSG a 1 100000\r\n" + b"x" * 100_000 + b"\r\n")
    assert node.engine.totals().slow_consumers[LinkKind.CLIENT] == 1
    slow_end.close()
    node.finish()


def test_slow_consumer_by_write_deadline() -> None:
    node = MemoryNode()
    node.engine.configure(write_deadline_ns=2_000_000_000)
    slow_end, other_end = socket.socketpair()
    other_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    slow = node.engine.adopt(other_end.detach(), kind=LinkKind.CLIENT, listener=node.clients)
    node.admissions[slow] = Admission(account=b"A")
    slow_end.sendall(b"CONNECT {}\r\nSUB a 1\r\n")
    node.settle()
    publisher = node.open_raw(Admission(account=b"A"))
    node.feed(publisher, b"CONNECT {}\r\nPUB a 900000\r\n" + b"x" * 900_000 + b"\r\n")
    node.pass_time(1_500_000_000)
    assert slow not in node.closed
    node.pass_time(1_000_000_000)
    assert slow in node.closed
    assert node.reasons[slow].reason == CloseReason.SLOW_CONSUMER_WRITE_DEADLINE
    slow_end.close()
    node.finish()


@pytest.mark.parametrize("retried", [True, False])
def test_who_takes_little_stays_if_it_is_retried(retried: bool) -> None:
    """The kernel tells of room only when a third of the buffer is free: less than that counts as taken, too."""
    node = MemoryNode()
    node.engine.configure(write_deadline_ns=2_000_000_000, retry_writes=retried)
    slow_end, other_end = socket.socketpair()
    other_end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    slow = node.engine.adopt(other_end.detach(), kind=LinkKind.CLIENT, listener=node.clients)
    node.admissions[slow] = Admission(account=b"A")
    slow_end.sendall(b"CONNECT {}\r\nSUB a 1\r\n")
    node.settle()
    publisher = node.open_raw(Admission(account=b"A"))
    node.feed(publisher, b"CONNECT {}\r\n")
    for _ in range(5):
        node.feed(publisher, b"PUB a 900000\r\n" + b"x" * 900_000 + b"\r\n")
    for _ in range(3):
        slow_end.recv(1 << 16)
        node.pass_time(2_100_000_000)
        assert (slow in node.closed) is not retried
    node.pass_time(2_100_000_000)
    node.pass_time(2_100_000_000)
    assert slow in node.closed  # it took nothing any more
    assert node.reasons[slow].reason == CloseReason.SLOW_CONSUMER_WRITE_DEADLINE
    slow_end.close()
    node.finish()


def test_pending_budget_cuts_the_worst() -> None:
    """All links together may not hold more than the budget: whoever holds most goes."""
    node = MemoryNode()
    node.engine.configure(pending_budget=2 << 20)
    ends = []
    slow = []
    for _ in range(4):
        near, far = socket.socketpair()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        slow.append(node.engine.adopt(far.detach(), kind=LinkKind.CLIENT, listener=node.clients))
        node.admissions[slow[-1]] = Admission(account=b"A")
        near.sendall(b"CONNECT {}\r\nSUB a 1\r\n")
        ends.append(near)
    node.settle()
    publisher = node.open_raw(Admission(account=b"A"))
    node.feed(publisher, b"CONNECT {}\r\n")
    for _ in range(30):
        node.engine.feed(publisher, b"PUB a 100000\r\n" + b"x" * 100_000 + b"\r\n")
        node.pass_time(20_000_000)
        assert node.engine.totals().pending_bytes < 4 << 20
    assert node.closed & set(slow)
    assert node.feed(publisher, b"PING\r\n").endswith(b"PONG\r\n")
    for end in ends:
        end.close()
    node.finish()


def placeholder_life() -> None:
    """Also when the tables grow afterwards, and when the engine is destroyed."""
    node = MemoryNode()
    node.engine.configure(placeholder_accounts=True)
    route = node.join_raw()
    for number in range(40):
        node.feed(route, b"RS+ later-%d a\r\n" % number)
    for number in range(40):
        node.account(b"later-%d" % number)
    for number in range(200):
        node.account(b"more-%d" % number)
    local = node.open_raw(Admission(account=b"later-3"))
    node.feed(local, b"CONNECT {}\r\nPUB a 1\r\nx\r\n")
    assert node.take(route).endswith(b"RMSG later-3 a 1\r\nx\r\n")
    last = node.open_raw(Admission(account=b"more-199"))
    assert node.feed(last, b"CONNECT {}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n") == b"MSG a 1 1\r\nx\r\n"
    node.finish()


def test_placeholder_that_becomes_known_is_one_account() -> None:
    """In a process of its own: a ring in the engine's tables could not be interrupted here."""
    script = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_life as life; "
    subprocess.run([sys.executable, "-c", script + "life.placeholder_life()"], timeout=30, check=True)
