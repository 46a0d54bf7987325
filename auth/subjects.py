"""Subjects and their wildcards, in plain Python: readable, slow, and right. The compiled engine is tested against it.

A subject is one or more tokens with dots between; a token ``*`` stands for any one token, ``>`` as the last token for
one or more. Inside a longer token both are ordinary characters.
"""

_BLANKS = frozenset(" \t\n\r\f")


def is_valid(subject: str) -> bool:
    """May it be subscribed to? No empty token, no blank, ``>`` only at the end."""
    tokens = subject.split(".")
    return all(tokens) and not _BLANKS.intersection(subject) and ">" not in tokens[:-1]


def has_wildcards(subject: str) -> bool:
    """Is any token ``*`` or ``>``?"""
    return any(token in ("*", ">") for token in subject.split("."))


def is_literal(subject: str) -> bool:
    """May a message be published on it?"""
    return is_valid(subject) and not has_wildcards(subject)


def matches(pattern: str, subject: str) -> bool:
    """Does the pattern match the subject, whose tokens are taken as they are written?

    A wildcard in ``subject`` is taken for a literal, as nats-server does when it looks a subscription up in a
    permission list: ``a.*`` matches the text ``a.>``. Use covers where the sets of subjects count.
    """
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if place >= len(given):
            return False
        if token == ">" and place == len(wanted) - 1:
            return True
        if token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def covers(pattern: str, subject: str) -> bool:
    """Is every subject that ``subject`` stands for also one that ``pattern`` stands for? Set inclusion, exactly."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, token in enumerate(wanted):
        if place >= len(given):
            return False
        if token == ">" and place == len(wanted) - 1:
            return True
        if given[place] == ">" and place == len(given) - 1:
            return False
        if token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def overlaps(one: str, other: str) -> bool:
    """Is there a subject that both stand for?"""
    left, right = one.split("."), other.split(".")
    for place in range(max(len(left), len(right))):
        if place >= len(left) or place >= len(right):
            return False
        if left[place] == ">" and place == len(left) - 1:
            return True
        if right[place] == ">" and place == len(right) - 1:
            return True
        if left[place] != right[place] and "*" not in (left[place], right[place]):
            return False
    return True
