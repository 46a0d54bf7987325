"""The system's keyring (Secret Service, Keychain, Credential Locker), through the package ``keyring`` if it is there.

It keeps the master key of a keystore, one entry for all its files, under the envelope's id.
"""

import base64
import binascii
from importlib import import_module
from typing import Any

from gossamer.operator.custody.sealing import MASTER_BYTES
from gossamer.operator.failure import ExitCode, Failure

SERVICE = "gossamer"


def ring_master(envelope: str) -> bytes:
    """The master key. Raises Failure when there is no keyring, or it does not hold it."""
    try:
        text = _ring().get_password(SERVICE, envelope)
    except Exception as error:  # each system's keyring has errors of its own
        raise _unusable(error) from None
    try:
        master = base64.b64decode(text or "", validate=True)
    except binascii.Error:
        master = b""
    if len(master) != MASTER_BYTES:
        raise Failure(
            f"the system's keyring does not hold the key {envelope} of this keystore",
            code="locked-keystore",
            hint="log in as the user who put it there, or restore from a backup",
            exit_code=ExitCode.SIGNER_UNAVAILABLE,
        )
    return master


def put_ring_master(envelope: str, master: bytes) -> None:
    """Store a master key, and read it back. Raises Failure when it is not there afterwards."""
    try:
        _ring().set_password(SERVICE, envelope, base64.b64encode(master).decode())
    except Failure:
        raise
    except Exception as error:
        raise _unusable(error) from None
    if ring_master(envelope) != master:
        raise _unusable(ValueError("it did not keep what was stored"))


def forget_ring_master(envelope: str) -> None:
    """Remove a master key. Raises Failure."""
    try:
        _ring().delete_password(SERVICE, envelope)
    except Failure:
        raise
    except Exception as error:
        raise _unusable(error) from None


def _ring() -> Any:
    try:
        return import_module("keyring")
    except ImportError:
        raise Failure(
            "the system's keyring cannot be used: the package 'keyring' is not installed",
            code="no-keyring",
            hint="install it with: pip install keyring, or use --to encrypted",
            exit_code=ExitCode.SIGNER_UNAVAILABLE,
        ) from None


def _unusable(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    # The text of a foreign error may hold what was stored: its name has to do.
    return Failure(
        f"the system's keyring refuses: {type(error).__name__}",
        code="no-keyring",
        hint="unlock it, or use --to encrypted",
        exit_code=ExitCode.SIGNER_UNAVAILABLE,
    )
