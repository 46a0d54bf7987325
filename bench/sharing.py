"""Settings for the cases in which messages cross accounts or have their subject mapped."""

from dataclasses import dataclass

from cases import Crossing

#: What a server makes of a request's reply subject: ``_R_.`` and two parts of six characters.
REPLY_LENGTH = 17


@dataclass(frozen=True)
class Setting:
    """A server configuration, who publishes (requests) and who subscribes (responds) in it, and what the latter sees.

    ``published`` and ``heard`` are subjects. Users take no headers: what a request through an import adds to them is
    then made and taken off again by either server, and payloads stay comparable to the byte.
    """

    configuration: str
    publisher: str
    subscriber: str
    published: bytes
    heard: bytes
    reply_length: int | None = None

    def identity(self, publisher: bool) -> dict[str, str | bool]:
        """Members of CONNECT."""
        name = self.publisher if publisher else self.subscriber
        return {"user": name, "pass": name, "headers": False, "no_responders": False}


_ACCOUNTS = """
accounts {{
  A {{ users = [ {{user: a, password: a}} ], {a} }}
  B {{ users = [ {{user: b, password: b}} ], {b} }}
}}
"""

SETTINGS = {
    # The same accounts and users without anything shared: what the others are compared with.
    Crossing.NONE: Setting(_ACCOUNTS.format(a="", b=""), "a", "a", b"bench.msg", b"bench.msg"),
    Crossing.SERVICE: Setting(
        _ACCOUNTS.format(
            a="exports = [ {service: 'bench.*'} ]",
            b="imports = [ {service: {account: A, subject: 'bench.*'}, to: 'asked.*'} ]",
        ),
        "b",
        "a",
        b"asked.msg",
        b"bench.msg",
        REPLY_LENGTH,
    ),
    Crossing.STREAM: Setting(
        _ACCOUNTS.format(
            a="exports = [ {stream: 'bench.*'} ]",
            b="imports = [ {stream: {account: A, subject: 'bench.*'}, to: 'taken.*'} ]",
        ),
        "a",
        "b",
        b"bench.msg",
        b"taken.msg",
    ),
    Crossing.MAPPING: Setting(
        _ACCOUNTS.format(a="mappings = { 'bench.*': 'found.here.$1' }", b=""),
        "a",
        "a",
        b"bench.msg",
        b"found.here.msg",
    ),
}
