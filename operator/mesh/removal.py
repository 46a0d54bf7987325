"""Accounts taken off the servers (spec operator-cli sections 6 and 10.4).

With a grace it takes two steps: the account is shut first (no connection, no leaf node, everybody revoked) and removed
only later, so that a mistake can still be undone by a push of the old claim.
"""

import asyncio
from collections.abc import Mapping

from msgspec import Struct, field, structs

from gossamer.auth.claims import AccountClaims, GenericClaims
from gossamer.auth.jwt import TokenError, decode_as, encode
from gossamer.auth.keys import KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.answers import Ruling, Server
from gossamer.operator.mesh.connection import Mesh, newest
from gossamer.operator.mesh.pushing import PushReport
from gossamer.operator.store.stored import sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import operator_signer


class Removal(Struct, kw_only=True):
    """What was removed (names by public key; empty where nobody knows the name), and what the servers said."""

    accounts: dict[str, str]
    servers: tuple[Server, ...]
    unheard: int
    rulings: list[Ruling] = field(default_factory=list)
    shut: PushReport | None = None

    def silent(self) -> list[Server]:
        """Known servers that did not answer."""
        heard = {ruling.server.id for ruling in self.rulings}
        return [server for server in self.servers if server.id not in heard] if self.accounts else []

    @property
    def complete(self) -> bool:
        """Has every server of the mesh removed them?"""
        return not (self.silent() or self.unheard) and all(ruling.accepted for ruling in self.rulings)


def delete_token(accounts: list[str], signer: KeyPair, *, now: int) -> str:
    """The order to delete accounts: signed by an operator key about itself (spec auth section 23.1)."""
    claims = GenericClaims(name="delete accounts", subject=signer.public, data={"accounts": accounts})
    return encode(claims, signer, issued_at=now)


async def extra_accounts(mesh: Mesh, workspace: Workspace) -> dict[str, str]:
    """Names by public key of the accounts that some server stores and the store does not have; never the system
    account. The name is empty where it cannot be read."""
    operator = workspace.operator().claims
    known = {
        workspace.store.account(operator.name, name).claims.subject for name in workspace.store.accounts(operator.name)
    }
    lists = await mesh.lists()
    found = {key for keys in lists.values() for key in keys} - known - {operator.system_account}
    names: dict[str, str] = {}
    for key, tokens in (await mesh.copies_of(sorted(found))).items():
        token = newest(tokens)
        try:
            names[key] = decode_as(AccountClaims, token).name if token else ""
        except TokenError:
            names[key] = ""
    return names


async def remove_accounts(
    mesh: Mesh,
    workspace: Workspace,
    accounts: Mapping[str, str],
    *,
    now: int,
    grace_s: float = 0.0,
    wish: str = "",
    dry_run: bool = False,
) -> Removal:
    """Remove accounts (names by public key) from every server; with ``grace_s`` shut them first and wait so long.

    Raises Failure for the system account, and when no operator key is at hand.
    """
    operator = workspace.operator().claims
    if operator.system_account in accounts:
        raise Failure("the system account is never removed: servers do not run without it", code="system-account")
    signer = operator_signer(workspace.keystore, operator, wish)
    removal = Removal(accounts=dict(accounts), servers=await mesh.servers(), unheard=await mesh.unheard())
    if not accounts or dry_run:
        return removal
    if grace_s > 0:
        removal.shut = await mesh.push(await _shut(mesh, list(accounts), signer, now=now))
        await asyncio.sleep(grace_s)
    removal.rulings = await mesh.delete(delete_token(sorted(accounts), signer, now=now))
    return removal


async def _shut(mesh: Mesh, accounts: list[str], signer: KeyPair, *, now: int) -> list[str]:
    """The claims of accounts, changed so that nobody gets in."""
    tokens = []
    for account in accounts:
        token = await mesh.lookup(account)
        try:
            before = decode_as(AccountClaims, token)
        except TokenError:
            continue  # nothing there, or nothing that servers could use
        tokens.append(sign(shut_account(before, now), signer, now=now, newer_than=before.issued_at).token)
    return tokens


def shut_account(claims: AccountClaims, now: int) -> AccountClaims:
    """The same account, closed to everybody: no connections, no leaf nodes, all users revoked until ``now``."""
    limits = structs.replace(claims.limits, connections=0, leafnodes=0)
    return structs.replace(claims, limits=limits, revocations={**claims.revocations, "*": now})
