"""The options in the body of a request, read with the tolerance that tools need: ``null`` and zero values mean that
nothing was said (spec system-and-monitoring section 5)."""

from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.mesh.monitor import connz, gatewayz, subsz

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Message

Body = dict[str, Any]


def body_of(request: "Message") -> Body | None:
    """The JSON object of a request, headers left out; empty means no options. None: it is something else."""
    text = text_of(request)
    if not text:
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def text_of(request: "Message") -> bytes:
    """The payload without headers and without blanks around it."""
    return request.data[request.header_size :].strip()


class _ConnzBody(msgspec.Struct):
    sort: str | None = None
    auth: bool | None = None
    subscriptions: bool | None = None
    subscriptions_detail: bool | None = None
    offset: int | None = None
    limit: int | None = None
    cid: int | None = None
    state: int | None = None
    user: str | None = None
    acc: str | None = None


def connz_options(body: Body, account: str = "") -> connz.ConnzOptions:
    """``account`` restricts to it, whatever the body says. Raises BadParameter, msgspec.ValidationError."""
    asked = msgspec.convert(body, _ConnzBody)
    state = asked.state or 0
    options = connz.ConnzOptions(
        sort=asked.sort or "",
        auth=bool(asked.auth),
        subscriptions=bool(asked.subscriptions or asked.subscriptions_detail),
        detail=bool(asked.subscriptions_detail),
        offset=max(0, asked.offset or 0),
        limit=asked.limit or 0,
        cid=asked.cid or 0,
        opened=state != 1,
        closed=state in (1, 2),
        user=asked.user or "",
        account=account or asked.acc or "",
    )
    connz.check(options)
    return options


class _SubszBody(msgspec.Struct):
    offset: int | None = None
    limit: int | None = None
    subscriptions: bool | None = None
    account: str | None = None
    test: str | None = None


def subsz_options(body: Body, account: str = "") -> subsz.SubszOptions:
    """As above; restricted to an account the subscriptions are listed in any case."""
    asked = msgspec.convert(body, _SubszBody)
    options = subsz.SubszOptions(
        subscriptions=bool(asked.subscriptions or account),
        offset=max(0, asked.offset or 0),
        limit=asked.limit or 0,
        account=account or asked.account or "",
        test=asked.test or "",
    )
    subsz.check(options)
    return options


class _GatewayzBody(msgspec.Struct):
    name: str | None = None
    accounts: bool | None = None
    account_name: str | None = None
    subscriptions: bool | None = None
    subscriptions_detail: bool | None = None


def gatewayz_options(body: Body) -> gatewayz.GatewayzOptions:
    """As above. Raises msgspec.ValidationError."""
    asked = msgspec.convert(body, _GatewayzBody)
    return gatewayz.GatewayzOptions(
        gateway=asked.name or "",
        accounts=bool(asked.accounts),
        account=asked.account_name or "",
        subscriptions=bool(asked.subscriptions or asked.subscriptions_detail),
        in_detail=bool(asked.subscriptions_detail and not asked.subscriptions),
    )


class _StatzBody(msgspec.Struct):
    accounts: list[str] | None = None
    include_unused: bool | None = None


def statz_options(body: Body) -> tuple[tuple[str, ...], bool]:
    """The accounts asked for (none: all) and whether idle ones are shown. Raises msgspec.ValidationError."""
    asked = msgspec.convert(body, _StatzBody)
    return tuple(asked.accounts or ()), bool(asked.include_unused)


class _AccountBody(msgspec.Struct):
    account: str | None = None


def account_option(body: Body) -> str:
    """The account asked about; empty: none. Raises msgspec.ValidationError."""
    return msgspec.convert(body, _AccountBody).account or ""
