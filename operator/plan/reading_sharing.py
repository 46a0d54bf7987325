"""The parts of a tenants file that say what accounts share: exports and imports."""

from gossamer.auth.claims import SERVICE, STREAM
from gossamer.auth.claims.sharing import CHUNKED, SINGLETON, STREAMED
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.subjects import is_valid
from gossamer.operator.plan.declaration import ExportDeclaration, ImportDeclaration
from gossamer.operator.plan.faults import TableReader
from gossamer.operator.plan.terms import check_moment

_RESPONSES = {"": "", "single": SINGLETON, "singleton": SINGLETON, "stream": STREAMED, "chunked": CHUNKED}


def read_exports(table: TableReader) -> tuple[ExportDeclaration, ...] | None:
    """``exports``: a list of tables with ``service`` or ``stream``; None when not said at all."""
    said = "exports" in table
    found = tuple(_export(entry) for entry in table.readers("exports"))
    return found if said else None


def read_imports(table: TableReader) -> tuple[ImportDeclaration, ...]:
    """``imports``: a list of tables with ``service`` or ``stream``, ``from`` and what it is called here."""
    return tuple(_import(entry) for entry in table.readers("imports"))


def _export(table: TableReader) -> ExportDeclaration:
    kind, subject = _subject(table)
    response = table.text("response")
    if response.lower() not in _RESPONSES:
        table.fault("response", f"{response!r} is not known", "write single, stream or chunked")
    latency = table.reader("latency")
    latency_subject, sampling = latency.text("subject"), latency.raw("sampling")
    if "latency" in table and not latency_subject:
        latency.fault("subject", "is missing")
    latency.done()
    if sampling in (None, "headers"):
        sampling = 0 if sampling else 100
    elif isinstance(sampling, bool) or not isinstance(sampling, int) or not 1 <= sampling <= 100:
        latency.fault("sampling", "must be 1 to 100, or 'headers'")
        sampling = 0
    declared = ExportDeclaration(
        subject=subject,
        type=kind,
        name=table.text("name"),
        private=table.flag("private"),
        grants=table.texts("grants"),
        response_type=_RESPONSES.get(response.lower(), ""),
        response_threshold_ns=table.duration_ns("threshold"),
        latency_subject=latency_subject,
        latency_sampling=sampling,
        account_token_position=table.number("account_token_position"),
        advertise=table.flag("advertise"),
        allow_trace=table.flag("allow_trace"),
        description=table.text("description"),
        info_url=table.text("info_url"),
        revoked=_revoked(table.reader("revoked")),
    )
    table.done()
    if declared.grants and not declared.private:
        table.fault("grants", "everybody may import a public export", "write private = true as well")
    if kind == STREAM:
        for name in ("response", "threshold", "latency", "allow_trace"):
            if name in table:
                table.fault(name, "only services have this")
    return declared


def _import(table: TableReader) -> ImportDeclaration:
    kind, subject = _subject(table)
    declared = ImportDeclaration(
        subject=subject,
        type=kind,
        account=table.text("from"),
        name=table.text("name"),
        local=table.text("as"),
        prefix=table.text("to"),
        share=table.flag("share"),
        allow_trace=table.flag("allow_trace"),
        token=table.text("token"),
    )
    table.done()
    if not declared.account:
        table.fault("from", "is missing", "name the account that exports it")
    if declared.local and declared.prefix:
        table.fault("to", "the deprecated 'to' and 'as' cannot stand together")
    return declared


def _subject(table: TableReader) -> tuple[str, str]:
    service, stream = table.text("service"), table.text("stream")
    if bool(service) == bool(stream):
        table.faults.add(table.path, "name either a service or a stream", 'write service = "..." or stream = "..."')
    subject = service or stream
    if subject and not is_valid(subject):
        table.fault(
            "service" if service else "stream",
            f"{subject!r} is not a subject",
            "tokens between dots must not be empty, and > comes last",
        )
    return (SERVICE if service else STREAM), subject


def _revoked(table: TableReader) -> dict[str, int]:
    """Account key (or ``*``) to a date: activations until then are void."""
    found = {}
    for key in table.table:
        text = table.text(key)
        if key != "*" and not is_public(key, KeyKind.ACCOUNT):
            table.fault(key, "is no public account key", "it begins with A; '*' means everybody")
        found[key] = check_moment(table, key, text)
    return found
