"""How fast a mesh learns who subscribes to what: a whole table announced to a joining node, one SUB across the mesh."""

import time
from select import select

from cases import ANNOUNCE, PROPAGATION_P50, PROPAGATION_P99, Case
from target import Target
from wire import Client

PROBED = 200
PROBE_EVERY_S = 0.002
QUIET_S = 0.3
ANNOUNCED_IN_S = 30.0
READY_IN_S = 30.0
WARM_UP_TRIALS = 20
TRIALS = 300
PROPAGATED_IN_S = 5.0
STEP_S = 0.00005
PAUSE_S = 0.002


class InterestError(ConnectionError):
    """Interest did not arrive, or a message came where it should not."""


def announce(case: Case, target: Target, seconds: float) -> dict[str, float]:
    """Milliseconds from the joining server's connection until it delivers the last of ``case.subjects`` subscriptions.

    A sample of the subjects, the last one among them, is published on the joining side every 2 ms until each has
    arrived: that moment is the figure. At once every subject is published: those that do not arrive then were not
    announced yet, are published again until they do, and the last one's arrival is the figure instead.
    """
    assert target.relay is not None
    subjects = [b"bench.%02d.%06d" % (n % 100, n) for n in range(case.subjects)]
    with Client(target.servers[0].port) as subscriber, Client(target.servers[-1].port) as publisher:
        subscriber.send(b"".join(b"SUB %b %d\r\n" % (subject, n) for n, subject in enumerate(subjects)))
        subscriber.settle()
        missing = {*range(0, case.subjects, max(1, case.subjects // PROBED)), case.subjects - 1}
        target.relay.open()
        begun = target.relay.opened_ns() / 1e9
        deadline = begun + ANNOUNCED_IN_S
        done = begun
        while missing:
            done = _one_pass(subjects, missing, subscriber, publisher, b"probe", PROBE_EVERY_S, False) or done
            _in_time(deadline, len(missing))
        missing = set(range(case.subjects))
        _one_pass(subjects, missing, subscriber, publisher, b"all", QUIET_S, True)
        late = len(missing)
        while missing:
            done = _one_pass(subjects, missing, subscriber, publisher, b"again", QUIET_S, True) or done
            _in_time(deadline, len(missing))
    return {ANNOUNCE.name: (done - begun) * 1e3, "late": float(late)}


def _in_time(deadline: float, missing: int) -> None:
    if time.monotonic() > deadline:
        raise InterestError(f"{missing} subscriptions are not delivered after {ANNOUNCED_IN_S:.0f} s")


def _one_pass(
    subjects: list[bytes],
    missing: set[int],
    subscriber: Client,
    publisher: Client,
    payload: bytes,
    patience_s: float,
    renewed: bool,
) -> float:
    """Publish what is missing, take off what arrives until ``patience_s`` after (``renewed``: the last of) it.

    Returns the time of the last arrival, 0 when there was none.
    """
    publisher.send(b"".join(b"PUB %b %d\r\n%b\r\n" % (subjects[n], len(payload), payload) for n in sorted(missing)))
    now = last = 0.0
    end = time.monotonic() + patience_s
    while missing and (now := time.monotonic()) < end:
        if not select([subscriber.socket], [], [], end - now)[0]:
            break
        for subject, number, _ in subscriber.messages():
            if subject != subjects[number]:
                raise InterestError(f"{subject!r} was delivered to the subscription of {subjects[number]!r}")
            if number in missing:
                missing.discard(number)
                last = time.monotonic()
        if renewed:
            end = time.monotonic() + patience_s
    return last


def propagation(case: Case, target: Target, seconds: float) -> dict[str, float]:
    """Milliseconds from a SUB on the last node until a message published on the farthest node is one for it.

    Each trial has a subject of its own. Messages with numbers are published about every 0.1 ms; the time at which the
    first delivered one was sent, less the time at which SUB was, is the figure.
    """
    topology = case.topology
    standing = [Client(server.port) for server in target.servers]
    try:
        for client in standing:
            # The account has interest everywhere and always: what an empty one does is another matter.
            client.send(b"SUB bench.standing 1\r\n")
            client.settle()
        publisher = Client(target.servers[topology.publish_at].port)
        standing.append(publisher)
        subscriber = Client(target.servers[topology.subscribe_at].port)
        standing.append(subscriber)
        _trial(publisher, subscriber, 0, READY_IN_S)
        # Links may be younger than the one the first message took.
        time.sleep(1.0)
        for number in range(1, WARM_UP_TRIALS):
            _trial(publisher, subscriber, number, PROPAGATED_IN_S)
        found = sorted(_trial(publisher, subscriber, WARM_UP_TRIALS + n, PROPAGATED_IN_S) for n in range(TRIALS))
    finally:
        for client in standing:
            client.socket.close()
    at = {PROPAGATION_P50.name: 0.5, PROPAGATION_P99.name: 0.99, "propagation_max": 1.0}
    return {name: found[min(TRIALS - 1, int(TRIALS * share))] * 1e3 for name, share in at.items()}


def _trial(publisher: Client, subscriber: Client, number: int, patience_s: float) -> float:
    subject = b"bench.trial.%06d" % number
    sent: list[float] = []
    begun = time.monotonic()
    subscriber.send(b"SUB %b %d\r\n" % (subject, number + 1))
    while True:
        payload = b"%d" % len(sent)
        sent.append(time.monotonic())
        if sent[-1] > begun + patience_s:
            raise InterestError(f"a SUB was not known on the farthest node after {patience_s:.0f} s")
        publisher.send(b"PUB %b %d\r\n%b\r\n" % (subject, len(payload), payload))
        if select([subscriber.socket], [], [], STEP_S)[0]:
            arrived = [
                payload for heard, sid, payload in subscriber.messages() if (heard, sid) == (subject, number + 1)
            ]
            if arrived:
                break
    subscriber.send(b"UNSUB %d\r\n" % (number + 1))
    subscriber.settle()
    publisher.settle()
    time.sleep(PAUSE_S)
    return sent[int(arrived[0])] - begun
