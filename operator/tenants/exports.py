"""Exports: what an account offers to others (spec operator-cli section 4.4, auth sections 4.2.2 and 17)."""

from collections.abc import Iterator

from msgspec import Struct, structs

from gossamer.auth.claims import SERVICE, STREAM, AccountClaims, Export, Import, ServiceLatency
from gossamer.auth.claims.sharing import CHUNKED, SAMPLE_BY_HEADERS, SINGLETON, STREAMED
from gossamer.auth.subjects import covers, is_valid
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.result import Outcome

KINDS = (STREAM, SERVICE)

#: How people may write the kinds of answers.
RESPONSE_TYPES = {
    "single": SINGLETON,
    "singleton": SINGLETON,
    "stream": STREAMED,
    "chunk": CHUNKED,
    "chunked": CHUNKED,
}


class ExportEdit(Struct, frozen=True, kw_only=True):
    """Changes to an export; what is None stays. ``sampling`` in percent, 0: requests whose headers ask for it;
    ``latency`` is the subject of the records, empty to end them."""

    name: str | None = None
    private: bool | None = None
    response_type: str | None = None
    response_threshold_ns: int | None = None
    latency: str | None = None
    sampling: int | None = None
    account_token_position: int | None = None
    advertise: bool | None = None
    allow_trace: bool | None = None
    description: str | None = None
    info_url: str | None = None


class User(Struct, frozen=True, kw_only=True):
    """An import of the store that leads to an export: ``account`` is the importer's name."""

    account: str
    entry: Import


def create_export(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    kind: str,
    edit: ExportEdit,
    *,
    now: int,
    wish: str = "",
    exist_ok: bool = False,
) -> Outcome:
    """Offer a subject. A service answers once (``Singleton``) unless ``edit`` says otherwise, as nsc writes it.

    One that exists (same kind and subject) is a Failure, or with ``exist_ok`` brought to what is asked.
    """
    subject = checked_subject(subject)
    claims = workspace.store.account(operator, account).claims
    outcome = Outcome()
    if any(entry.subject == subject and entry.type == kind for entry in claims.exports):
        if not exist_ok:
            raise Failure(
                f"account {account!r} exports the {kind} {subject!r} already",
                code="exists",
                hint="change it with: gossamer export edit, or pass --exist-ok",
            )
        return edit_export(workspace, operator, account, subject, kind, edit, now=now, wish=wish)
    fresh = Export(name=subject, subject=subject, type=kind, response_type=SINGLETON if kind == SERVICE else "")
    entry = _edited(fresh, edit)
    openness = "private" if entry.token_required else "public"
    outcome.note(f"added {openness} {kind} export {subject!r} to account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, exports=(*before.exports, entry)),
        outcome,
        now=now,
        wish=wish,
    )
    outcome.created = True
    return outcome


def edit_export(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    kind: str,
    edit: ExportEdit,
    *,
    now: int,
    wish: str = "",
) -> Outcome:
    """Change an export. ``kind`` may be empty when only one export has the subject."""
    before = find_export(workspace.store.account(operator, account).claims, subject, kind)
    after = _edited(before, edit)
    outcome = Outcome()
    outcome.note(f"changed {before.type} export {subject!r} of account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda claims: structs.replace(
            claims, exports=tuple(after if entry is before else entry for entry in claims.exports)
        ),
        outcome,
        now=now,
        wish=wish,
    )
    if outcome.changed and after.token_required and not before.token_required:
        public = [user for user in users_of(workspace, operator, account, after) if not user.entry.token]
        if public:
            outcome.warn(
                "needs-grant",
                f"imports without an activation end: {', '.join(sorted({user.account for user in public}))}",
                "grant them with: gossamer activation issue, or import edit --grant",
            )
    return outcome


def delete_export(
    workspace: Workspace, operator: str, account: str, subject: str, kind: str = "", *, now: int, wish: str = ""
) -> Outcome:
    """Take an export back; says whose imports end."""
    claims = workspace.store.account(operator, account).claims
    gone = find_export(claims, subject, kind)
    users = users_of(workspace, operator, account, gone)
    outcome = Outcome()
    outcome.note(f"removed {gone.type} export {subject!r} from account {account!r}")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, exports=tuple(entry for entry in before.exports if entry is not gone)),
        outcome,
        now=now,
        wish=wish,
    )
    if users:
        outcome.warn(
            "ends-imports",
            f"imports that lead to it end: {', '.join(sorted({user.account for user in users}))}",
            "remove them with: gossamer import delete",
        )
    return outcome


