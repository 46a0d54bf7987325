"""Fuzz targets of what is read from files: configuration, tokens, credentials. Each knows one kind of refusal; anything
else that is raised is a finding."""

from gossamer.auth.credentials import CredentialsError, find_seed, find_token, parse_credentials, parse_key
from gossamer.auth.jwt import TokenError, decode, decode_generic
from gossamer.auth.keys import NkeyError, decode_public, decode_seed
from gossamer.mesh.options.language import ConfigurationError, parse_text


def _no_files(path: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", path)


def consume_configuration(data: bytes) -> None:
    """A configuration file, without any other file to include."""
    try:
        parse_text(data.decode("utf-8", "surrogateescape"), "fuzz.conf", reader=_no_files, environment={"HOME": "x"})
    except ConfigurationError as error:
        str(error)


def consume_token(data: bytes) -> None:
    """A JWT of any kind."""
    text = data.decode("utf-8", "replace")
    for read in (decode, decode_generic):
        try:
            read(text)
        except TokenError as error:
            str(error)


def consume_credentials(data: bytes) -> None:
    """A decorated file, or a key by itself."""
    text = data.decode("utf-8", "replace")
    for read in (parse_credentials, parse_key, find_token, find_seed):
        try:
            read(text)
        except CredentialsError as error:
            str(error)
    for decode_key in (decode_public, decode_seed):
        try:
            decode_key(text)
        except NkeyError as error:
            str(error)
