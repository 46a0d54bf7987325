"""The part of a server's configuration that says whom it trusts (spec operator-cli section 5.1).

Three forms, for nats-server and for our own nodes alike: all accounts in memory; a directory of account JWTs that
servers share (``full``), or one that only caches (``cache``), either with the system account preloaded.
"""

from enum import StrEnum

from gossamer.auth.claims import AccountClaims
from gossamer.operator.failure import Failure
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace

RESOLVER_DIRECTORY = "./jwt"


class ResolverForm(StrEnum):
    """Where servers take account JWTs from."""

    MEMORY = "memory"
    FULL = "full"
    CACHE = "cache"


def server_configuration(
    workspace: Workspace, form: ResolverForm, *, system_account: str = "", directory: str = RESOLVER_DIRECTORY
) -> str:
    """The text. ``system_account`` is a name, for an operator whose claim names none.

    Raises Failure when there is no operator, or a resolver directory would be without a system account.
    """
    operator = workspace.operator()
    name = operator.claims.name
    system = _system_account(workspace, name, operator.claims.system_account, system_account)
    lines = [f"# Operator {_quoted(name)}", f"operator: {operator.token}", ""]
    if system is not None:
        lines += [f"# System account {_quoted(system.claims.name)}", f"system_account: {system.claims.subject}", ""]
    if form is ResolverForm.MEMORY:
        accounts = [workspace.store.account(name, account) for account in workspace.store.accounts(name)]
        lines += ["resolver: MEMORY", "", *_preload(accounts)]
    else:
        if system is None:
            raise Failure(
                "system account is not set: servers exchange account JWTs over it",
                code="no-system-account",
                hint="make one with: gossamer operator create NAME --sys --exist-ok, or name one with --sys-account",
            )
        lines += [*_resolver(form, directory), "", *_preload([system])]
    return "\n".join(lines) + "\n"


def _system_account(workspace: Workspace, operator: str, public: str, wish: str) -> Stored[AccountClaims] | None:
    if wish:
        stored = workspace.store.account(operator, wish)
        if public and stored.claims.subject != public:
            raise Failure(
                f"operator {operator!r} names another system account ({public})",
                code="other-system-account",
                hint="servers refuse a second one: leave --sys-account out",
            )
        return stored
    if not public:
        return None
    found = workspace.store.account_by_key(operator, public)
    if found is None:
        raise Failure(
            f"the system account {public} is not in the store", code="not-found", hint="restore it from a backup"
        )
    return found


def _resolver(form: ResolverForm, directory: str) -> list[str]:
    lines = ["resolver {", f"    type: {form.value}", "    # Where the account JWTs are kept"]
    lines.append(f"    dir: {_single_quoted(directory)}")
    if form is ResolverForm.FULL:
        lines += [
            "    # With true, accounts can be removed from the servers; their files are renamed to *.jwt.deleted",
            "    allow_delete: false",
            "    # How often a server compares its accounts with those of another one",
            '    interval: "2m"',
        ]
    else:
        lines += ["    # How long an account is kept before it is asked for again", '    ttl: "1h"']
    lines += ["    # How long a server waits for an account that it does not have", '    timeout: "1.9s"', "}"]
    return lines


def _preload(accounts: list[Stored[AccountClaims]]) -> list[str]:
    lines = ["resolver_preload: {"]
    for stored in sorted(accounts, key=lambda stored: stored.claims.subject):
        lines += [f"    # Account {_quoted(stored.claims.name)}", f"    {stored.claims.subject}: {stored.token}"]
    return [*lines, "}"]


def _quoted(name: str) -> str:
    """A name inside a comment: on one line, whatever it holds."""
    return '"' + "".join(letter if letter.isprintable() else "?" for letter in name) + '"'


def _single_quoted(text: str) -> str:
    if "'" in text or "\n" in text:
        raise Failure(f"the folder {text!r} cannot be written into a configuration", code="bad-name")
    return f"'{text}'"
