"""Imports: what an account uses of others (spec operator-cli section 4.4, auth sections 4.2.3 and 17).

The exporter may be named: then its key, the kind, and for a private export the activation come from the store
(spec operator-cli section 10.2).
"""

from msgspec import Struct, structs

from gossamer.auth.claims import SERVICE, STREAM, AccountClaims, ActivationClaims, Export, Import
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.subjects import covers
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.stored import AHEAD_S_MAX
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.activations import account_key, activation_problem, issue_activation, read_activation
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.exports import checked_subject, export_for, exporter_subject, find_export
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.sharing import judge_change, refusals


class ImportEdit(Struct, frozen=True, kw_only=True):
    """Changes to an import; what is None stays."""

    name: str | None = None
    local_subject: str | None = None
    share: bool | None = None
    allow_trace: bool | None = None
    token: str | None = None  # a token or a file with one
    grant: bool = False  # have the exporter, which is in the store, issue a new activation
    grant_expires: int = 0  # unix seconds, 0: never


def create_import(
    workspace: Workspace,
    operator: str,
    account: str,
    *,
    now: int,
    source: str = "",
    subject: str = "",
    kind: str = "",
    edit: ImportEdit | None = None,
    wish: str = "",
    exist_ok: bool = False,
) -> Outcome:
    """Use ``subject`` of the account ``source`` (a name or a public key), or what the token in ``edit`` grants.

    An exporter in the store says whether it is a stream or a service; of one that is not, ``kind`` must (else a
    stream is meant, as with nsc). Where the export needs an activation and none is given, the exporter issues one, if
    its seed is here. Raises Failure when the exporter is in the store and exports no such thing.
    """
    edit = edit or ImportEdit()
    importer = workspace.store.account(operator, account).claims
    token = ""
    if edit.token:
        token, activation = read_activation(edit.token)
        _check_activation(activation, importer, source and account_key(workspace, operator, source), subject, kind)
        source, kind = activation.account, activation.kind
        subject = subject or activation.import_subject
    if not source or not subject:
        raise usage("an import needs an exporter and a subject", "give --src-account and --remote-subject, or --token")
    key = account_key(workspace, operator, source)
    if key == importer.subject:
        raise Failure(f"account {account!r} cannot import from itself", code="self-import", hint="name another account")
    subject = checked_subject(subject)
    exporter = workspace.store.account_by_key(operator, key)
    export = None if exporter is None else _export_of(exporter.claims, subject, kind)
    kind = export.type if export is not None else kind or STREAM
    subject = _with_account_token(export, subject, importer.subject)
    outcome = Outcome()
    same = [e for e in importer.imports if (e.account, e.type, exporter_subject(e)) == (key, kind, subject)]
    wanted_local = edit.local_subject or subject
    existing = next((entry for entry in same if entry.local == wanted_local), None)
    if existing is not None:
        if not exist_ok:
            raise Failure(
                f"account {account!r} imports the {kind} {subject!r} under {wanted_local!r} already",
                code="exists",
                hint="change it with: gossamer import edit, or pass --exist-ok",
            )
        return _edit(workspace, operator, account, existing, edit, now=now, wish=wish)
    if export is not None and export.token_required and not token:
        token = _granted(workspace, operator, exporter.claims, importer, subject, kind, edit, outcome, now)  # type: ignore[union-attr]
    entry = Import(
        name=subject if edit.name is None else edit.name,
        subject=subject,
        account=key,
        token=token,
        local_subject="" if wanted_local == subject else wanted_local,
        type=kind,
        share=bool(edit.share),
        allow_trace=bool(edit.allow_trace),
    )
    _check_options(entry)
    known = refusals(workspace, operator, now)
    outcome.note(f"added {kind} import {subject!r} to account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, imports=(*before.imports, entry)),
        outcome,
        now=now,
        wish=wish,
    )
    outcome.created = True
    judge_change(workspace, operator, account, known, outcome, now)
    if exporter is None:
        outcome.warn(
            "unknown-exporter",
            f"account {key} is not in the store: whether it exports the {kind} {subject!r} was not checked",
        )
    return outcome


