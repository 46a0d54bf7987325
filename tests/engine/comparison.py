"""Runs a real node and the reference side by side and says where they differ.

A real node is anything that takes bytes for a link and gives bytes back: the engine in step mode, or nats-server behind
sockets. After each exchange the node's frames are known, then the model is fed the same bytes; where the protocol
leaves a choice, the model asks which choice the node made (``_observed_choice``).
"""

from collections import Counter
from collections.abc import Sequence

from gossamer.mesh.engine.reference import Candidate, Message, ReferenceNode, accepts

PAYLOAD_VERBS = (b"MSG", b"HMSG", b"RMSG", b"LMSG")


def split_frames(stream: bytes) -> list[bytes]:
    """Cut a server's output into frames: a line, with its payload if it has one. The stream must end with a frame."""
    frames = []
    while stream:
        line, newline, rest = stream.partition(b"\r\n")
        assert newline, f"a line without an end: {stream[:200]!r}"
        fields = line.split(b" ")
        if fields[0] in PAYLOAD_VERBS:
            size = int(fields[-1])
            assert rest[size : size + 2] == b"\r\n", f"a payload without an end: {stream[:200]!r}"
            frames.append(stream[: len(line) + 2 + size + 2])
        else:
            frames.append(stream[: len(line) + 2])
        stream = stream[len(frames[-1]) :]
    return frames


class Comparison:
    """What the real node put out since the last ``compare``, and the model beside it."""

    def __init__(self, **limits: int) -> None:
        self.model = ReferenceNode(self._observed_choice, **limits)
        self.output: dict[int, bytearray] = {}
        self.closed: set[int] = set()
        self.mailbox: list[tuple[int, Message]] = []
        self.transcript: list[str] = []
        self._frames: dict[int, list[bytes]] = {}
        self._claimed: Counter[tuple[int, bytes, bytes]] = Counter()
        self._believed: dict[int, dict[tuple[bytes, bytes, bytes], int]] = {}

    def note(self, text: str) -> None:
        """A line of the transcript that a failure prints."""
        self.transcript.append(text)

    def observe(self) -> None:
        """The node is at rest: take its frames, from which the model's choices will be answered.

        The model has no timers, so the node's own PINGs are left out.
        """
        self._frames = {
            link: [_ordered(frame) for frame in split_frames(bytes(stream)) if frame != b"PING\r\n"]
            for link, stream in self.output.items()
        }
        self._claimed.clear()

    def compare(self) -> None:
        """Hold the frames against the model's; everything is consumed."""
        for number, link in self.model.links.items():
            frames = self._frames.get(number, [])
            expected = [[_ordered(frame) for frame in batch] for batch in link.output]
            assert accepts(expected, frames), self._report(f"link {number}", expected, frames)
            assert (link.closed is not None) == (number in self.closed), self._report(
                f"link {number} closed by the model: {link.closed}, by the node: {number in self.closed}"
            )
            link.output.clear()
            if link.judge is None and link.closed is None:
                believed = self._believed.setdefault(number, {})
                for frame in frames:
                    _believe(believed, frame, link.dedicated)
                announced = self.model.announced(number)
                assert believed == announced, self._report(f"interest of link {number}", announced, believed)
        strange = [number for number, frames in self._frames.items() if frames and number not in self.model.links]
        assert not strange, self._report(f"output on links that should not exist: {strange}")
        letters = Counter(one for batch in self.model.mailbox for one in batch)
        assert letters == Counter(self.mailbox), self._report("mailbox", self.model.mailbox, self.mailbox)
        self.model.mailbox.clear()
        self.mailbox.clear()
        self.output.clear()

    def _report(self, title: str, expected: object = "", found: object = "") -> str:
        return "\n".join([title, f"expected {expected}", f"found    {found}", "transcript:", *self.transcript])

    def _observed_choice(self, message: Message, group: bytes, candidates: Sequence[Candidate]) -> Candidate | None:
        for candidate in candidates:
            if candidate.link == 0:
                wanted = (int(candidate.sid), message)
                key = (0, repr(wanted).encode(), group)
                count = self.mailbox.count(wanted)
            else:
                frames = [one for one in self._frames.get(candidate.link, []) if _is_it(one, message, group, candidate)]
                key = (candidate.link, frames[0] if frames else b"", group)
                count = len(frames)
            if count > self._claimed[key]:
                self._claimed[key] += 1
                return candidate
        return None


def _ordered(frame: bytes) -> bytes:
    """The queue names of a routed message stand in any order: sorted, for comparing."""
    line, newline, payload = frame.partition(b"\r\n")
    fields = line.split(b" ")
    for mark, skipped in ((b"|", 1), (b"+", 2)):
        if mark in fields[2:4] and fields[0] in (b"RMSG", b"HMSG"):
            start = fields.index(mark, 2) + skipped
            stop = len(fields) - (2 if fields[0] == b"HMSG" else 1)
            fields[start:stop] = sorted(fields[start:stop])
    return b" ".join(fields) + newline + payload


def _believe(interest: dict[tuple[bytes, bytes, bytes], int], frame: bytes, dedicated: bytes) -> None:
    """What a peer makes of RS+ and RS-."""
    fields = frame.removesuffix(b"\r\n").split(b" ")
    if fields[0] not in (b"RS+", b"RS-"):
        return
    if dedicated:
        fields.insert(1, dedicated)
    key = (fields[1], fields[2], fields[3] if len(fields) > 3 else b"")
    if fields[0] == b"RS+":
        interest[key] = int(fields[4]) if len(fields) > 4 else 1
    else:
        interest.pop(key, None)


def _is_it(frame: bytes, message: Message, group: bytes, candidate: Candidate) -> bool:
    """Is this frame the message for that candidate?"""
    line, _, payload = frame.partition(b"\r\n")
    fields = line.split(b" ")
    if not group:  # the 503 to a requester
        return fields[0] == b"HMSG" and fields[1:3] == [message.reply, candidate.sid] and b" 503\r\n" in payload
    if fields[0] not in PAYLOAD_VERBS:
        return False
    if not payload.endswith(message.data[message.header_size :] + b"\r\n"):
        return False
    if candidate.sid:
        return fields[1:3] == [message.subject, candidate.sid]
    sizes = 2 if fields[0] == b"HMSG" else 1
    return message.subject in fields[1:3] and group in fields[2:-sizes]
