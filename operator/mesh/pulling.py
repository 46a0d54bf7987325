"""What the mesh has newer than the store, taken into the store (spec operator-cli section 6)."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from gossamer.auth.claims import AccountClaims
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.connection import Mesh, newest
from gossamer.operator.mesh.managed import operator_signed
from gossamer.operator.output.document import Remark
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace


class Taking(Struct, kw_only=True):
    """What became of each account: ``entries`` for programs, lines for people, errors for those that stayed out."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    errors: list[Remark] = field(default_factory=list)
    changed: bool = False


async def newest_accounts(mesh: Mesh, accounts: Sequence[str] | None = None) -> dict[str, str]:
    """Of every account (of all that some server lists, or of those named) the newest token that some server has;
    empty where none has it. Raises Failure when no server keeps a store."""
    if accounts is None:
        lists = await mesh.lists()
        if not lists:
            raise Failure(
                "no server of this mesh keeps accounts",
                code="no-resolver",
                hint="give them a resolver: gossamer generate config --nats-resolver",
            )
        accounts = sorted({key for keys in lists.values() for key in keys})
    return {key: newest(tokens) for key, tokens in (await mesh.copies_of(accounts)).items()}


def take_accounts(workspace: Workspace, tokens: Mapping[str, str], *, overwrite_newer: bool) -> Taking:
    """Store tokens (by account; empty: the mesh has none) that are newer than the store's."""
    taking = Taking()
    operator = workspace.operator().claims
    stored = [workspace.store.account(operator.name, name) for name in workspace.store.accounts(operator.name)]
    by_key = {entry.claims.subject: entry for entry in stored}
    names = {entry.claims.name for entry in stored}
    for key, token in tokens.items():
        local = by_key.get(key)
        try:
            word, name = _take(workspace, key, token, local, names, overwrite_newer=overwrite_newer)
        except Failure as failure:
            label = local.claims.name if local is not None else key
            taking.errors.append(Remark(code=failure.code, message=failure.message, path=label, hint=failure.hint))
            taking.entries.append({"key": key, "name": label, "result": failure.code})
            continue
        taking.entries.append({"key": key, "name": name, "result": word})
        if word != "same":
            taking.changed = True
            taking.done.append(f"{word} {name!r}")
    return taking


def _take(
    workspace: Workspace,
    key: str,
    token: str,
    local: Stored[AccountClaims] | None,
    names: set[str],
    *,
    overwrite_newer: bool,
) -> tuple[str, str]:
    """What was done (``same``, ``updated``, ``added``), and the account's name. Raises Failure."""
    operator = workspace.operator().claims
    label = local.claims.name if local is not None else key
    if not token:
        raise Failure(f"the mesh does not have account {label!r}", code="not-found", hint="push it")
    if local is not None and local.token == token:
        return "same", label
    remote = operator_signed(token, key, operator.trusted_keys, "the mesh")
    if local is None:
        if remote.claims.name in names:
            raise Failure(
                f"the mesh has another account with the name {remote.claims.name!r} ({key})",
                code="name-taken",
                hint="rename or delete the one in the store first",
            )
        workspace.store.put_account(operator.name, remote)
        names.add(remote.claims.name)
        return "added", remote.claims.name
    if remote.claims.issued_at <= local.claims.issued_at and not overwrite_newer:
        raise Failure(
            f"account {label!r} is newer in the store than on the mesh",
            code="store-is-newer",
            hint="push it, or pass --overwrite-newer to take the mesh's",
        )
    if remote.claims.name != local.claims.name:
        if remote.claims.name in names:
            raise Failure(
                f"account {label!r} is named {remote.claims.name!r} there, as another is here", code="name-taken"
            )
        raise Failure(
            f"account {label!r} is named {remote.claims.name!r} on the mesh",
            code="renamed",
            hint="rename it in the store first",
        )
    workspace.store.put_account(operator.name, remote)
    return "updated", label
