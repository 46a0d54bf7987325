"""Documents of issuers over HTTP: bounded in time and size, each at most once at a time."""

import asyncio
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from gossamer.auth.exchange import BYTES_MAX
from gossamer.operator.failure import Failure

TIMEOUT_S = 5.0


class FetchError(Exception):
    """A document could not be had; the text says why, in a few words."""


class Fetcher:
    """Use as an async context manager. Redirects are not followed: an issuer says where its keys are."""

    def __init__(self, *, authorities: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """``authorities``: a PEM file of certificate authorities to believe beside the system's, empty: none. Raises
        Failure if it cannot be read."""
        self._context = ssl.create_default_context()
        if authorities:
            try:
                self._context.load_verify_locations(cafile=str(Path(authorities).expanduser()))
            except OSError as error:  # ssl.SSLError is one
                hint = "it must be PEM"
                text = f"cannot read certificate authorities {authorities}: {error}"
                raise Failure(text, code="storage", hint=hint, path=authorities) from None
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None
        self._running: dict[str, asyncio.Task[bytes]] = {}

    async def __aenter__(self) -> Self:
        """Open it."""
        self._session = aiohttp.ClientSession(timeout=self._timeout, trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        for task in list(self._running.values()):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running.values()))
        if self._session is not None:
            await self._session.close()

    async def fetch(self, url: str) -> bytes:
        """The document. Raises FetchError."""
        task = self._running.get(url)
        if task is None:
            task = self._running[url] = asyncio.create_task(self._fetch(url))
            task.add_done_callback(lambda done: self._running.pop(url, None))
        return await asyncio.shield(task)

    async def _fetch(self, url: str) -> bytes:
        assert self._session is not None, "use it as a context manager"
        try:
            async with self._session.get(url, ssl=self._context, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise FetchError(f"the answer is {answer.status}")
                body = b""
                async for chunk in answer.content.iter_chunked(65_536):
                    body += chunk
                    if len(body) > BYTES_MAX:
                        raise FetchError(f"it is longer than {BYTES_MAX} bytes")
                return body
        except TimeoutError:
            raise FetchError(f"no answer within {self._timeout.total:g} s") from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise FetchError(str(error) or type(error).__name__) from None
