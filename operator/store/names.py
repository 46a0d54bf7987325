"""Names that become file names: what is accepted, so that nothing can leave the store's folder."""

from gossamer.operator.failure import Failure

#: A file is called NAME.creds; most file systems allow 255 bytes for a name.
NAME_BYTES_MAX = 240


def checked_name(name: str, kind: str) -> str:
    """The trimmed name of an operator, account or user.

    Raises Failure when it could not be a file name of its own: empty, a dot name, with a path separator or a control
    character, or too long (spec operator-cli section 2.2).
    """
    trimmed = name.strip()
    reason = ""
    if not trimmed:
        reason = "it is empty"
    elif trimmed in {".", ".."} or trimmed.startswith(".."):
        reason = "it starts with dots that mean a folder"
    elif "/" in trimmed or "\\" in trimmed:
        reason = "it has a path separator"
    elif any(ord(letter) < 32 or ord(letter) == 127 for letter in trimmed):
        reason = "it has a control character"
    elif any(0xD800 <= ord(letter) <= 0xDFFF for letter in trimmed):
        reason = "it is not valid Unicode"
    elif len(trimmed.encode()) > NAME_BYTES_MAX:
        reason = f"it is longer than {NAME_BYTES_MAX} bytes"
    if reason:
        raise Failure(
            f"{kind} name {name!r} cannot be stored: {reason}",
            code="bad-name",
            hint="names become file names: choose another one",
        )
    return trimmed
