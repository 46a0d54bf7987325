"""Between a keystore and its files: what is written is sealed if the keystore is, what is read is opened.

``custody.json`` beside the keys says how. Without it everything is plain, as nsc has it. A keystore may hold plain
and sealed files at once (half way through a move, or one that nsc wrote): each file says by itself what it is.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

from gossamer.operator.custody.agent import AgentVault, socket_path
from gossamer.operator.custody.ring import ring_master
from gossamer.operator.custody.sealing import (
    Envelope,
    LocalVault,
    SealingError,
    Vault,
    is_sealed,
    open_with_identity,
    open_with_passphrase,
)
from gossamer.operator.custody.unlocking import Unlocking
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.store.changes import ChangeSet

CUSTODY_FILE = "custody.json"
SCHEMA = "gossamer/custody/v1"


class Backend(StrEnum):
    """How a keystore keeps its files."""

    FILE = "file"
    ENCRYPTED = "encrypted"
    KEYRING = "keyring"


class CustodyFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``custody.json``."""

    backend: Backend
    envelope: Envelope
    schema: str = SCHEMA


class Custodian:
    """Seals and opens for one keystore; unlocks when the first sealed thing is met, and once."""

    def __init__(
        self,
        root: Path,
        changes: ChangeSet,
        environment: Mapping[str, str] | None = None,
        unlocking: Unlocking | None = None,
    ) -> None:
        self.root = root
        self.path = root / CUSTODY_FILE
        self.environment = {} if environment is None else environment
        self.unlocking = unlocking or Unlocking()
        self._changes = changes
        self._vault: Vault | None = None
        self._described: tuple[CustodyFile | None] | None = None  # while a command makes its changes
        self._handed: list[str] | None = None

    def with_changes(self, changes: ChangeSet) -> "Custodian":
        """The same, unlocked if this is, over another change set."""
        copy = Custodian(self.root, changes, self.environment, self.unlocking)
        copy._vault, copy._handed = self._vault, self._handed
        return copy

    def described(self) -> CustodyFile | None:
        """What ``custody.json`` says; None without it. Raises Failure when it is broken."""
        if self._described is None or not self._changes:
            self._described = (self._read(),)
        return self._described[0]

    def _read(self) -> CustodyFile | None:
        content = self._changes.read(self.path)
        if content is None:
            return None
        try:
            return msgspec.json.decode(content, type=CustodyFile)
        except msgspec.DecodeError as error:
            raise Failure(
                f"{self.path} is broken: {error}",
                code="broken-file",
                hint="restore it from a backup: sealed keys cannot be opened without it",
                path=str(self.path),
            ) from None

    @property
    def backend(self) -> Backend:
        """How new files are written."""
        found = self.described()
        return Backend.FILE if found is None else found.backend

    def describe(self, found: CustodyFile | None, vault: Vault | None) -> None:
        """Write from now on as ``found`` says (None: plain), with its vault unlocked already."""
        if found is None:
            self._changes.remove(self.path)
        else:
            self._changes.write(self.path, msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        self._vault, self._described = vault, None

    def wrap(self, label: str, content: bytes) -> bytes:
        """The bytes to write. Raises Failure when the keystore is sealed and cannot be unlocked, or no longer."""
        if self.described() is None:
            return content
        try:
            return self.vault().seal(label, content)
        except SealingError as error:  # the agent's time may be over in the middle of a command
            raise _locked(
                f"{label} cannot be sealed: {error}", "unlock the keystore, and run the command again"
            ) from None

    def unwrap(self, label: str, content: bytes, path: Path) -> bytes:
        """The bytes that were wrapped. Raises Failure when they cannot be opened."""
        if not is_sealed(content):
            return content
        try:
            return self.vault().open(label, content)
        except SealingError as error:
            raise Failure(
                f"{path} cannot be opened: {error}",
                code="sealed",
                hint="restore it from a backup, or unlock with the key it was sealed under",
                path=str(path),
                exit_code=ExitCode.SIGNER_UNAVAILABLE,
            ) from None

    def handed_seeds(self) -> list[str]:
        """Seeds handed in for this command alone (environment or descriptor)."""
        if self._handed is None:
            self._handed = self.unlocking.seeds(self.environment)
        return self._handed

    def vault(self) -> Vault:
        """The unlocked vault: by flag, then agent, variable, keyring, question. Raises Failure (exit code 7)."""
        if self._vault is None:
            found = self.described()
            if found is None:
                raise _locked(f"{self.path} is missing: what was sealed cannot be opened", "restore it from a backup")
            self._vault = self._agent_vault(found.envelope) or LocalVault(self._master(found))
        return self._vault

    def master(self) -> bytes:
        """The master key itself, never by way of an agent. Raises Failure."""
        found = self.described()
        if found is None:
            raise Failure("this keystore is not sealed", code="not-sealed", hint="seal it with: gossamer key move")
        return self._master(found)

    def agent(self) -> AgentVault | None:
        """The agent of this keystore, whether it runs or not; None when nothing is sealed."""
        found = self.described()
        path = socket_path(self.root, self.environment)
        return None if found is None else AgentVault(path, found.envelope.id)

    def _agent_vault(self, envelope: Envelope) -> AgentVault | None:
        if self.unlocking.flagged_passphrase(self.environment) or self.unlocking.identity_file:
            return None  # whoever names a secret means that one
        agent = AgentVault(socket_path(self.root, self.environment), envelope.id)
        return agent if agent.remaining_s() > 0 else None

    def _master(self, found: CustodyFile) -> bytes:
        try:
            identity = self.unlocking.identity(self.environment)
            if identity and found.envelope.recipients:
                return open_with_identity(found.envelope, identity)
            if found.backend is Backend.KEYRING:
                return ring_master(found.envelope.id)
            passphrase = self.unlocking.passphrase(self.environment, asked=f"Passphrase of {self.root}")
            if not passphrase:
                raise _locked(
                    f"the keystore {self.root} is locked",
                    "name the passphrase with --passphrase-file, --passphrase-fd or --passphrase-env, "
                    "or unlock it for a while with: gossamer key unlock",
                )
            return open_with_passphrase(found.envelope, passphrase)
        except SealingError as error:
            raise _locked(
                f"the keystore {self.root} cannot be unlocked: {error}", "try again", "wrong-secret"
            ) from None


def _locked(message: str, hint: str, code: str = "locked-keystore") -> Failure:
    return Failure(message, code=code, hint=hint, exit_code=ExitCode.SIGNER_UNAVAILABLE)
