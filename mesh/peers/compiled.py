"""Permissions in the engine: compiled once for each distinct value and shared by all who have them."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gossamer.auth.permissions import Permissions


class PermissionEngine(Protocol):
    """The part of ``gossamer.mesh.engine.core.Engine`` that sets of permissions use."""

    def permissions(
        self,
        *,
        publish_allow: Sequence[bytes] | None = None,
        publish_deny: Sequence[bytes] = (),
        subscribe_allow: Sequence[tuple[bytes, bytes]] | None = None,
        subscribe_deny: Sequence[tuple[bytes, bytes]] = (),
        response_max: int = 0,
        response_ttl_ns: int = 0,
    ) -> int: ...
    def remove_permissions(self, permissions: int) -> None: ...


class CompiledPermissions(Struct, gc=False):
    """``number`` is the engine's; ``users`` counts the links that use it."""

    value: Permissions
    number: int
    users: int = 0


class PermissionTable:
    """``take`` and ``release`` come in pairs; the engine's set goes away with its last user."""

    __slots__ = ("_compiled", "_engine")

    def __init__(self, engine: PermissionEngine) -> None:
        self._engine = engine
        self._compiled: dict[Permissions, CompiledPermissions] = {}

    def __len__(self) -> int:
        return len(self._compiled)

    def take(self, value: Permissions | None) -> CompiledPermissions | None:
        """The compiled form for one more link. None: nothing is restricted."""
        if value is None or value == UNRESTRICTED:
            return None
        compiled = self._compiled.get(value)
        if compiled is None:
            compiled = CompiledPermissions(value, compile_permissions(self._engine, value))
            self._compiled[value] = compiled
        compiled.users += 1
        return compiled

    def release(self, compiled: CompiledPermissions | None) -> None:
        """One link fewer uses it."""
        if compiled is None:
            return
        compiled.users -= 1
        if compiled.users == 0:
            del self._compiled[compiled.value]
            self._engine.remove_permissions(compiled.number)


UNRESTRICTED = Permissions()


def compile_permissions(engine: PermissionEngine, value: Permissions) -> int:
    """Program the engine; the result is the number of the set, 0 if nothing is restricted."""
    if value == UNRESTRICTED:
        return 0
    publish, subscribe, responses = value.publish, value.subscribe, value.responses
    return engine.permissions(
        publish_allow=None if publish.allow is None else [entry.encode() for entry in publish.allow],
        publish_deny=[entry.encode() for entry in publish.deny],
        subscribe_allow=None if subscribe.allow is None else [_with_queue(entry) for entry in subscribe.allow],
        subscribe_deny=[_with_queue(entry) for entry in subscribe.deny],
        response_max=0 if responses is None else responses.max_messages,
        response_ttl_ns=0 if responses is None else responses.ttl_ns,
    )


def _with_queue(entry: str) -> tuple[bytes, bytes]:
    subject, _, queue = entry.partition(" ")
    return subject.encode(), queue.strip().encode()
