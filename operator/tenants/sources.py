"""Text that a person names: a file, or with ``http://`` or ``https://`` what a server gives.

Nothing is fetched unless a URL was written down.
"""

import urllib.error
import urllib.request
from pathlib import Path

from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet

SCHEMES = ("http://", "https://")
FETCH_BYTES_MAX = 1024 * 1024
FETCH_TIMEOUT_S = 10.0


def is_url(text: str) -> bool:
    """Is it to be fetched?"""
    return text.lower().startswith(SCHEMES)


def read_source(text: str) -> tuple[str, str]:
    """The place as people want to read it, and the content. Raises Failure when there is none, or it is too large."""
    if is_url(text):
        return text, _fetch(text)
    path = Path(text).expanduser().absolute()
    content = ChangeSet().read(path)
    if content is None:
        raise Failure(f"there is no file {path}", code="not-found", hint="check the path", path=str(path))
    return str(path), content.decode("utf-8", "replace")


def _fetch(url: str) -> str:
    request = urllib.request.Request(url, headers={"Accept": "application/jwt, text/plain"})
    try:
        with urllib.request.urlopen(request, timeout=FETCH_TIMEOUT_S) as answer:
            content: bytes = answer.read(FETCH_BYTES_MAX + 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Failure(f"cannot fetch {url}: {error}", code="unreachable", hint="check the URL", path=url) from None
    if len(content) > FETCH_BYTES_MAX:
        raise Failure(f"what {url} gives is too large to be a token", code="bad-token", path=url)
    return content.decode("utf-8", "replace")
