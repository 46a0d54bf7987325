"""May this account import that? One import against its exporter (spec auth sections 17.2, 17.4, 26.4 and 26.12).

A refusal names the export that decided, where import and export stand, and who signed what was found wanting.
"""

from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from gossamer.auth.claims.activation import ActivationClaims
from gossamer.auth.issues import Level
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.sharing.values import AccountSharing, Export, Import
from gossamer.auth.subjects import covers, is_valid
from gossamer.auth.validation import blocking, validate

EVERYBODY = "*"


class Grant(Struct, frozen=True, kw_only=True):
    """The import may be used, by this export. ``expires_at``: unix seconds at which the activation ends; 0: never."""

    export: Export
    expires_at: int = 0


class Denial(Struct, frozen=True, kw_only=True):
    """It may not. ``retry_at``: unix seconds at which it might by time alone; 0: only if somebody changes something."""

    reason: Reason
    retry_at: int = 0


def find_export(exports: Iterable[Export], kind: str, subject: str) -> Export | None:
    """The export that an import of ``subject`` uses: the very subject, else the most specific one that contains it.

    Of equal ones the last counts; of several that are equally specific the one with the most tokens that are no
    wildcards, then the first in the alphabet: the same on every node.
    """
    candidates = {each.subject: each for each in exports if each.kind == kind and covers(each.subject, subject)}
    if subject in candidates:
        return candidates[subject]
    narrow = [
        each
        for name, each in candidates.items()
        if not any(name != other and covers(name, other) for other in candidates)
    ]
    return min(narrow, key=lambda each: (-_literals(each.subject), each.subject), default=None)


def authorise(entry: Import, importer: str, exporter: AccountSharing, now: float) -> Grant | Denial:
    """``importer`` is the importing account's name or key, ``now`` unix seconds."""
    if not is_valid(entry.subject):
        return _denied(ReasonCode.IMPORT_SUBJECT, f'"{entry.subject}" is no subject', entry)
    export = find_export(exporter.exports, entry.kind, entry.subject)
    if export is None:
        text = f'account {exporter.label} exports no {entry.kind} that contains "{entry.subject}"'
        return _denied(
            ReasonCode.NOT_EXPORTED, text, entry, rule="exports", place=exporter.place, signer=exporter.signer
        )
    if export.token_position:
        return _by_position(entry, importer, export, exporter)
    if export.token_required:
        return _by_activation(entry, importer, export, exporter, now)
    if export.accounts is not None and importer not in export.accounts:
        text = f'account "{importer}" is not among those that may import {export.kind} "{export.subject}"'
        rule = f"accounts {', '.join(export.accounts)}"
        return _denied(ReasonCode.IMPORTER_NOT_LISTED, text, entry, rule=rule, place=export.place)
    return Grant(export=export)


def _literals(subject: str) -> int:
    return sum(token not in ("*", ">") for token in subject.split("."))


def _by_position(entry: Import, importer: str, export: Export, exporter: AccountSharing) -> Grant | Denial:
    tokens = entry.subject.split(".")
    if export.token_position <= len(tokens) and tokens[export.token_position - 1] == importer:
        return Grant(export=export)
    text = f'token {export.token_position} of "{entry.subject}" is not the importing account {importer}'
    rule = f"account_token_position {export.token_position}"
    return _denied(ReasonCode.TOKEN_POSITION, text, entry, rule=rule, place=export.place, signer=exporter.signer)


@lru_cache(maxsize=16_384)
def _decoded(token: str) -> ActivationClaims | str:
    """The claims, or why there are none. Checked signatures are remembered: an exporter's update asks for all of its
    importers' again."""
    try:
        return decode_as(ActivationClaims, token)
    except TokenError as error:
        return str(error)


def _by_activation(
    entry: Import, importer: str, export: Export, exporter: AccountSharing, now: float
) -> Grant | Denial:
    what = f'{export.kind} "{export.subject}" of account {exporter.label}'
    if not entry.token:
        text = f"{what} needs an activation token, and the import has none"
        rule = "token_req"
        return _denied(
            ReasonCode.ACTIVATION_MISSING, text, entry, rule=rule, place=export.place, signer=exporter.signer
        )
    token = _decoded(entry.token)
    if isinstance(token, str):
        return _denied(ReasonCode.ACTIVATION_INVALID, f"the activation token cannot be believed: {token}", entry)
    wrong = _mismatch(token, entry, importer, exporter)
    issues = validate(token, now)
    wrong = wrong or "; ".join(issue.description for issue in issues if issue.level is Level.BLOCKING)
    if wrong:
        return _denied(ReasonCode.ACTIVATION_INVALID, f"the activation token {wrong}", entry, signer=token.issuer)
    if blocking(issues, times=True):
        early = token.not_before > now
        text = f"the activation token for {what} {'is not yet valid' if early else 'has expired'}"
        rule = f"nbf {token.not_before}" if early else f"exp {token.expires}"
        return _denied(
            ReasonCode.ACTIVATION_EXPIRED,
            text,
            entry,
            rule=rule,
            signer=token.issuer,
            retry_at=token.not_before if early else 0,
        )
    revoked = dict(export.revocations)
    for key in (importer, EVERYBODY):
        if revoked.get(key, -1) >= token.issued_at:
            text = f"the activation token for {what} was revoked"
            return _denied(
                ReasonCode.ACTIVATION_REVOKED,
                text,
                entry,
                rule=f"revocations {key} {revoked[key]}",
                place=export.place,
                signer=exporter.signer,
            )
    return Grant(export=export, expires_at=token.expires)


def _mismatch(token: ActivationClaims, entry: Import, importer: str, exporter: AccountSharing) -> str:
    if token.account != exporter.account:
        return f"is of account {token.account}, not of {exporter.account}"
    if token.issuer not in exporter.keys:
        return f"was signed by {token.issuer}, which is no key of account {exporter.label} (any more)"
    if token.subject != importer:
        return f"was given to account {token.subject}"
    if token.kind != entry.kind:
        return f"is for a {token.kind or 'nothing'}, not for a {entry.kind}"
    if not covers(token.import_subject, entry.subject):
        return f'is for "{token.import_subject}", which does not contain "{entry.subject}"'
    return ""


def _denied(
    code: ReasonCode, text: str, entry: Import, *, rule: str = "", place: str = "", signer: str = "", retry_at: int = 0
) -> Denial:
    where = "; ".join(part for part in (entry.place, place) if part)
    return Denial(reason=Reason(code=code, text=text, rule=rule, place=where, signer=signer), retry_at=retry_at)
