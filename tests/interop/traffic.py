"""What has to cross any mesh, written once: checks that take a mesh, with nats.py clients on every node."""

import asyncio
import itertools
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Self

import nats
import pytest
from meshes import Mesh
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

logging.getLogger("nats").setLevel(logging.CRITICAL)  # tests close connections under its feet
_numbers = itertools.count(1)
_PROBE = b"probe "


class Crowd:
    """Clients that are closed at the end, and a token that no other check has used in a subject."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.token = f"k{next(_numbers)}"
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def client(self, name: str, user: str = "a") -> nats.NATS:
        client = await nats.connect(
            self.mesh.nodes[name].url(user), allow_reconnect=False, connect_timeout=10, drain_timeout=1
        )
        self._stack.push_async_callback(client.close)
        return client

    async def everywhere(self, user: str = "a", *, but: Iterable[str] = ()) -> dict[str, nats.NATS]:
        """One client on each node, by its name."""
        return {name: await self.client(name, user) for name in self.mesh.nodes if name not in but}


class Listener:
    """A subscription that tells probes from messages. ``got``: sender and number, in the order heard."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.messages: list[Msg] = []
        self.probed: set[str] = set()
        self._subscription: Subscription

    async def on(self, client: nats.NATS, subject: str, queue: str = "") -> Self:
        self._subscription = await client.subscribe(subject, queue, cb=self._take)
        await client.flush()
        return self

    async def off(self, client: nats.NATS) -> None:
        await self._subscription.unsubscribe()
        await client.flush()

    async def _take(self, message: Msg) -> None:
        if message.data.startswith(_PROBE):
            self.probed.add(message.data.removeprefix(_PROBE).decode())
            return
        self.messages.append(message)
        sender, _, rest = message.data.partition(b" ")
        self.got.append((sender.decode(), int(rest.split(b" ", 1)[0])))

    def of(self, sender: str) -> list[int]:
        return [number for name, number in self.got if name == sender]