def edit_import(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    edit: ImportEdit,
    *,
    now: int,
    source: str = "",
    kind: str = "",
    wish: str = "",
) -> Outcome:
    """Change an import, named by the exporter's subject or the local one."""
    claims = workspace.store.account(operator, account).claims
    before = find_import(workspace, operator, claims, subject, source, kind)
    return _edit(workspace, operator, account, before, edit, now=now, wish=wish)


def delete_import(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    *,
    now: int,
    source: str = "",
    kind: str = "",
    wish: str = "",
) -> Outcome:
    """End an import, named by the exporter's subject or the local one."""
    claims = workspace.store.account(operator, account).claims
    gone = find_import(workspace, operator, claims, subject, source, kind)
    outcome = Outcome()
    outcome.note(f"removed {gone.type} import {subject!r} from account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, imports=tuple(entry for entry in before.imports if entry is not gone)),
        outcome,
        now=now,
        wish=wish,
    )
    return outcome


def find_import(
    workspace: Workspace, operator: str, claims: AccountClaims, subject: str, source: str = "", kind: str = ""
) -> Import:
    """The import with this subject, the exporter's or the local one. Raises Failure when none or several fit."""
    key = account_key(workspace, operator, source) if source else ""
    found = [
        entry
        for entry in claims.imports
        if subject in (exporter_subject(entry), entry.local) and key in ("", entry.account) and kind in ("", entry.type)
    ]
    if not found:
        known = ", ".join(f"{entry.type} {entry.subject}" for entry in claims.imports[:8])
        raise Failure(
            f"account {claims.name!r} does not import {subject!r}",
            code="not-found",
            hint=f"it imports: {known}" if known else "it imports nothing",
        )
    if len(found) > 1:
        raise Failure(
            f"account {claims.name!r} has {len(found)} imports of {subject!r}",
            code="ambiguous",
            hint="name the exporter with --src-account, the local subject, or --service or --stream",
        )
    return found[0]


def _edit(
    workspace: Workspace, operator: str, account: str, before: Import, edit: ImportEdit, *, now: int, wish: str
) -> Outcome:
    importer = workspace.store.account(operator, account).claims
    exporter = workspace.store.account_by_key(operator, before.account)
    subject = exporter_subject(before)
    export = None if exporter is None else export_for(exporter.claims, subject, before.type)
    outcome = Outcome()
    token = before.token
    if edit.token:
        token, activation = read_activation(edit.token)
        _check_activation(activation, importer, before.account, subject, before.type)
    elif exporter is not None and export is not None and (edit.grant or _needs_grant(before, export)):
        problem = "there is none" if edit.grant else _problem(before, exporter.claims, export, importer, now)
        if problem:
            token = _granted(workspace, operator, exporter.claims, importer, subject, before.type, edit, outcome, now)
    elif edit.grant:
        raise Failure(
            f"account {before.account}, which exports {subject!r}, is not in the store",
            code="not-found",
            hint="ask its owner for an activation and give it with --token",
        )
    local = before.local_subject if edit.local_subject is None else edit.local_subject
    after = structs.replace(
        before,
        name=before.name if edit.name is None else edit.name,
        local_subject="" if local == subject else local,
        share=before.share if edit.share is None else edit.share,
        allow_trace=before.allow_trace if edit.allow_trace is None else edit.allow_trace,
        token=token,
    )
    _check_options(after)
    known = refusals(workspace, operator, now)
    outcome.note(f"changed {before.type} import {subject!r} of account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda claims: structs.replace(
            claims, imports=tuple(after if entry == before else entry for entry in claims.imports)
        ),
        outcome,
        now=now,
        wish=wish,
    )
    judge_change(workspace, operator, account, known, outcome, now)
    return outcome