def find_export(claims: AccountClaims, subject: str, kind: str = "") -> Export:
    """The export with this subject. Raises Failure when there is none, or two kinds and ``kind`` is empty."""
    found = [entry for entry in claims.exports if entry.subject == subject and kind in ("", entry.type)]
    if not found:
        known = ", ".join(f"{entry.type} {entry.subject}" for entry in claims.exports[:8])
        raise Failure(
            f"account {claims.name!r} does not export {f'the {kind} ' if kind else ''}{subject!r}",
            code="not-found",
            hint=f"it exports: {known}" if known else "it exports nothing",
        )
    if len(found) > 1:
        raise Failure(
            f"account {claims.name!r} exports {subject!r} as a stream and as a service",
            code="ambiguous",
            hint="say which, with --service or --stream",
        )
    return found[0]


def export_for(claims: AccountClaims, subject: str, kind: str = "") -> Export | None:
    """The export that an import of ``subject`` leads to: the same subject first, else the first that covers it."""
    fitting = [entry for entry in claims.exports if kind in ("", entry.type)]
    exact = next((entry for entry in fitting if entry.subject == subject), None)
    return exact or next((entry for entry in fitting if covers(entry.subject, subject)), None)


def users_of(workspace: Workspace, operator: str, account: str, export: Export) -> list[User]:
    """The imports in the store that lead to an export of an account."""
    claims = workspace.store.account(operator, account).claims
    return list(_users_of(workspace, operator, claims, export))


def _users_of(workspace: Workspace, operator: str, exporter: AccountClaims, export: Export) -> Iterator[User]:
    for name in workspace.store.accounts(operator):
        for entry in workspace.store.account(operator, name).claims.imports:
            if entry.account == exporter.subject and entry.type == export.type:
                subject = exporter_subject(entry)
                if export_for(exporter, subject, entry.type) == export:
                    yield User(account=name, entry=entry)


def exporter_subject(entry: Import) -> str:
    """The subject as the exporter knows it: in the deprecated form of a service import that is ``to``."""
    return entry.to if entry.type == SERVICE and entry.to and not entry.local_subject else entry.subject


def checked_subject(subject: str) -> str:
    """The subject. Raises Failure (usage) unless it could be subscribed to."""
    if not is_valid(subject):
        raise usage(f"{subject!r} is not a subject", "tokens between dots must not be empty, and > comes last")
    return subject


def _edited(export: Export, edit: ExportEdit) -> Export:
    for value, flag in (
        (edit.response_type, "--response-type"),
        (edit.response_threshold_ns, "--response-threshold"),
        (edit.latency, "--latency"),
        (edit.sampling, "--sampling"),
        (edit.allow_trace, "--allow-trace"),
    ):
        if value and export.type != SERVICE:
            raise usage(f"{flag} is for services", f"{export.subject!r} is a stream export")
    return structs.replace(
        export,
        name=export.name if edit.name is None else edit.name,
        token_required=export.token_required if edit.private is None else edit.private,
        response_type=export.response_type if edit.response_type is None else checked_response(edit.response_type),
        response_threshold_ns=export.response_threshold_ns
        if edit.response_threshold_ns is None
        else edit.response_threshold_ns,
        service_latency=_latency(export, edit),
        account_token_position=export.account_token_position
        if edit.account_token_position is None
        else edit.account_token_position,
        advertise=export.advertise if edit.advertise is None else edit.advertise,
        allow_trace=export.allow_trace if edit.allow_trace is None else edit.allow_trace,
        description=export.description if edit.description is None else edit.description,
        info_url=export.info_url if edit.info_url is None else edit.info_url,
    )


def checked_response(text: str) -> str:
    """``Singleton``, ``Stream`` or ``Chunked``. Raises Failure (usage)."""
    found = RESPONSE_TYPES.get(text.strip().lower())
    if found is None:
        raise usage(f"{text!r} is not a response type", "there are: Singleton, Stream, Chunked")
    return found


def _latency(export: Export, edit: ExportEdit) -> ServiceLatency | None:
    if edit.latency == "":
        return None
    before = export.service_latency
    if edit.latency is None and edit.sampling is None:
        return before
    results = edit.latency or (before.results if before else "")
    if not results:
        raise usage("sampling without a subject for the records", "name it with --latency")
    # All of them, unless something else is or was said.
    sampling = (before.sampling if before else 100) if edit.sampling is None else edit.sampling
    if isinstance(sampling, int) and sampling != SAMPLE_BY_HEADERS and not 1 <= sampling <= 100:
        raise usage(f"{sampling} is not a percentage", "sampling is 1 to 100, or the word header")
    base = before or ServiceLatency()
    return structs.replace(base, sampling=sampling, results=results)
