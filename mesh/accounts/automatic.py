"""What accounts share with the system account without anybody having written it down (spec auth section 23.4)."""

from typing import TYPE_CHECKING

import msgspec

from gossamer.auth.sharing.values import SERVICE, SINGLETON, STREAMED, AccountSharing, Export, Import

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account

USER_INFO = "$SYS.REQ.USER.INFO"
USER_INFO_OF = "$SYS.REQ.USER.*.INFO"

#: Asked subject, the system account's subject, how many answers it gives, whether it learns who asks.
SERVICES = (
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.{}.CONNZ", STREAMED, False),
    ("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.{}.CONNZ", STREAMED, False),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.ACCOUNT.{}.STATZ", STREAMED, False),
    (USER_INFO, "$SYS.REQ.USER.{}.INFO", SINGLETON, True),
)


def automatic_exports() -> tuple[Export, ...]:
    """Of the system account."""
    return (
        Export(kind=SERVICE, subject="$SYS.REQ.ACCOUNT.*.CONNZ", response=STREAMED, token_position=4),
        Export(kind=SERVICE, subject="$SYS.REQ.ACCOUNT.*.STATZ", response=STREAMED, token_position=4),
        Export(kind=SERVICE, subject="$SYS.DEBUG.SUBSCRIBERS"),
        Export(kind=SERVICE, subject=USER_INFO_OF, token_position=4),
    )


def with_automatic_exports(sharing: AccountSharing) -> AccountSharing:
    """What the system account shares: what its JWT says, and what it exports without saying so unless it says that."""
    said = {export.subject for export in sharing.exports if export.kind == SERVICE}
    more = tuple(export for export in automatic_exports() if export.subject not in said)
    return msgspec.structs.replace(sharing, exports=sharing.exports + more)


def automatic_imports(account: "Account", system: "Account") -> tuple[Import, ...]:
    """Of any account; the system account itself only asks for USER.INFO."""
    return tuple(
        Import(kind=SERVICE, exporter=system.name, subject=target.format(account.name), local=local, share=share)
        for local, target, _, share in SERVICES
        if account is not system or local == USER_INFO
    )
