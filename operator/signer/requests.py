"""Requests that wait for another pair of eyes, one file each, so that they outlive the process."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from gossamer.operator.failure import Failure
from gossamer.operator.signer.messages import Pending
from gossamer.operator.store.changes import ChangeSet

PENDING_MAX = 1000


class Requests:
    """The requests below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> Iterator[Pending]:
        """Every request, the oldest first. Raises Failure for a broken file."""
        found = [self._read(self._folder / name) for name in ChangeSet().children(self._folder)]
        yield from sorted((request for request in found if request), key=lambda request: request.submitted_at)

    def find(self, identity: str) -> Pending | None:
        """One request; None if there is none."""
        return self._read(self._folder / f"{identity}.json") if identity.isalnum() else None

    def put(self, request: Pending) -> None:
        """Keep a request. Raises Failure."""
        changes = ChangeSet()
        changes.write(self._folder / f"{request.id}.json", msgspec.json.encode(request))
        changes.commit()

    def is_full(self) -> bool:
        """Are there as many undecided requests as we hold?"""
        return sum(request.state == "pending" for request in self.all()) >= PENDING_MAX

    def _read(self, path: Path) -> Pending | None:
        content = ChangeSet().read(path) if path.suffix == ".json" else None
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=Pending)
        except msgspec.DecodeError as error:
            raise Failure(f"{path} is broken: {error}", code="broken-file", hint="move it away") from None