async def until(condition: Callable[[], bool], what: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for it; fail with a description after so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, what()
        await asyncio.sleep(0.01)


async def heard(
    listeners: dict[str, Listener],
    publishers: dict[str, nats.NATS],
    subject: Callable[[str], str],
    *,
    between: Callable[[str, str], bool] = lambda here, there: True,
    seconds: float = 20.0,
) -> None:
    """Until each listener has heard a new probe of each publisher; ``subject``: of probes for that listener;
    ``between``: does anything go to the first from the second?"""
    for listener in listeners.values():
        listener.probed.clear()
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while lacking := {
        (here, there)
        for here, each in listeners.items()
        for there in publishers
        if there not in each.probed and between(here, there)
    }:
        assert loop.time() < end, f"not heard: {sorted(lacking)}"
        for here, there in lacking:
            await publishers[there].publish(subject(here), _PROBE + there.encode())
        await asyncio.sleep(0.02)


async def all_hear(crowd: Crowd, clients: dict[str, nats.NATS], word: str = "all") -> None:
    """All that was subscribed to before is known everywhere: interest of one connection travels in order."""
    listeners = {
        name: await Listener().on(client, f"probe.{crowd.token}.{word}.{name}") for name, client in clients.items()
    }
    await heard(listeners, clients, lambda name: f"probe.{crowd.token}.{word}.{name}")


async def flush(clients: Iterable[nats.NATS]) -> None:
    for client in clients:
        await client.flush()


async def plain_messages(mesh: Mesh) -> None:
    """Everybody hears everybody, each message once, in order per publisher."""
    count = 150
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere()
        listeners = {name: await Listener().on(client, f"fan.{crowd.token}.>") for name, client in clients.items()}
        await heard(listeners, clients, lambda name: f"fan.{crowd.token}.{name}.probe")
        for number in range(count):
            for name, client in clients.items():
                await client.publish(f"fan.{crowd.token}.{name}", f"{name} {number}".encode())
        await flush(clients.values())
        total = count * len(clients)
        await until(
            lambda: all(len(each.got) >= total for each in listeners.values()),
            lambda: {name: Counter(sender for sender, _ in each.got) for name, each in listeners.items()},
        )
        await heard(listeners, clients, lambda name: f"fan.{crowd.token}.{name}.probe")  # overtakes nothing
        for name, each in listeners.items():
            for sender in clients:
                assert each.of(sender) == list(range(count)), f"{sender} heard at {name}"
            assert len(each.got) == total


async def groups_stay_near(mesh: Mesh) -> None:
    """Members everywhere: each message once, and in the publisher's own cluster or node."""
    count = 60
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere()
        subject = f"jobs.{crowd.token}"
        members = {name: await Listener().on(client, subject, "workers") for name, client in clients.items()}
        await all_hear(crowd, clients)
        await work_is_taken(subject, clients, members, count)
        for name, each in members.items():
            far = {sender for sender, _ in each.got if mesh.nodes[sender].home != mesh.nodes[name].home}
            assert not far, f"{name} got work of {far}"
        await all_hear(crowd, clients, "end")
        assert sum(len(each.got) for each in members.values()) == count * len(clients)


async def groups_elsewhere(mesh: Mesh) -> None:
    """Members in one cluster or node only: each message of all others reaches one of them; another group with the same
    subject, and who listens beside them, get theirs as well."""
    for home in mesh.pairing.homes:
        await _group_in(mesh, home, 40)


async def _group_in(mesh: Mesh, home: str, count: int) -> None:
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere()
        subject = f"jobs.{crowd.token}"
        here = [place.name for place in mesh.pairing.of_home(home)]
        members = {name: await Listener().on(clients[name], subject, "workers") for name in here}
        others = {name: await Listener().on(clients[name], subject, "others") for name in clients}
        plain = {name: await Listener().on(clients[name], subject) for name in clients}
        await all_hear(crowd, clients)
        await work_is_taken(subject, clients, members, count)
        total = count * len(clients)
        await until(
            lambda: (
                sum(len(each.got) for each in others.values()) >= total
                and all(len(each.got) >= total for each in plain.values())
            ),
            lambda: {
                name: (len(others[name].got), Counter(sender for sender, _ in plain[name].got)) for name in clients
            },
        )
        await all_hear(crowd, clients, "end")
        for listeners in (members, others):
            seen = Counter(itertools.chain.from_iterable(each.got for each in listeners.values()))
            assert len(seen) == total
            assert set(seen.values()) == {1}
        assert {name: len(each.got) for name, each in plain.items()} == dict.fromkeys(clients, total)


async def work_is_taken(subject: str, clients: dict[str, nats.NATS], members: dict[str, Listener], count: int) -> None:
    """Everybody publishes so many, and each is taken once."""
    for number in range(count):
        for name, client in clients.items():
            await client.publish(subject, f"{name} {number}".encode())
    await flush(clients.values())
    total = count * len(clients)
    await until(
        lambda: sum(len(each.got) for each in members.values()) >= total,
        lambda: {name: Counter(sender for sender, _ in each.got) for name, each in members.items()},
    )
    seen = Counter(itertools.chain.from_iterable(each.got for each in members.values()))
    assert len(seen) == total
    assert set(seen.values()) == {1}


async def headers_and_large_payloads(mesh: Mesh) -> None:
    """Headers, reply subjects and 900 KB arrive as they were."""
    large = bytes(range(256)) * 3516
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere()
        listeners = {name: await Listener().on(client, f"big.{crowd.token}") for name, client in clients.items()}
        await heard(listeners, clients, lambda name: f"big.{crowd.token}")
        for name, client in clients.items():
            for number, (reply, payload, fields) in enumerate(
                [
                    ("back.to", b"", {"A": "b", "Long-Name": "x" * 3000, "Blank": "with spaces, and: colons"}),
                    ("", large, None),
                    ("back.again", large, {"A": "b"}),
                ]
            ):
                data = f"{name} {number} ".encode() + payload
                await client.publish(f"big.{crowd.token}", data, reply=reply, headers=fields)
        await flush(clients.values())
        total = 3 * len(clients)
        await until(
            lambda: all(len(each.got) >= total for each in listeners.values()),
            lambda: {name: each.got for name, each in listeners.items()},
            60,
        )
        for name, each in listeners.items():
            for sender in clients:
                first, second, third = (m for m, (who, _) in zip(each.messages, each.got, strict=True) if who == sender)
                assert first.headers == {"A": "b", "Long-Name": "x" * 3000, "Blank": "with spaces, and: colons"}
                assert (first.reply, second.reply, third.reply) == ("back.to", "", "back.again"), f"{sender} at {name}"
                assert second.headers is None
                assert third.headers == {"A": "b"}
                assert second.data == f"{sender} 1 ".encode() + large
                assert third.data == f"{sender} 2 ".encode() + large
            assert len(each.got) == total


async def _answer(message: Msg) -> None:
    """A service. Probes, which have no reply subject, are not answered."""
    if message.reply:
        await message.respond(b"answer to " + message.data)


async def requests(mesh: Mesh) -> None:
    """Everybody asks a service on every node, as the first thing that its connection does; and a group of services."""
    async with Crowd(mesh) as crowd:
        services = await crowd.everywhere()
        for name, client in services.items():
            await client.subscribe(f"ask.{crowd.token}.{name}", cb=_answer)
            await client.subscribe(f"ask.{crowd.token}", "group", cb=_answer)
        await all_hear(crowd, services)
        for asker, service in itertools.product(mesh.nodes, mesh.nodes):
            client = await crowd.client(asker)
            what = f"{asker} asks {service}"
            for number in range(5):
                try:
                    answer = await client.request(f"ask.{crowd.token}.{service}", what.encode(), timeout=5)
                except nats.errors.Error as error:
                    raise AssertionError(f"{what}, {number}: {error!r}") from error
                assert answer.data == b"answer to " + what.encode()
            await client.close()
        for name, client in services.items():
            answers = await asyncio.gather(
                *(client.request(f"ask.{crowd.token}", b"%d" % number, timeout=10) for number in range(50))
            )
            assert [each.data for each in answers] == [b"answer to %d" % number for number in range(50)], name


async def nobody_answers(mesh: Mesh) -> None:
    """A request that nobody hears ends at once, on every node; so it does when the only service has gone."""
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere()
        for client in clients.values():
            with pytest.raises(nats.errors.NoRespondersError):
                await client.request(f"nobody.{crowd.token}", b"", timeout=10)
        for name, client in clients.items():
            gone = await client.subscribe(f"gone.{crowd.token}.{name}", cb=_answer)
            await all_hear(crowd, clients, f"come.{name}")
            await gone.unsubscribe()
            await all_hear(crowd, clients, f"gone.{name}")
            for other in clients.values():
                with pytest.raises(nats.errors.NoRespondersError):
                    await other.request(f"gone.{crowd.token}.{name}", b"", timeout=10)


async def service_imports(mesh: Mesh) -> None:
    """Account B asks a service of A, from every node to every node."""
    async with Crowd(mesh) as crowd:
        askers = await crowd.everywhere("b")
        for node in mesh.nodes:
            client = await crowd.client(node)
            asked: Counter[bytes] = Counter()

            async def answer(message: Msg, asked: Counter[bytes] = asked) -> None:
                asked[message.data] += 1
                await message.respond(b"answer to " + message.data)

            subject = f"{crowd.token}{node}"
            await client.subscribe(f"svc.{subject}", cb=answer)
            await client.flush()
            for name, asker in askers.items():
                if not mesh.pairing.shares(name, node):
                    continue
                await until_answered(asker, f"do.{subject}", f"{name} asks {node}")
                asked.clear()
                for number in range(10):
                    answer_to = await asker.request(f"do.{subject}", b"%d" % number, timeout=5)
                    assert answer_to.data == b"answer to %d" % number
                assert asked == {b"%d" % number: 1 for number in range(10)}, f"{name} asks {node}"
            await client.close()


async def until_answered(client: nats.NATS, subject: str, what: str) -> None:
    """Until its interest has come here."""
    loop = asyncio.get_running_loop()
    end = loop.time() + 20
    while loop.time() < end:
        try:
            await client.request(subject, b"try", timeout=0.5)
            return
        except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
            await asyncio.sleep(0.02)
    raise AssertionError(f"no answer: {what}")


async def stream_imports(mesh: Mesh) -> None:
    """Account B hears what A publishes, from every node on every node, once and in order."""
    count = 60
    async with Crowd(mesh) as crowd:
        publishers, clients = await crowd.everywhere(), await crowd.everywhere("b")
        shares = mesh.pairing.shares
        listeners = {name: await Listener().on(client, f"in.feed.{crowd.token}.*") for name, client in clients.items()}
        await heard(listeners, publishers, lambda name: f"feed.{crowd.token}.{name}", between=shares)
        for number in range(count):
            for name, client in publishers.items():
                await client.publish(f"feed.{crowd.token}.{name}", f"{name} {number}".encode())
        await flush(publishers.values())
        total = {name: count * sum(shares(name, sender) for sender in publishers) for name in clients}
        await until(
            lambda: all(len(each.got) >= total[name] for name, each in listeners.items()),
            lambda: {name: Counter(sender for sender, _ in each.got) for name, each in listeners.items()},
        )
        await heard(listeners, publishers, lambda name: f"feed.{crowd.token}.{name}", between=shares)
        for name, each in listeners.items():
            for sender in publishers:
                expected = list(range(count)) if shares(name, sender) else []
                assert each.of(sender) == expected, f"{sender} heard at {name}"


CHECKS: Sequence[Callable[[Mesh], Awaitable[None]]] = (
    plain_messages,
    groups_stay_near,
    groups_elsewhere,
    headers_and_large_payloads,
    requests,
    nobody_answers,
    service_imports,
    stream_imports,
)


async def restarts(mesh: Mesh) -> None:
    """Each node goes and comes back, some by a crash, while the others talk. Among those who stay nothing is heard
    twice or out of order; within one cluster nothing is lost either. Then all is as before."""
    for position, lost in enumerate(mesh.nodes):
        await _restart(mesh, lost, crash=position % 2 == 0)
    for check in (plain_messages, requests, nobody_answers, service_imports, stream_imports):
        await check(mesh)


async def _restart(mesh: Mesh, lost: str, *, crash: bool) -> None:
    async with Crowd(mesh) as crowd:
        clients = await crowd.everywhere(but=[lost])
        steady, work = f"steady.{crowd.token}", f"work.{crowd.token}"
        listeners = {name: await Listener().on(client, f"{steady}.>") for name, client in clients.items()}
        members = {name: await Listener().on(client, work, "q") for name, client in clients.items()}
        await heard(listeners, clients, lambda name: f"{steady}.{name}")
        await all_hear(crowd, clients)
        sent: Counter[str] = Counter()

        async def some_more() -> None:
            before = sent.copy()
            await until(lambda: min(sent[name] - before[name] for name in clients) > 40, lambda: sent)

        talking = asyncio.create_task(_talk(crowd, clients, sent))
        try:
            await some_more()
            await asyncio.to_thread(mesh.end, lost, crash=crash)
            await some_more()
            await asyncio.to_thread(mesh.back, lost)
            await asyncio.to_thread(mesh.await_whole)
            await some_more()
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
        await heard(listeners, clients, lambda name: f"{steady}.{name}")
        _judge(mesh, listeners, members, sent, f"{lost} restarted")


async def _talk(crowd: Crowd, clients: dict[str, nats.NATS], sent: Counter[str]) -> None:
    while True:
        for name, client in clients.items():
            text = f"{name} {sent[name]}".encode()
            await client.publish(f"steady.{crowd.token}.{name}", text)
            await client.publish(f"work.{crowd.token}", text)
            sent[name] += 1
        await asyncio.sleep(0.01)


def _judge(
    mesh: Mesh, listeners: dict[str, Listener], members: dict[str, Listener], sent: Counter[str], what: str
) -> None:
    for name, each in listeners.items():
        for sender in listeners:
            got = each.of(sender)
            assert all(one < other for one, other in itertools.pairwise(got)), (
                f"{what}: {sender} heard at {name}: {got}"
            )
            if mesh.nodes[sender].home == mesh.nodes[name].home:
                assert got == list(range(sent[sender])), f"{what}: {sender} heard at {name}"
    taken = Counter(itertools.chain.from_iterable(each.got for each in members.values()))
    doubled = {key for key, count in taken.items() if count > 1}
    assert not doubled, f"{what}: taken twice: {sorted(doubled)}"
    lost: defaultdict[str, int] = defaultdict(int)
    for sender, count in sent.items():
        lost[sender] = count - sum(1 for name, _ in taken if name == sender)
    assert not any(lost.values()), f"{what}: work of survivors that has members near was not taken: {dict(lost)}"
