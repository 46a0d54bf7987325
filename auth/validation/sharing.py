"""Exports, imports and mappings of an account claim (spec auth section 5)."""

import re
from collections.abc import Iterable, Mapping

from gossamer.auth.claims import SERVICE, STREAM, ActivationClaims, Export, Import, MappingTarget
from gossamer.auth.issues import Findings, quoted
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.subjects import covers, has_wildcards
from gossamer.auth.validation.subject import check_information, check_subject

_REFERENCE = re.compile(r"\$(\d+)\Z")
_RESPONSE_TYPES = ("", "Singleton", "Stream", "Chunked")


def check_exports(exports: Iterable[Export], found: Findings) -> None:
    """Each export, and no two of one type where one contains the other."""
    exports = list(exports)
    for export in exports:
        _check_export(export, found)
    for kind in (SERVICE, STREAM):
        subjects = [export.subject for export in exports if export.type == kind]
        for place, inner in enumerate(subjects):
            for other, outer in enumerate(subjects):
                if place != other and covers(outer, inner) and (inner != outer or other < place):
                    found.block(f"{kind} export subject {quoted(outer)} already exports {quoted(inner)}")


def _check_export(export: Export, found: Findings) -> None:
    service = export.type == SERVICE
    if not export.type:
        found.block('invalid export type: "unknown"')
    if service and export.response_type not in _RESPONSE_TYPES:
        found.block(f"invalid response type for service: {quoted(export.response_type)}")
    if not service and export.response_type:
        found.block(f"invalid response type for stream: {quoted(export.response_type)}")
    if export.service_latency is not None:
        if not service:
            found.block("latency tracking only permitted for services")
        sampling = export.service_latency.sampling
        if isinstance(sampling, int) and not 0 <= sampling <= 100:
            found.block("sampling percentage needs to be between 1-100")
        check_subject(export.service_latency.results, found)
        if has_wildcards(export.service_latency.results):
            found.block("results subject can not contain wildcards")
    if export.response_threshold_ns < 0:
        found.block("negative response threshold is invalid")
    if export.response_threshold_ns > 0 and not service:
        found.block("response threshold only valid for services")
    if export.allow_trace and not service:
        found.block("AllowTrace only valid for service export")
    check_subject(export.subject, found)
    _check_token_position(export, found)
    check_information(export.description, export.info_url, found)


def _check_token_position(export: Export, found: Findings) -> None:
    position = export.account_token_position
    if not position:
        return
    tokens = export.subject.split(".")
    if not has_wildcards(export.subject):
        found.block(f"Account Token Position can only be used with wildcard subjects: {export.subject}")
    elif not 1 <= position <= len(tokens):
        found.block(f"Account Token Position {position} exceeds length of subject '{export.subject}'")
    elif tokens[position - 1] != "*":
        token = tokens[position - 1]
        found.block(f"Account Token Position {position} matches '{token}' but must match a * in: {export.subject}")


def check_imports(imports: Iterable[Import], account: str, found: Findings) -> None:
    """Each import of ``account``, and no two service imports from one exporter under overlapping names."""
    names: dict[str, list[str]] = {}
    for entry in imports:
        _check_import(entry, account, found)
        if entry.type != SERVICE:
            continue
        local = _with_wildcards(entry.local)
        taken = names.setdefault(entry.account, [])
        for other in taken:
            if covers(other, local) or covers(local, other):
                place = f"in same account {quoted(entry.account)}"
                found.block(f"overlapping subject namespace for {quoted(local)} and {quoted(other)} {place}")
            if other == local:
                found.block(f"overlapping subject namespace for {quoted(local)} in account {quoted(entry.account)}")
        taken.append(local)


def _check_import(entry: Import, account: str, found: Findings) -> None:
    if not entry.type:
        found.block('invalid import type: "unknown"')
    if not entry.account:
        found.block("account to import from is not specified")
    if entry.to:
        found.warn("the field to has been deprecated (use LocalSubject instead)")
    check_subject(entry.subject, found)
    if entry.local_subject:
        _check_renaming(entry.local_subject, entry.subject, found)
        if entry.to:
            found.block("Local Subject replaces To")
    if entry.share and entry.type != SERVICE:
        what = "sharing information (for latency tracking) is only valid for services"
        found.block(f"{what}: {quoted(entry.subject)}")
    if entry.allow_trace and entry.type == SERVICE:
        found.block("AllowTrace only valid for stream import")
    if entry.token:
        _check_activation(entry, account, found)


def _check_renaming(local: str, subject: str, found: Findings) -> None:
    check_subject(local, found)
    if local.endswith(">") != subject.endswith(">"):
        found.block("both, renaming subject and subject, need to end or not end in >")
    stars = subject.split(".").count("*")
    used = 0
    for token in local.split("."):
        reference = _REFERENCE.match(token)
        if token == "*":
            used += 1
        elif reference:
            used += 1
            # A long row of digits is no place in any subject; do not turn it into a number.
            if len(token) > 9 or not 1 <= int(reference[1]) <= stars:
                found.block(f"Reference {token} in {quoted(local)} reference * in {quoted(subject)} that do not exist")
                used -= 1
    if used != stars:
        found.block("subject does not contain enough * or reference wildcards $[0-9]")


def _check_activation(entry: Import, account: str, found: Findings) -> None:
    try:
        token = decode_as(ActivationClaims, entry.token)
    except TokenError as error:
        found.block(f"import {quoted(entry.subject)} contains an invalid activation token: {error}")
        return
    if entry.account not in (token.issuer, token.issuer_account):
        found.block(f"activation token doesn't match account for import {quoted(entry.subject)}")
    if token.subject != account:
        found.block(f"activation token doesn't match account it is being included in, {quoted(entry.subject)}")
    if token.kind != entry.type:
        kind, wanted = token.kind or "unknown", entry.type or "unknown"
        found.block(f"mismatch between token import type {kind} and type of import {wanted}")
    check_activation(token, found)
    # In the deprecated form of a service ``to`` is the exporter's subject.
    subject = entry.to if entry.type == SERVICE and entry.to else entry.subject
    if not covers(token.import_subject, subject):
        found.block(
            f"activation token import subject {quoted(token.import_subject)} doesn't match import {quoted(subject)}"
        )


def check_activation(token: ActivationClaims, found: Findings) -> None:
    """An activation, its times aside."""
    if token.kind not in (STREAM, SERVICE):
        found.block(f"invalid import type: {quoted(token.kind or 'unknown')}")
    check_subject(token.import_subject, found)


def check_mappings(mappings: Mapping[str, tuple[MappingTarget, ...]], found: Findings) -> None:
    """Weights, each and in sum, per cluster."""
    for source, targets in mappings.items():
        check_subject(source, found)
        totals: dict[str, int] = {}
        for target in targets:
            check_subject(target.subject, found)
            if not 0 <= target.weight <= 100:
                found.block(f"Mapping {quoted(source)} has a weight of {target.weight}, outside of 0 to 100")
            totals[target.cluster] = totals.get(target.cluster, 0) + (target.weight or 100)
        for cluster, total in totals.items():
            if total > 100:
                place = f" in cluster {quoted(cluster)}" if cluster else ""
                found.block(f"Mapping {quoted(source)}{place} exceeds 100% among all of it's weighted to mappings")


def _with_wildcards(local: str) -> str:
    return ".".join("*" if _REFERENCE.match(token) else token for token in local.split("."))
