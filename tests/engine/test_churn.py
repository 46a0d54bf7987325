"""Thousands of subjects that come and go: the tables of interest grow, lose entries in the middle, and stay right."""

import random
import re

import pytest
from peers import Peers

SUBJECTS = 6_000
ROUNDS = 12
TOKENS = [b"", b"a", b"b", b"longer-than-eight-bytes", b"x" * 40]


def some_subjects(chance: random.Random) -> list[bytes]:
    """Unlike ones: many children of few parents, few children of many, deep ones, prefixes of each other."""
    found = set()
    while len(found) < SUBJECTS:
        number = b"%d" % chance.randrange(SUBJECTS * 4)
        shape = chance.randrange(4)
        if shape == 0:
            found.add(b"wide." + number)
        elif shape == 1:
            found.add(number + b".leaf")
        elif shape == 2:
            found.add(b".".join([*(chance.choice(TOKENS[1:]) for _ in range(chance.randrange(1, 6))), number]))
        else:
            found.add(chance.choice(TOKENS[1:]) + number)
    return sorted(found)


def delivered(output: bytes) -> dict[bytes, int]:
    """How often each subject was delivered."""
    counts: dict[bytes, int] = {}
    for subject in re.findall(rb"^MSG (\S+) \d+ 1\r\nx\r\n", output, re.MULTILINE):
        counts[subject] = counts.get(subject, 0) + 1
    return counts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_subscribed_is_delivered_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    node = Peers()
    node.engine.configure(max_pending=1 << 30)
    subscriber, publisher, route = node.client(), node.client(), node.join_raw()
    subjects = some_subjects(chance)
    local: dict[bytes, int] = {}
    remote: set[bytes] = set()
    number = 0
    for _ in range(ROUNDS):
        lines, announced = [], []
        for subject in chance.sample(subjects, SUBJECTS // 2):
            if subject in local:
                lines.append(b"UNSUB %d\r\n" % local.pop(subject))
            else:
                number += 1
                local[subject] = number
                lines.append(b"SUB %b %d\r\n" % (subject, number))
        for subject in chance.sample(subjects, SUBJECTS // 2):
            announced.append(b"RS%b A %b\r\n" % (b"-" if subject in remote else b"+", subject))
            remote ^= {subject}
        node.feed(subscriber, b"".join(lines))
        node.feed(route, b"".join(announced))
        node.engine.feed(publisher, b"".join(b"PUB %b 1\r\nx\r\n" % subject for subject in subjects))
        node.settle()
        assert delivered(node.take(subscriber)) == dict.fromkeys(local, 1)
        sent = re.findall(rb"^RMSG A (\S+) 1\r\nx\r\n", node.take(route), re.MULTILINE)
        assert sorted(sent) == sorted(remote)
    node.feed(subscriber, b"".join(b"UNSUB %d\r\n" % one for one in local.values()))
    node.feed(route, b"".join(b"RS- A %b\r\n" % subject for subject in remote))
    assert node.engine.subscriptions() == []
