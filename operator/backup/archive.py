"""Backups: what goes in, the manifest with its hashes, and the way back.

The manifest comes first and names every file with its size and SHA-256. Each file is hashed again while it is packed:
if it changed in between, there is no backup. Restoring unpacks everything beside its place, checks it against the
manifest to the end of the stream, and only then puts it there.
"""

import hashlib
import io
import os
import secrets
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import msgspec
from msgspec import Struct

from gossamer.operator.backup.stream import SealedReader, SealedWriter
from gossamer.operator.custody.custodian import CUSTODY_FILE
from gossamer.operator.custody.sealing import Envelope, SealingError
from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.store.changes import FILE_MODE, make_folder
from gossamer.operator.store.context import OPERATOR_MARK
from gossamer.operator.store.keystore import CREDENTIALS_FOLDER, KEYS_FOLDER
from gossamer.operator.store.lock import LOCK_NAME
from gossamer.operator.store.places import CONTEXT_FILE
from gossamer.operator.store.workspace import Workspace

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1024 * 1024 * 1024
_STAGE = ".gossamer-restore-"
_KEY_PARTS = (KEYS_FOLDER, CREDENTIALS_FOLDER, ".gitignore", CUSTODY_FILE, "signer")


class Packed(Struct, frozen=True, kw_only=True):
    """One file. ``path`` begins with the place it belongs to: ``stores``, ``keys`` or ``config``."""

    path: str
    size: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    created: str
    operators: tuple[str, ...]
    files: tuple[Packed, ...]


def roots(workspace: Workspace) -> dict[str, Path]:
    """Where the three places of a backup are."""
    return {
        "stores": workspace.store.root,
        "keys": workspace.keystore.root,
        "config": workspace.places.context_file.parent,
    }


def contents(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    """Name in the backup and path of every file that belongs to it, in order."""
    places = roots(workspace)
    stores = places["stores"]
    for entry in sorted(stores.iterdir()) if stores.is_dir() else ():
        ours = entry.name.startswith(".gossamer") and not entry.name.startswith(_STAGE)
        if ours or (entry / OPERATOR_MARK).is_file():
            yield from _files("stores", stores, entry)
    for part in _KEY_PARTS:
        yield from _files("keys", places["keys"], places["keys"] / part)
    yield from _files("config", places["config"], places["config"] / CONTEXT_FILE)


def create(workspace: Workspace, target: Path, master: bytes, envelope: Envelope, *, now: int) -> Manifest:
    """Write a backup (0600; never over a file that is there). Raises Failure, with no file left behind."""
    files = tuple(_described(name, path) for name, path in contents(workspace))
    if not files:
        raise Failure("there is nothing to back up", code="empty", hint="make an operator first: gossamer init")
    manifest = Manifest(
        created=datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        operators=tuple(workspace.store.operators()),
        files=files,
    )
    make_folder(target.parent)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        raise Failure(f"{target} exists", code="exists", hint="name another file", path=str(target)) from None
    except OSError as error:
        raise from_os_error(error, "write", target, "name another file") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            sealed = SealedWriter(file, master, envelope)
            _pack(sealed, manifest, roots(workspace))
            sealed.close()
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise from_os_error(error, "write", target, "make room, or name another file") from None
        raise
    return manifest


def verify(source: Path, unlock: Callable[[Envelope], bytes]) -> Manifest:
    """Read a backup to its end and compare every file with the manifest. Raises Failure."""
    return _unpack(source, unlock, lambda _packed, _content: None)


def restore(workspace: Workspace, source: Path, unlock: Callable[[Envelope], bytes], *, force: bool) -> Manifest:
    """Put everything back. Raises Failure with nothing changed when the backup is not whole, or (without ``force``)
    when there is a file in the way that says something else."""
    places = roots(workspace)
    mark = f"{_STAGE}{secrets.token_hex(4)}"
    stages = {name: root / mark for name, root in places.items()}
    staged: list[tuple[Path, Path]] = []

    def stage(packed: Packed, content: BinaryIO) -> None:
        place, _, rest = packed.path.partition("/")
        path, target = stages[place] / place / rest, places[place] / rest
        make_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(content, file)
            file.flush()
            os.fsync(file.fileno())
        staged.append((path, target))

    try:
        manifest = _unpack(source, unlock, stage)
        if not force:
            for path, target in staged:
                _refuse_other(path, target)
        for path, target in staged:
            make_folder(target.parent)
            path.replace(target)
    except OSError as error:
        raise from_os_error(error, "restore into", error.filename or places["stores"], "make room there") from None
    finally:
        for folder in set(stages.values()):
            shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _refuse_other(path: Path, target: Path) -> None:
    if target.exists() and target.read_bytes() != path.read_bytes():
        raise Failure(
            f"{target} is there and says something else",
            code="exists",
            hint="restore into empty folders (-H DIR), or pass --force to overwrite",
            path=str(target),
        )


def _files(place: str, root: Path, entry: Path) -> Iterator[tuple[str, Path]]:
    found = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
    for path in found:
        if path.is_file() and not path.is_symlink() and path.name != LOCK_NAME and path.suffix != ".tmp":
            yield f"{place}/{path.relative_to(root).as_posix()}", path


def _described(name: str, path: Path) -> Packed:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Packed(path=name, size=file.tell(), sha256=digest)
    except OSError as error:
        raise from_os_error(error, "read", path, "check its owner and mode") from None


def _pack(sealed: SealedWriter, manifest: Manifest, places: dict[str, Path]) -> None:
    with tarfile.open(fileobj=cast("BinaryIO", sealed), mode="w|", format=tarfile.PAX_FORMAT) as tar:
        text = msgspec.json.encode(manifest)
        _add(tar, MANIFEST, text)
        for packed in manifest.files:
            place, _, rest = packed.path.partition("/")
            content = (places[place] / rest).read_bytes()
            if hashlib.sha256(content).hexdigest() != packed.sha256:
                raise Failure(f"{packed.path} changed while it was packed", code="changed", hint="try again")
            _add(tar, packed.path, content)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), FILE_MODE
    tar.addfile(member, io.BytesIO(content))


