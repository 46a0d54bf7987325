"""Random lives of accounts that share: imports come and go between messages, subscriptions and ends of clients.

Two things must hold whatever happens: an account that nobody shares with hears nothing of the others, and what is
heard was said. Under the sanitizers this is also the search for what is used after its end.
"""

import random
import re

import pytest
from test_sharing import Bench, program

from gossamer.mesh.engine.kinds import CloseReason

SUBJECTS = ("a", "a.b", "a.b.c", "b.x", "ask.x", "svc.y", "x.y.z")
PATTERNS = (*SUBJECTS, "a.*", "a.>", "*.x", ">", "_R_.>")
#: Local or exporter's pattern, and the other side made from it.
SHARED = (("a.*", "b.$1"), ("ask.*", "svc.$1"), ("a.>", "imp.>"), ("b.x", "a.b"), ("x.*.*", "a.$2.$1"), ("svc.y", "a"))
MAPPED = (("a", "b.x"), ("a.*", "x.$1.$1"), ("svc.*", "svc.mapped.$1"), ("x.>", "a.>"))


class Life:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = Bench()
        engine = self.bench.engine
        engine.configure(ping_interval_ns=0)
        self.accounts = [engine.account(name) for name in (b"A", b"B", b"C")]
        self.apart = engine.account(b"apart")
        self.imports: list[int] = []
        self.links: dict[int, int] = {}
        self.hermit = self.bench.client(self.apart)
        self.bench.say(self.hermit, b"SUB > 1\r\n")
        self.said = 0

    def live(self, steps: int) -> None:
        acts = (self.join, self.subscribe, self.subscribe, self.unsubscribe, self.publish, self.publish, self.publish,
                self.share, self.end_share, self.map, self.leave, self.answer, self.pass_time)  # fmt: skip
        for _ in range(steps):
            self.random.choice(acts)()
            assert self.bench.heard(self.hermit) == b""

    def some_link(self) -> int:
        return self.random.choice(list(self.links)) if self.links else self.join()

    def join(self) -> int:
        if len(self.links) == 8:
            return self.some_link()
        account = self.random.choice(self.accounts)
        link = self.bench.client(account, headers=self.random.random() < 0.7)
        self.links[link] = account
        return link

    def subscribe(self) -> None:
        queue = self.random.choice(("", "", "q1 ", "q2 "))
        line = f"SUB {self.random.choice(PATTERNS)} {queue}{self.random.randrange(6)}\r\n"
        self.bench.say(self.some_link(), line.encode())

    def unsubscribe(self) -> None:
        after = self.random.choice(("", " 1", " 3"))
        self.bench.say(self.some_link(), f"UNSUB {self.random.randrange(6)}{after}\r\n".encode())

    def publish(self) -> None:
        size = self.random.choice((0, 3, 300, 9_000))
        reply = self.random.choice(("", "", "a.b ", "inbox.1 "))
        payload = b"%08d" % self.said + b"x" * size
        self.said += 1
        line = f"PUB {self.random.choice(SUBJECTS)} {reply}{len(payload)}\r\n".encode()
        self.bench.say(self.some_link(), (line + payload + b"\r\n") * self.random.choice((1, 1, 3)))

    def share(self) -> None:
        one, other = self.random.sample(self.accounts, 2)
        source, made = self.random.choice(SHARED)
        engine = self.bench.engine
        if self.random.random() < 0.5:
            number = engine.stream_import(one, exporter=other, subject=source.encode(), program=program(made))
        else:
            number = engine.service_import(
                one,
                local=source.encode(),
                exporter=other,
                program=program(made),
                response=self.random.randrange(3),
                threshold_ns=self.random.choice((0, 50_000_000)),
                sampling=self.random.choice((-1, 0, 50, 100)),
                share=self.random.random() < 0.5,
            )
        self.imports.append(number)

    def end_share(self) -> None:
        if self.imports:
            number = self.imports.pop(self.random.randrange(len(self.imports)))
            self.bench.engine.remove_import(number)

    def map(self) -> None:
        source, made = self.random.choice(MAPPED)
        weights = self.random.choice(([], [100], [40, 60], [30]))
        destinations = [(weight, program(made) if place == 0 else []) for place, weight in enumerate(weights)]
        self.bench.engine.mapping(self.random.choice(self.accounts), source.encode(), destinations)

    def leave(self) -> None:
        if len(self.links) > 3 and self.random.random() < 0.3:
            link = self.some_link()
            del self.links[link]
            if self.random.random() < 0.5:
                self.bench.engine.close(link, reason=CloseReason.CLIENT_CLOSED)
            else:
                self.bench.engine.feed(link, b"PUB a 3\r\nabc\r\nPUB ask.x a.b 1\r\n.\r\n", end=True)
            self.bench.settle()

    def answer(self) -> None:
        """Somebody publishes on whatever reply subjects somebody has seen, now or earlier."""
        for link in list(self.links):
            replies = re.findall(rb"_R_\.\w{6}\.\w{6}", self.bench.heard(link))
            for reply in replies[:3]:
                self.bench.say(link, b"PUB %b 2\r\nok\r\nPUB %b a.b 0\r\n\r\n" % (reply, reply))

    def pass_time(self) -> None:
        self.bench.now_ns += self.random.choice((1_000_000, 60_000_000, 130_000_000_000))
        self.bench.settle()
        self.links = {link: account for link, account in self.links.items() if self.bench.engine.link(link) is not None}


@pytest.mark.parametrize("seed", range(8))
def test_random_lives(seed: int) -> None:
    life = Life(seed)
    try:
        life.live(350)
        totals = life.bench.engine.totals()
        assert totals.in_messages >= life.said // 3
    finally:
        life.bench.engine.destroy()
