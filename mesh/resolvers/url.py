"""Accounts that an HTTP server knows (spec auth section 22.1: URL)."""

from typing import TYPE_CHECKING

from gossamer.auth.resolver import ResolverError

if TYPE_CHECKING:
    from aiohttp import ClientSession

#: A JWT may not be longer (spec auth section 3.1).
_BYTES_MAX = 1024 * 1024
_SECOND_NS = 1_000_000_000


class UrlResolver:
    """``GET <url><account key>`` answers the JWT. ``start`` before, ``stop`` after."""

    asks_elsewhere = True

    def __init__(self, url: str, *, timeout_ns: int) -> None:
        """``url``: with its last slash, if it needs one; ``timeout_ns`` for each request as a whole."""
        self.url = url
        self.timeout_ns = timeout_ns
        self._session: ClientSession | None = None

    async def start(self) -> None:
        """Make sure that somebody is at home. Raises ResolverError."""
        await self._get("")

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def stored(self, key: str) -> str | None:
        """Nothing is at hand."""
        return None

    async def fetch(self, key: str) -> str | None:
        """See Resolver. What the server does not have is an error, as in the reference."""
        return (await self._get(key)).strip() or None

    def learned(self, key: str, token: str) -> str:
        """Nothing is kept but in memory."""
        return token

    def place(self, key: str) -> str:
        """See Resolver."""
        return f"{self.url}{key}"

    async def _get(self, key: str) -> str:
        import aiohttp  # takes long to import, and few have an HTTP resolver

        url = f"{self.url}{key}"
        if not url.startswith(("http://", "https://")):
            scheme = url.partition("://")[0] if "://" in url else ""
            raise ResolverError(f'could not fetch <"{url}">: Get "{url}": unsupported protocol scheme "{scheme}"')
        if self._session is None:
            self._session = aiohttp.ClientSession()
        timeout_s = self.timeout_ns / _SECOND_NS
        try:
            async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=timeout_s)) as answer:
                if answer.status != 200:
                    raise ResolverError(f'could not fetch <"{url}">: {answer.status} {answer.reason}')
                body = await answer.content.read(_BYTES_MAX + 1)
                while len(body) <= _BYTES_MAX and (more := await answer.content.read(_BYTES_MAX)):
                    body += more
        except (aiohttp.ClientError, TimeoutError) as error:
            why = f"no answer within {timeout_s:g} s" if isinstance(error, TimeoutError) else str(error)
            raise ResolverError(f'could not fetch <"{url}">: {why}') from None
        if len(body) > _BYTES_MAX:
            raise ResolverError(f'could not fetch <"{url}">: the answer is no JWT: longer than {_BYTES_MAX} bytes')
        try:
            return body.decode("ascii")
        except UnicodeDecodeError:
            raise ResolverError(f'could not fetch <"{url}">: the answer is no JWT') from None
