"""What a configuration says its accounts share, as values (spec configuration sections 5.4 and 5.6)."""

from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings
from gossamer.auth.sharing.values import AccountSharing


def of_settings(settings: AuthSettings) -> tuple[AccountSharing, ...]:
    """Every configured account, and the global one if anything is mapped in it. In the order of the file."""
    found = [
        AccountSharing(
            account=entry.name,
            name=entry.name,
            exports=entry.exports,
            imports=entry.imports,
            mappings=entry.mappings,
            place=entry.place,
        )
        for entry in settings.accounts
    ]
    if settings.mappings:
        found.append(AccountSharing(account=GLOBAL_ACCOUNT, name=GLOBAL_ACCOUNT, mappings=settings.mappings))
    return tuple(found)
