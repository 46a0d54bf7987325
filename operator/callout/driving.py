"""Examining a token, with the fetching that it takes."""

import time
from collections.abc import Callable

from gossamer.auth.exchange import Cause, Denied, Exchange, Granted, Needed
from gossamer.operator.callout.fetching import Fetcher, FetchError

#: Discovery, keys, and once more; an exchange that asks for more is broken.
_FETCHES_MAX = 4


async def examine(
    exchange: Exchange, token: str, fetcher: Fetcher, clock: Callable[[], float] = time.time
) -> Granted | Denied:
    """Who would come in by the token, or why nobody."""
    for _ in range(_FETCHES_MAX):
        outcome = exchange.examine(token, clock())
        if not isinstance(outcome, Needed):
            return outcome
        try:
            body = await fetcher.fetch(outcome.url)
        except FetchError as error:
            exchange.keys.failed(outcome, str(error), clock())
        else:
            exchange.keys.learned(outcome, body, clock())
    return Denied(cause=Cause.KEYS_UNAVAILABLE, text="the issuer's documents lead nowhere")
