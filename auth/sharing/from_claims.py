"""What an account JWT says it shares, as values (spec auth sections 4.2.2 and 4.2.3)."""

from gossamer.auth.claims.account import AccountClaims
from gossamer.auth.claims.sharing import Export as ExportClaim
from gossamer.auth.claims.sharing import Import as ImportClaim
from gossamer.auth.sharing.values import (
    SERVICE,
    SINGLETON,
    AccountSharing,
    Export,
    Import,
    Latency,
    Mapping,
    Target,
)


def of_claims(claims: AccountClaims, place: str = "") -> AccountSharing:
    """What an account JWT says; ``place`` is where it was found."""
    where = place or f"account JWT of {claims.subject}"
    return AccountSharing(
        account=claims.subject,
        name=claims.name,
        exports=tuple(_export(entry, where) for entry in claims.exports),
        imports=tuple(_import(entry, where) for entry in claims.imports),
        mappings=tuple(
            Mapping(
                source=source,
                # An absent weight counts as 100 in a claim (section 5).
                targets=tuple(
                    Target(subject=target.subject, weight=target.weight or 100, cluster=target.cluster)
                    for target in targets
                ),
                place=f'{where}, mapping "{source}"',
            )
            for source, targets in claims.mappings.items()
        ),
        keys=frozenset((claims.subject, *claims.signing_key_texts)),
        signer=claims.issuer,
        issued_at=claims.issued_at,
        place=where,
    )


def _export(entry: ExportClaim, where: str) -> Export:
    latency = entry.service_latency
    return Export(
        kind=entry.type,
        subject=entry.subject,
        token_required=entry.token_required,
        token_position=entry.account_token_position,
        revocations=tuple(sorted(entry.revocations.items())),
        response=entry.response_type or SINGLETON,
        threshold_ns=max(0, entry.response_threshold_ns),
        latency=Latency(subject=latency.results, sampling=int(latency.sampling)) if latency is not None else None,
        allow_trace=entry.allow_trace,
        place=f'{where}, {entry.type} export "{entry.subject}"',
    )


def _import(entry: ImportClaim, where: str) -> Import:
    # In the deprecated form of a service ``to`` is the exporter's subject, and ``subject`` the local one (4.2.3).
    old_service = entry.type == SERVICE and entry.to and not entry.local_subject
    return Import(
        kind=entry.type,
        exporter=entry.account,
        subject=entry.to if old_service else entry.subject,
        local=entry.local,
        token=entry.token,
        share=entry.share,
        allow_trace=entry.allow_trace,
        place=f'{where}, {entry.type} import "{entry.subject}"',
    )