def _unpack(source: Path, unlock: Callable[[Envelope], bytes], take: Callable[[Packed, BinaryIO], None]) -> Manifest:
    """Hand every file to ``take``, its hash checked before. Raises Failure."""
    try:
        with source.open("rb") as file:
            sealed = SealedReader(file, unlock)
            with tarfile.open(fileobj=cast("BinaryIO", sealed), mode="r|") as tar:
                manifest = _walked(tar, take)
            sealed.drain()
    except FileNotFoundError:
        raise Failure(f"there is no file {source}", code="not-found", hint="name another one") from None
    except (SealingError, tarfile.TarError, msgspec.DecodeError, EOFError) as error:
        raise Failure(
            f"{source} cannot be read: {error}", code="bad-backup", hint="another passphrase or key, another file?"
        ) from None
    return manifest


def _walked(tar: tarfile.TarFile, take: Callable[[Packed, BinaryIO], None]) -> Manifest:
    members = iter(tar)
    first = next(members, None)
    if first is None or first.name != MANIFEST or first.size > MANIFEST_BYTES_MAX:
        raise SealingError("its manifest is missing")
    manifest = msgspec.json.decode(_content(tar, first), type=Manifest)
    expected = iter(manifest.files)
    for member in members:
        packed = next(expected, None)
        if packed is None or member.name != packed.path or not member.isfile() or not _is_safe(packed.path):
            raise SealingError(f"{member.name!r} is not what its manifest names")
        content = _content(tar, member)
        if len(content) != packed.size or hashlib.sha256(content).hexdigest() != packed.sha256:
            raise SealingError(f"{member.name!r} is not what its manifest says")
        take(packed, io.BytesIO(content))
    missing = next(expected, None)
    if missing is not None:
        raise SealingError(f"{missing.path!r} is missing")
    return manifest


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read()


def _is_safe(path: str) -> bool:
    """Does it stay below the three places?"""
    parts = PurePosixPath(path).parts
    return len(parts) > 1 and parts[0] in {"stores", "keys", "config"} and ".." not in parts and "\0" not in path
