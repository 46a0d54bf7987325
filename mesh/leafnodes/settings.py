"""The ``leafnodes`` block as leaf nodes use it: URLs taken apart, defaults filled in (spec configuration 6.3, 6.4)."""

from urllib.parse import urlsplit

from msgspec import Struct

from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings, UserSettings
from gossamer.mesh.leafnodes.urls import LeafUrl, parse_url
from gossamer.mesh.options.options import LeafNodeOptions, LeafRemoteOptions


class RemoteSettings(Struct, frozen=True, kw_only=True):
    """A hub to dial."""

    options: LeafRemoteOptions
    urls: tuple[LeafUrl, ...]

    @property
    def identity(self) -> tuple[object, ...]:
        return self.options.identity


class LeafSettings(Struct, frozen=True, kw_only=True):
    """``authorization``: leaf nodes have users of their own; None: they are judged as clients are. ``account``: where
    they belong if nobody is asked. ``advertise``: host and port that others dial (port 0: the listener's)."""

    options: LeafNodeOptions
    advertise: tuple[str, int] | None
    authorization: AuthSettings | None
    account: str
    remotes: tuple[RemoteSettings, ...]


def settings_from(options: LeafNodeOptions, trusted_proxies: tuple[str, ...] = ()) -> LeafSettings:
    """Raises ValueError for a URL or advertised address that cannot be read."""
    return LeafSettings(
        options=options,
        advertise=_address(options.advertise) if options.advertise else None,
        authorization=_authorization(options, trusted_proxies),
        account=options.account or GLOBAL_ACCOUNT,
        remotes=tuple(
            RemoteSettings(options=each, urls=tuple(parse_url(url) for url in each.urls))
            for each in options.remotes
            if each.urls
        ),
    )


def _authorization(options: LeafNodeOptions, trusted_proxies: tuple[str, ...]) -> AuthSettings | None:
    account = options.account or GLOBAL_ACCOUNT
    if options.user:
        users: tuple[UserSettings, ...] = (UserSettings(name=options.user, password=options.password, account=account),)
    elif options.nkey:
        users = (UserSettings(nkey=options.nkey, account=account),)
    else:
        users = options.users
    if not users:
        return None
    return AuthSettings(users=users, proxy_required=options.proxy_required, trusted_proxies=trusted_proxies)


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError(f"no host in {text!r}")
    return parts.hostname, parts.port or 0
