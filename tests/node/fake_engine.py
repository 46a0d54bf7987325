"""The engine as the control plane sees it, without a data plane: it records calls and gives out what a test fed in."""

import os
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

LINK_ID, PEER_HOST, NONCE = 0, 1, 2


class FakeEngine:
    """Every programming call is kept in ``calls`` as (name, arguments). ``push`` puts an event into the mailbox."""

    def __init__(self, *, seed: int | None = None) -> None:
        self.seed = seed
        self.wakeup_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.mailbox: deque[Any] = deque()
        self.numbers = 0
        self.now_ns = 1_000_000_000
        self.link_statistics: list[Any] = []
        self.account_statistics: list[Any] = []
        self.details: list[Any] = []
        self._stopped = threading.Event()

    def push(self, event: Any) -> None:
        self.mailbox.append(event)
        os.eventfd_write(self.wakeup_fd, 1)

    def drain(self) -> list[Any]:
        try:
            os.eventfd_read(self.wakeup_fd)
        except BlockingIOError:
            pass
        found = list(self.mailbox)
        self.mailbox.clear()
        return found

    def of(self, name: str) -> list[dict[str, Any]]:
        """The arguments of all calls of that name."""
        return [arguments for called, arguments in self.calls if called == name]

    def last(self, name: str) -> dict[str, Any]:
        return self.of(name)[-1]

    def _note(self, name: str, /, **arguments: Any) -> None:
        self.calls.append((name, arguments))

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def run(self) -> None:
        self._note("run")
        self._stopped.wait(30)

    def stop(self) -> None:
        self._note("stop")
        self._stopped.set()

    def step(self, now_ns: int) -> int:
        self.now_ns = now_ns
        return -1

    def destroy(self) -> None:
        self._note("destroy")
        os.close(self.wakeup_fd)

    def configure(self, **arguments: Any) -> None:
        self._note("configure", **arguments)

    def listen(self, descriptor: int | None, **arguments: Any) -> int:
        number = self._number()
        self._note("listen", descriptor=descriptor, number=number, **arguments)
        if descriptor is not None:
            os.close(descriptor)
        return number

    def set_info(self, listener: int, info: Any) -> None:
        self._note("set_info", listener=listener, info=info)

    def close_listener(self, listener: int) -> None:
        self._note("close_listener", listener=listener)

    def open(self, **arguments: Any) -> int:
        number = self._number()
        self._note("open", number=number, **arguments)
        return number

    def feed(self, link: int, data: bytes, *, end: bool = False) -> None:
        self._note("feed", link=link, data=data, end=end)

    def admit(self, link: int, **arguments: Any) -> None:
        self._note("admit", link=link, **arguments)

    def change(self, link: int, *, permissions: int) -> None:
        self._note("change", link=link, permissions=permissions)

    def send(self, link: int, data: bytes, *, after_pong: bool = False) -> None:
        self._note("send", link=link, data=data, after_pong=after_pong)

    def close(self, link: int, **arguments: Any) -> None:
        self._note("close", link=link, **arguments)

    def expire(self, link: int, **arguments: Any) -> None:
        self._note("expire", link=link, **arguments)

    def ping(self, link: int) -> None:
        self._note("ping", link=link)

    def resume(self, link: int) -> None:
        self._note("resume", link=link)

    def account(self, name: bytes, *, dedicated_route: bool = False) -> int:
        number = self._number()
        self._note("account", name=name, dedicated_route=dedicated_route, number=number)
        return number

    def remove_account(self, account: int) -> None:
        self._note("remove_account", account=account)

    def permissions(self, **arguments: Any) -> int:
        number = self._number()
        self._note("permissions", number=number, **arguments)
        return number

    def remove_permissions(self, permissions: int) -> None:
        self._note("remove_permissions", permissions=permissions)

    def subscribe(self, account: int, subject: bytes, queue: bytes = b"") -> int:
        number = self._number()
        self._note("subscribe", account=account, subject=subject, queue=queue, number=number)
        return number

    def unsubscribe(self, subscription: int) -> None:
        self._note("unsubscribe", subscription=subscription)

    def publish(self, account: int, subject: bytes, data: bytes = b"", **arguments: Any) -> None:
        self._note("publish", account=account, subject=subject, data=data, **arguments)

    def service_import(self, account: int, **arguments: Any) -> int:
        number = self._number()
        self._note("service_import", account=account, number=number, **arguments)
        return number

    def stream_import(self, account: int, **arguments: Any) -> int:
        number = self._number()
        self._note("stream_import", account=account, number=number, **arguments)
        return number

    def remove_import(self, import_id: int) -> None:
        self._note("remove_import", import_id=import_id)

    def mapping(self, account: int, source: bytes, destinations: Any) -> None:
        self._note("mapping", account=account, source=source, destinations=destinations)

    def describe(self, link: int, front: bytes, back: bytes) -> None:
        self._note("describe", link=link, front=front, back=back)

    def totals(self) -> Any:
        return SimpleNamespace(
            in_messages=11,
            out_messages=12,
            in_bytes=13,
            out_bytes=14,
            links=len(self.link_statistics),
            subscriptions=15,
            slow_consumers=(1, 2, 3, 0, 4),
            stalled_clients=16,
            pending_bytes=17,
            mailbox_bytes=18,
            mailbox_dropped=19,
            cache_entries=20,
            cache_hits=30,
            cache_misses=10,
            now_ns=self.now_ns,
        )

    def links(self) -> list[Any]:
        return list(self.link_statistics)

    def link(self, link: int) -> Any:
        return next((entry for entry in self.link_statistics if entry.link == link), None)

    def accounts(self) -> list[Any]:
        return list(self.account_statistics)

    def subscriptions(self, **arguments: Any) -> list[Any]:
        return list(self.details)

    def matches(self, account: int, subject: bytes) -> list[Any]:
        return list(self.details)