def _needs_grant(entry: Import, export: Export) -> bool:
    return export.token_required or bool(entry.token)


def _problem(entry: Import, exporter: AccountClaims, export: Export, importer: AccountClaims, now: float) -> str:
    """Why the import's activation would not be taken; empty when it would."""
    if not entry.token:
        return "there is none"
    try:
        token = decode_as(ActivationClaims, entry.token)
    except TokenError as error:
        return str(error)
    return activation_problem(token, exporter, export, importer.subject, exporter_subject(entry), now)


def _granted(
    workspace: Workspace,
    operator: str,
    exporter: AccountClaims,
    importer: AccountClaims,
    subject: str,
    kind: str,
    edit: ImportEdit,
    outcome: Outcome,
    now: int,
) -> str:
    export = export_for(exporter, subject, kind)
    until = 0 if export is None else max(export.revocations.get(key, 0) for key in (importer.subject, "*"))
    token = issue_activation(
        workspace,
        operator,
        exporter.name,
        subject,
        importer.subject,
        # Whoever grants anew means it: not in the second of the revocation, nor in one just ahead of the clock.
        now=max(now, until + 1) if until <= now + AHEAD_S_MAX else now,
        kind=kind,
        expires=edit.grant_expires,
    )
    outcome.note(f"account {exporter.name!r} granted {importer.name!r} the {kind} {subject!r}")
    if until > now + AHEAD_S_MAX:
        outcome.warn("revoked", f"account {exporter.name!r} revokes what is granted now: the activation does not count")
    return token


def _export_of(exporter: AccountClaims, subject: str, kind: str) -> Export:
    fitting = {
        found.type
        for each in ((kind,) if kind else (STREAM, SERVICE))
        if (found := export_for(exporter, subject, each))
    }
    if len(fitting) > 1:
        raise Failure(
            f"account {exporter.name!r} exports {subject!r} as a stream and as a service",
            code="ambiguous",
            hint="say which, with --service or --stream",
        )
    return export_for(exporter, subject, kind) or find_export(exporter, subject, kind)


def _with_account_token(export: Export | None, subject: str, importer: str) -> str:
    """Where the export wants the importer's key at a place, it is put there."""
    if export is None or not export.account_token_position:
        return subject
    tokens = subject.split(".")
    place = export.account_token_position - 1
    if place < len(tokens) and tokens[place] == "*":
        tokens[place] = importer
    if place >= len(tokens) or tokens[place] != importer:
        raise Failure(
            f"token {export.account_token_position} of {subject!r} must be the key of the importing account",
            code="account-token",
            hint=f"write {'.'.join([*tokens[:place], '*', *tokens[place + 1 :]])}: the key is filled in",
        )
    return ".".join(tokens)


def _check_activation(token: ActivationClaims, importer: AccountClaims, exporter: str, subject: str, kind: str) -> None:
    wrong = ""
    if token.subject != importer.subject:
        wrong = f"it is for account {token.subject}, not for {importer.name!r} ({importer.subject})"
    elif exporter and token.account != exporter:
        wrong = f"it is of account {token.account}, not of {exporter}"
    elif kind and token.kind != kind:
        wrong = f"it is for a {token.kind}, not for a {kind}"
    elif subject and not covers(token.import_subject, subject):
        wrong = f"it is for {token.import_subject!r}, which does not cover {subject!r}"
    if wrong:
        raise Failure(f"the activation does not fit: {wrong}", code="wrong-token", hint="ask the exporter for another")


def _check_options(entry: Import) -> None:
    if entry.share and entry.type != SERVICE:
        raise usage("--share is for services", f"{entry.subject!r} is a stream import")
    if entry.allow_trace and entry.type != STREAM:
        raise usage("--allow-trace is for imported streams", "for a service the exporter allows it")
