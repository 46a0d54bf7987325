"""Keys and credentials on disk (spec operator-cli section 2.3).

``keys/<K>/<SS>/<PUBLIC>.nk`` holds one seed or public key without a newline,
``creds/<OPERATOR>/<ACCOUNT>/<USER>.creds`` a decorated file. Keys belong to no operator: nothing on disk says
whose they are. What is in the files goes through a custodian: plain as nsc has it, or sealed (section 10.6).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gossamer.auth.keys import KeyKind, KeyPair, NkeyError, decode_seed, encode_seed, is_public, public_kind
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.custody.custodian import Custodian
from gossamer.operator.custody.sealing import is_sealed
from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet, existing_file

IGNORE_TEXT = b"# Secrets stay out of version control\n**/*.nk\n**/*.creds\n"
KEYS_FOLDER = "keys"
CREDENTIALS_FOLDER = "creds"


class Keystore:
    """The keys below one folder, read and written through a change set."""

    def __init__(
        self, root: Path, changes: ChangeSet, environment: Mapping[str, str], custodian: Custodian | None = None
    ) -> None:
        self.root = root
        self.custodian = custodian or Custodian(root, changes, environment)
        self._changes = changes
        self._ignore_file_wanted = not environment.get("NSC_NO_GIT_IGNORE")  # and not known to be there

    def key_path(self, public: str) -> Path:
        """Where the key is or would be. Raises Failure if ``public`` is no public key (so no path can be smuggled)."""
        if not is_public(public):
            raise Failure(f"{public!r} is not a public key", code="bad-key")
        return self.root.joinpath(KEYS_FOLDER, public[0], public[1:3], f"{public}.nk")

    def credentials_path(self, operator: str, account: str, user: str) -> Path:
        """Where a user's credentials are or would be. The names have been checked by whoever made the claims."""
        return self.root.joinpath(CREDENTIALS_FOLDER, operator, account, f"{user}.creds")

    def check_layout(self) -> None:
        """Raises Failure for a keystore of the old layout: its keys would not be found here."""
        for name in self._changes.children(self.root):
            folder = self.root / name
            if name in {KEYS_FOLDER, CREDENTIALS_FOLDER} or (folder / ".nsc").is_file():
                continue
            if name.endswith(".nk") or (folder.is_dir() and next(folder.rglob("*.nk"), None) is not None):
                raise Failure(
                    f"the keystore {self.root} has the old layout",
                    code="old-keystore",
                    hint="migrate it with: gossamer key migrate",
                    path=str(self.root),
                )

    def seed(self, public: str) -> str | None:
        """The seed of a key, also of a curve key; None when there is no file or it holds the public key only, and the
        seed was not handed in either.

        Raises Failure when the file is broken or holds another key's seed.
        """
        found = self.stored_seed(public)
        if found is None:
            found = next((seed for seed in self.custodian.handed_seeds() if public_of_seed(seed) == public), None)
        return found

    def stored_seed(self, public: str) -> str | None:
        """The seed in the key's file, not one that was handed in. Raises Failure like ``seed``."""
        path = self.key_path(public)
        content = self._read(public, path)
        text = public if content is None else content.decode("ascii", "replace").strip()
        if text == public:
            return None
        if public_of_seed(text) != public:
            raise Failure(
                f"{path} does not hold the seed of {public}",
                code="wrong-seed",
                hint="put the right seed there, or remove the file and name the key with -K",
                path=str(path),
            )
        return text

    def signer(self, public: str) -> KeyPair | None:
        """The key pair of a stored seed; None when it is not stored. Raises Failure like ``seed``."""
        text = self.seed(public)
        return None if text is None else KeyPair.from_seed(text)

    def has_seed(self, public: str) -> bool:
        """Is the seed stored, and the right one? A sealed one is believed: nothing is unlocked for this question."""
        return is_sealed(self._changes.read(self.key_path(public)) or b"") or self.seed(public) is not None

    def put_public(self, public: str) -> None:
        """Keep the public key only: the seed is elsewhere."""
        self._changes.write(self.key_path(public), public.encode())

    def is_offline(self, public: str) -> bool:
        """Does the file hold the public key only: the seed is kept elsewhere?"""
        return (self._changes.read(self.key_path(public)) or b"").strip() == public.encode()

    def put(self, pair: KeyPair | CurveKeyPair) -> None:
        """Store a seed. Raises Failure when the file exists with other content."""
        path = self.key_path(pair.public)
        before = self._changes.read(path)
        content = None if before is None else self.custodian.unwrap(pair.public, before, path)
        if content is not None and content.strip() == pair.seed.encode():
            return
        if content is not None and content.strip() != pair.public.encode():
            raise Failure(
                f"{path} exists with other content",
                code="exists",
                hint="move that file away first",
                path=str(path),
            )
        self._prepare()
        self._changes.replace(path, self.custodian.wrap(pair.public, pair.seed.encode()), before=before)

    def generate(self, kind: KeyKind) -> KeyPair:
        """Make and store a signing key."""
        pair = KeyPair.generate(kind)
        self.put(pair)
        return pair

    def remove(self, public: str) -> None:
        """Remove a key, if it is there."""
        self._changes.remove(self.key_path(public))

    def publics(self) -> Iterator[str]:
        """The public keys that have a file, sorted; files with other names are passed over."""
        top = self.root / KEYS_FOLDER
        for letter in self._changes.children(top):
            for pair in self._changes.children(top / letter):
                for name in self._changes.children(top / letter / pair):
                    public = name.removesuffix(".nk")
                    if name.endswith(".nk") and is_public(public):
                        yield public

    def write_credentials(self, operator: str, account: str, user: str, text: str) -> Path:
        """Put the decorated file of a user and return its path."""
        path = self.credentials_path(operator, account, user)
        self._prepare()
        label, content = credentials_label(operator, account, user), text.encode()
        before = self._changes.read(path)
        if before is None or self.custodian.unwrap(label, before, path) != content:
            self._changes.replace(path, self.custodian.wrap(label, content), before=before)
        return path

    def read_credentials(self, operator: str, account: str, user: str) -> str | None:
        """The decorated file of a user; None if there is none. Raises Failure when it cannot be unsealed."""
        path = self.credentials_path(operator, account, user)
        content = self._read(credentials_label(operator, account, user), path)
        return None if content is None else content.decode("utf-8", "replace")

    def remove_credentials(self, operator: str, account: str, user: str | None = None) -> None:
        """Remove the file of a user, or with no user those of a whole account."""
        if user is None:
            self._changes.remove_folder(self.root / CREDENTIALS_FOLDER / operator / account)
        else:
            self._changes.remove(self.credentials_path(operator, account, user))

    def _read(self, label: str, path: Path) -> bytes | None:
        content = self._changes.read(path)
        return None if content is None else self.custodian.unwrap(label, content, path)

    def _prepare(self) -> None:
        path = self.root / ".gitignore"
        if self._ignore_file_wanted and not self._changes.exists(path):
            self._changes.write(path, IGNORE_TEXT)
        self._ignore_file_wanted = False


