"""What a solicitor says of itself: the credentials of a remote, made into fields of CONNECT (spec leafnodes 7)."""

from gossamer.mesh.leafnodes.urls import LeafUrl, UrlList
from gossamer.mesh.options.options import LeafRemoteOptions
from gossamer.mesh.world.disk import Disk


class CredentialsTrouble(Exception):
    """A file or key that cannot be used; the text names it and holds no secret."""


def login_fields(options: LeafRemoteOptions, urls: UrlList, url: LeafUrl, nonce: str, disk: Disk) -> dict[str, object]:
    """Fields of CONNECT for the hub at ``url``, which told us to sign ``nonce``. Raises CredentialsTrouble."""
    fields: dict[str, object] = {}
    if options.credentials:
        fields |= _of_file(options.credentials, nonce, disk)
    elif options.nkey:
        fields |= _of_seed(options.nkey, nonce)
    user, password = urls.login(url)
    if user:
        fields["user"] = user
        if password is None:
            fields["auth_token"] = user
        else:
            fields["pass"] = password
    return fields


def _of_file(path: str, nonce: str, disk: Disk) -> dict[str, object]:
    from gossamer.auth.credentials import find_seed, find_token
    from gossamer.auth.keys import KeyPair

    try:
        content = disk.read(path)
    except OSError as error:
        raise CredentialsTrouble(f"credentials file {path}: {error.strerror or error}") from error
    try:
        text = content.decode()
        token = find_token(text)
        signature = KeyPair.from_seed(find_seed(text)).sign(nonce.encode())
    except ValueError as error:
        raise CredentialsTrouble(f"credentials file {path}: {error}") from error
    return {"jwt": token, "sig": _encoded(signature)}


def _of_seed(seed: str, nonce: str) -> dict[str, object]:
    from gossamer.auth.keys import KeyPair

    try:
        pair = KeyPair.from_seed(seed)
    except ValueError as error:
        raise CredentialsTrouble(f"the remote's nkey: {error}") from error
    return {"nkey": pair.public, "sig": _encoded(pair.sign(nonce.encode()))}


def _encoded(signature: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
