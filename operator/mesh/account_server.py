"""The HTTP account server: one URL per account (spec operator-cli section 6)."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct

from gossamer.operator.failure import Failure
from gossamer.operator.mesh.wire import tls_context

CONTENT_TYPE = "application/jwt"
_PARALLEL = 8
_BYTES_MAX = 2 * 1024 * 1024


class Reply(Struct, frozen=True, kw_only=True):
    """What the server answered: 200 done, another 2xx waits for somebody's approval."""

    status: int
    text: str

    @property
    def stored(self) -> bool:
        """Is it in force?"""
        return self.status == 200

    @property
    def pending(self) -> bool:
        """Has it been taken, and waits?"""
        return 200 < self.status < 300


class AccountServer:
    """An account server at ``url`` (no trailing slash). Every call raises Failure when it cannot be reached."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s

    def push(self, account: str, token: str) -> Reply:
        """Give it an account's JWT."""
        return self._ask("POST", f"{self.url}/accounts/{account}", token.encode())

    def pull(self, account: str) -> Reply:
        """An account's JWT; status 404 when it does not know it."""
        return self._ask("GET", f"{self.url}/accounts/{account}")

    def operator(self) -> Reply:
        """The operator's JWT."""
        return self._ask("GET", f"{self.url}/operator")

    def push_all(
        self, accounts: Iterable[tuple[str, str]], progress: Callable[[int, int], None] | None = None
    ) -> list[Reply]:
        """Push pairs of account and token, several at a time; replies in the same order."""
        todo = list(accounts)
        replies: list[Reply] = []
        with ThreadPoolExecutor(_PARALLEL) as pool:
            for reply in pool.map(lambda pair: self.push(*pair), todo):
                replies.append(reply)
                if progress is not None:
                    progress(len(replies), len(todo))
        return replies

    def _ask(self, method: str, url: str, body: bytes | None = None) -> Reply:
        request = urllib.request.Request(url, data=body, method=method)
        if body is not None:
            request.add_header("Content-Type", CONTENT_TYPE)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=tls_context(os.environ)) as answer:
                return Reply(status=answer.status, text=answer.read(_BYTES_MAX).decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(status=error.code, text=error.read(_BYTES_MAX).decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise Failure(
                f"cannot reach {self.url}: {reason}",
                code="unreachable",
                hint="check the URL, or name another with --url",
            ) from None
