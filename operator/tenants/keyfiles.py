"""Keys as loose files: collected from any folder, exported to one, and moved out of the old layout of a keystore
(spec operator-cli sections 2.3 and 4.6)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gossamer.auth.credentials import CredentialsError, find_seed
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError, decode_seed
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.custody.sealing import is_sealed
from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.store.changes import REMEDY_READ, ChangeSet
from gossamer.operator.store.keystore import CREDENTIALS_FOLDER, KEYS_FOLDER
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.result import Outcome

AnyPair = KeyPair | CurveKeyPair


def collect_keys(folder: Path, *, recurse: bool) -> dict[str, AnyPair]:
    """The seeds in the ``.nk`` files of a folder, by their public keys. Files with a public key only are passed over.

    Raises Failure for a file that holds neither.
    """
    found: dict[str, AnyPair] = {}
    for path in files_below(folder, ".nk", recurse=recurse):
        pair = read_pair(path)
        if pair is not None:
            found[pair.public] = pair
    return found


def read_pair(path: Path) -> AnyPair | None:
    """The key of a file; None when it holds a public key only. Raises Failure for anything else."""
    content = ChangeSet().read(path) or b""
    if is_sealed(content):
        raise Failure(
            f"{path} is sealed",
            code="sealed",
            hint="where it comes from, write it in plain first: gossamer key export, or keys move --to file",
            path=str(path),
        )
    text = content.decode("utf-8", "replace").strip()
    try:
        if len(text.split()) == 1 and not text.startswith("S"):
            KeyPair.from_public(text) if not text.startswith("X") else None
            return None
        seed = text if len(text.split()) == 1 else find_seed(text)
        kind, _ = decode_seed(seed)
        return CurveKeyPair.from_seed(seed) if kind is KeyKind.CURVE else KeyPair.from_seed(seed)
    except (NkeyError, CredentialsError) as error:
        raise Failure(
            f"{path} holds no key: {error}", code="broken-file", hint="move that file away", path=str(path)
        ) from None


def collect_credentials(keys: Path, operator: str) -> dict[tuple[str, str], str]:
    """The credentials of an operator's users in a keystore, by account and user; the old layout has them elsewhere."""
    found: dict[tuple[str, str], str] = {}
    for path in files_below(keys / CREDENTIALS_FOLDER / operator, ".creds", recurse=True):
        found[(path.parent.name, path.stem)] = path.read_text("utf-8", "replace")
    for path in files_below(keys / operator / "accounts", ".creds", recurse=True):
        if path.parent.name == "users":
            found.setdefault((path.parent.parent.name, path.stem), path.read_text("utf-8", "replace"))
    return found


def files_below(folder: Path, suffix: str, *, recurse: bool) -> Iterator[Path]:
    """Files with this suffix, sorted. Raises Failure when the folder cannot be read; none if it is not there."""
    if not folder.is_dir():
        return
    try:
        paths = sorted(folder.rglob(f"*{suffix}") if recurse else folder.glob(f"*{suffix}"))
    except OSError as error:
        raise from_os_error(error, "list", folder, REMEDY_READ) from None
    yield from (path for path in paths if path.is_file())


def import_keys(workspace: Workspace, folder: Path, *, recurse: bool) -> Outcome:
    """Put the keys of a folder into the keystore."""
    if not folder.is_dir():
        raise Failure(f"there is no folder {folder}", code="not-found", hint="check the path", path=str(folder))
    outcome = Outcome()
    found = collect_keys(folder, recurse=recurse)
    for public, pair in found.items():
        if workspace.keystore.has_seed(public):
            continue
        workspace.keystore.put(pair)
        outcome.changed = True
        outcome.note(f"stored {public}")
    if not found:
        hint = "" if recurse else "pass --recurse to look below it"
        outcome.warn("no-keys", f"there is no key in {folder}", hint)
    return outcome


def export_keys(
    workspace: Workspace,
    folder: Path,
    publics: Iterable[str],
    *,
    force: bool = False,
    remove: bool = False,
    tokens: Iterable[tuple[str, str]] = (),
) -> Outcome:
    """Write seeds as ``PUBLIC.nk`` into a folder, 0600, and ``tokens`` (file name and JWT) beside them.

    With ``remove`` they leave the keystore once they are written. Raises Failure for a file that is there with other
    content, unless ``force``.
    """
    outcome = Outcome()
    gone = []
    for public in publics:
        seed = workspace.keystore.seed(public)
        if seed is None:
            continue
        _put(workspace, folder / f"{public}.nk", seed, force, outcome)
        gone.append(public)
    for name, token in tokens:
        _put(workspace, folder / name, token, force, outcome)
    if remove:
        # Written first and removed after: the change set keeps that order.
        for public in gone:
            workspace.keystore.remove(public)
            outcome.changed = True
            outcome.note(f"removed {public} from the keystore")
    if not gone:
        outcome.warn("no-keys", "no seed of what was asked for is stored")
    return outcome


def migrate_keys(workspace: Workspace) -> Outcome:
    """Bring a keystore of the old layout into the present one: each key and each credentials file to its place.

    A file is removed from its old place only as part of the change that writes it to the new one.
    """
    root, outcome = workspace.keystore.root, Outcome()
    new = {root / KEYS_FOLDER, root / CREDENTIALS_FOLDER}
    for path in files_below(root, ".nk", recurse=True):
        if new & set(path.parents):
            continue
        pair = read_pair(path)
        if pair is not None:
            workspace.keystore.put(pair)
            outcome.note(f"moved {pair.public}")
        workspace.changes.remove(path)
        outcome.changed = True
    for path in files_below(root, ".creds", recurse=True):
        parts = path.relative_to(root).parts
        if new & set(path.parents) or len(parts) != 5 or (parts[1], parts[3]) != ("accounts", "users"):
            continue
        workspace.keystore.write_credentials(parts[0], parts[2], path.stem, path.read_text("utf-8", "replace"))
        workspace.changes.remove(path)
        outcome.changed = True
        outcome.note(f"moved the credentials of {parts[0]}/{parts[2]}/{path.stem}")
    if not outcome.changed:
        outcome.note(f"the keystore {root} has the present layout")
    return outcome


def _put(workspace: Workspace, path: Path, text: str, force: bool, outcome: Outcome) -> None:
    before = workspace.changes.read(path)
    if before == text.encode():
        return
    if before is not None and not force:
        raise Failure(f"{path} exists with other content", code="exists", hint="pass --force", path=str(path))
    workspace.changes.write(path, text.encode())
    outcome.changed = True
    outcome.note(f"wrote {path}")
