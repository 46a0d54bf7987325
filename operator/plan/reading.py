"""A tenants file read: TOML to a ``Declaration``, all faults at once, with their lines (spec operator-cli 10.2)."""

import tomllib
from pathlib import Path as FilePath

from gossamer.auth.claims import MappingTarget, clean_tags
from gossamer.auth.keys import KeyKind, is_public
from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.plan.declaration import (
    KEEP,
    NOW,
    REVOKE,
    AccountDeclaration,
    CalloutDeclaration,
    Declaration,
    OperatorDeclaration,
    RevocationDeclaration,
)
from gossamer.operator.plan.faults import Fault, Faults, InvalidFile, TableReader, dotted, nearest
from gossamer.operator.plan.lines import LineIndex
from gossamer.operator.plan.reading_grants import read_grant, read_limits, read_roles, read_users
from gossamer.operator.plan.reading_sharing import read_exports, read_imports
from gossamer.operator.plan.terms import check_moment, read_term
from gossamer.operator.store.names import checked_name

FILE_BYTES_MAX = 512 * 1024 * 1024
VERSION = 1


def read_file(path: FilePath) -> tuple[Declaration, bytes]:
    """The declaration of a file, and the file's bytes. Raises InvalidFile, or Failure when it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise from_os_error(error, "read", path, "name the file with -f") from None
    if len(content) > FILE_BYTES_MAX:
        raise Failure(f"{path} is too large", code="invalid-file", path=str(path))
    return read_text(content, str(path)), content


def read_text(content: bytes, name: str) -> Declaration:
    """The declaration that a TOML text makes; ``name`` is for faults. Raises InvalidFile."""
    try:
        text = content.decode()
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InvalidFile(name, [Fault(message=f"is not UTF-8: {error}", where="file")]) from None
    except tomllib.TOMLDecodeError as error:
        raise InvalidFile(name, [Fault(message=f"is not TOML: {error}", where="file")]) from None
    except RecursionError:
        raise InvalidFile(name, [Fault(message="is nested too deeply", where="file")]) from None
    faults = Faults()
    declaration = _declaration(TableReader(raw, (), faults))
    if not faults.found:
        _check_references(declaration, faults)
    if faults.found:
        index = LineIndex(text.replace("\r\n", "\n"))
        found = [
            Fault(message=message, where=dotted(path) or "file", hint=hint, line=index.line(path))
            for path, message, hint in faults.found
        ]
        raise InvalidFile(name, sorted(found, key=lambda fault: fault.line))
    return declaration


def _declaration(top: TableReader) -> Declaration:
    version = top.number("version", VERSION)
    if version != VERSION:
        top.fault("version", f"{version} is not a version that we know", f"write version = {VERSION}")
    prune = top.flag("prune")
    grace_ns = top.duration_ns("removal_grace", 86_400 * 1_000_000_000)
    if "operator" not in top:
        top.faults.add((), "the table [operator] is missing", 'write [operator] with name = "..."')
    operator = _operator(top.reader("operator"))
    accounts: dict[str, AccountDeclaration] = {}
    for name, table in top.named("accounts"):
        _check_name(table, name, "account")
        accounts[name] = _account(table, name)
    top.done()
    return Declaration(operator=operator, accounts=accounts, prune=prune, removal_grace_s=grace_ns // 1_000_000_000)


def _operator(table: TableReader) -> OperatorDeclaration:
    name = table.text("name")
    if not name:
        table.fault("name", "is missing")
    else:
        _check_name(table, name, "operator")
    declared = OperatorDeclaration(
        name=name,
        strict_signing_keys=table.flag("strict_signing_keys"),
        signing_keys=_named_keys(table, "signing_keys", KeyKind.OPERATOR),
        service_urls=table.texts("service_urls") if "service_urls" in table else None,
        account_server_url=table.text("account_server_url") if "account_server_url" in table else None,
        system_account=table.text("system_account") if "system_account" in table else None,
        tags=clean_tags(table.texts("tags")),
        term=read_term(table),
    )
    table.done()
    if declared.strict_signing_keys and not declared.signing_keys:
        table.fault("strict_signing_keys", "needs signing_keys", 'write signing_keys = ["online"]')
    return declared


def _account(table: TableReader, name: str) -> AccountDeclaration:
    on_remove = table.text("on_remove", REVOKE)
    if on_remove not in (REVOKE, KEEP):
        table.fault("on_remove", f"{on_remove!r} is not known", f"write {REVOKE!r} or {KEEP!r}")
    traffic = table.text("cluster_traffic")
    if traffic not in ("", "system", "owner"):
        table.fault("cluster_traffic", f"{traffic!r} is not known", "write 'system' or 'owner'")
    trace = table.reader("trace")
    destination, sampling = trace.text("destination"), trace.number("sampling")
    trace.done()
    defaults = read_grant(table.reader("default_permissions"), permissions_only=True)
    declared = AccountDeclaration(
        name=name,
        key=table.key("key", KeyKind.ACCOUNT),
        limits=read_limits(table.reader("limits")),
        description=table.text("description"),
        info_url=table.text("info_url"),
        tags=clean_tags(table.texts("tags")),
        term=read_term(table),
        signing_keys=_named_keys(table, "signing_keys", KeyKind.ACCOUNT),
        roles=read_roles(table),
        exports=read_exports(table),
        imports=read_imports(table),
        default_permissions=defaults,
        mappings=_mappings(table.reader("mappings")),
        users=read_users(table),
        revocations=_revocations(table),
        callout=_callout(table.reader("auth_callout")) if "auth_callout" in table else None,
        trace_destination=destination,
        trace_sampling=sampling,
        cluster_traffic=traffic,
        on_remove=on_remove,
    )
    table.raw("auth_callout")
    table.done()
    return declared


def _check_name(table: TableReader, name: str, kind: str) -> None:
    try:
        if checked_name(name, kind) != name:
            table.faults.add(table.path, f"the name {name!r} begins or ends with a blank")
    except Failure as failure:
        table.faults.add(table.path, failure.message, failure.hint)


def _named_keys(table: TableReader, name: str, kind: KeyKind) -> dict[str, str]:
    """``["a", "b"]``, whose keys the tool makes, or ``{a = "", b = "AB..."}``, which pins some."""
    if isinstance(table.table.get(name), dict):
        inner = table.reader(name)
        found = {label: inner.key(label, kind) for label in inner.table}
        inner.done()
    else:
        found = {}
        for label in table.texts(name):
            if label in found:
                table.fault(name, f"{label!r} stands there twice")
            found[label] = ""
    if "" in found:
        table.fault(name, "a name is empty")
    return found


def _mappings(table: TableReader) -> dict[str, tuple[MappingTarget, ...]]:
    found: dict[str, tuple[MappingTarget, ...]] = {}
    for source, value in table.table.items():
        if isinstance(value, str):
            table.raw(source)
            found[source] = (MappingTarget(subject=value),)
            continue
        targets = []
        for target in table.readers(source):
            made = MappingTarget(
                subject=target.text("to"), weight=target.number("weight"), cluster=target.text("cluster")
            )
            if not made.subject:
                target.fault("to", "is missing")
            target.done()
            targets.append(made)
        found[source] = tuple(targets)
    return found


def _revocations(table: TableReader) -> tuple[RevocationDeclaration, ...]:
    found = []
    for entry in table.readers("revoke"):
        user, key = entry.text("user"), entry.text("key")
        at = entry.text("at", "now")
        if bool(user) == bool(key):
            entry.faults.add(entry.path, "name either a user or a key")
        if key and key != "*" and not is_public(key, KeyKind.USER):
            entry.fault("key", f"{key!r} is no public user key", "it begins with U; '*' means everybody")
        moment = NOW if at == "now" else check_moment(entry, "at", at)
        entry.done()
        found.append(RevocationDeclaration(who=user or key, at=moment))
    return tuple(found)


def _callout(table: TableReader) -> CalloutDeclaration:
    xkey = table.text("xkey")
    if xkey not in ("", "generate") and not is_public(xkey, KeyKind.CURVE):
        table.fault("xkey", f"{xkey!r} is no public curve key", "write an X... key, or 'generate'")
    declared = CalloutDeclaration(
        users=table.texts("users"), allowed_accounts=table.texts("allowed_accounts"), xkey=xkey
    )
    table.done()
    return declared


def _check_references(declaration: Declaration, faults: Faults) -> None:
    """Names that stand for other things of the file must be there."""
    names = list(declaration.accounts)

    def check(name: str, path: tuple[str | int, ...]) -> None:
        if name not in declaration.accounts and not is_public(name, KeyKind.ACCOUNT):
            faults.add(path, f"there is no account {name!r}", nearest(name, names))

    system = declaration.operator.system_account
    if system:
        check(system, ("operator", "system_account"))
    for account in declaration.accounts.values():
        base = ("accounts", account.name)
        for position, entry in enumerate(account.exports or ()):
            for name in entry.grants:
                check(name, (*base, "exports", position, "grants"))
        for position, wanted in enumerate(account.imports):
            check(wanted.account, (*base, "imports", position, "from"))
        roles = {role.name for role in account.roles}
        for user in account.users.values():
            here = (*base, "users", user.name)
            if user.role and user.role not in roles:
                faults.add((*here, "role"), f"there is no role {user.role!r}", nearest(user.role, sorted(roles)))
            signer = user.sign_with
            if signer and signer not in account.signing_keys and not is_public(signer, KeyKind.ACCOUNT):
                hint = nearest(signer, list(account.signing_keys))
                faults.add((*here, "sign_with"), f"there is no signing key {signer!r}", hint)
        if account.callout is not None:
            for name in account.callout.allowed_accounts:
                if name != "*":
                    check(name, (*base, "auth_callout", "allowed_accounts"))
            for name in account.callout.users:
                if name not in account.users and not is_public(name, KeyKind.USER):
                    faults.add(
                        (*base, "auth_callout", "users"),
                        f"there is no user {name!r}",
                        nearest(name, list(account.users)),
                    )
