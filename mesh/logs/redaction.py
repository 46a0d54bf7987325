"""No secret reaches a log: what traced protocol lines and addresses hold is masked (spec client-protocol 26.2)."""

import re

_MASK = "[REDACTED]"
#: Members of CONNECT whose value is a secret or stands for one; JSON text as peers write it.
_SECRETS = re.compile(
    r'("(?:pass[a-z]*|auth_token[a-z]*|sig|proxy_sig|nkey|jwt)"\s*:\s*)"(?:[^"\\]|\\.)*"?', re.IGNORECASE
)
_USER_IN_URL = re.compile(r"(//[^/@:\s]*):[^/@\s]*@")


def redact_line(line: bytes) -> str:
    """A protocol line for the log; only CONNECT can hold secrets."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    return _SECRETS.sub(rf'\1"{_MASK}"', text) if text[:7].upper() == "CONNECT" else text


def redact_url(url: str) -> str:
    """A URL without its password."""
    return _USER_IN_URL.sub(rf"\1:{_MASK}@", url)