def credentials_label(operator: str, account: str, user: str) -> str:
    """What sealed credentials are bound to: their path below the keystore. A text, as there may be 100,000 of them."""
    return f"{CREDENTIALS_FOLDER}/{operator}/{account}/{user}.creds"


def public_of_seed(text: str) -> str:
    """The public key of a seed of any kind; empty when the text is no seed."""
    try:
        kind, raw = decode_seed(text)
        if kind is KeyKind.CURVE:
            return CurveKeyPair.from_seed(encode_seed(kind, raw)).public
        return KeyPair.from_seed(text).public
    except NkeyError:
        return ""


def read_key_argument(text: str, kind: KeyKind, keystore: Keystore) -> tuple[str, KeyPair | None]:
    """A key given on the command line: a public key, a seed, or the path of a file with either.

    Returns the public key, and the pair when a seed was given or is stored. Raises Failure when it is none of these
    or of another kind (spec operator-cli section 3, "keys to add").
    """
    content = text
    place = "the key given"
    if public_kind(text) is None and not public_of_seed(text):
        stored = _file_content(text)
        if stored is not None:
            place, content = text, stored
    if public_of_seed(content):
        pair = KeyPair.from_seed(content) if decode_seed(content)[0] is not KeyKind.CURVE else None
        if pair is None or pair.kind is not kind:
            raise _wrong_kind(place, kind)
        return pair.public, pair
    if not is_public(content):
        raise Failure(
            f"{place} is neither a public key, nor a seed, nor a file that holds one",
            code="bad-key",
            hint=f"give a public {kind.word} key ({kind.letter}...), its seed (S{kind.letter}...) or a path",
        )
    if not is_public(content, kind):
        raise _wrong_kind(place, kind)
    return content, keystore.signer(content)


def _file_content(text: str) -> str | None:
    """The text of a file; None when there is none of that name."""
    path = existing_file(text)
    return None if path is None else (ChangeSet().read(path) or b"").decode("ascii", "replace").strip()


def _wrong_kind(place: str, kind: KeyKind) -> Failure:
    return Failure(
        f"{place} is not an {kind.word} key" if kind.word[0] in "ao" else f"{place} is not a {kind.word} key",
        code="bad-key",
        hint=f"it must start with {kind.letter} (public) or S{kind.letter} (seed)",
    )
