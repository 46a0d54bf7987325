"""Account mappings: a published subject becomes another, in shares (spec operator-cli section 4.4, auth 21)."""

from msgspec import structs

from gossamer.auth.claims import AccountClaims, MappingTarget
from gossamer.auth.transforms import TransformError, parse
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.exports import checked_subject
from gossamer.operator.tenants.result import Outcome

WHOLE = 100


def create_mapping(
    workspace: Workspace,
    operator: str,
    account: str,
    source: str,
    target: str,
    *,
    now: int,
    weight: int = WHOLE,
    cluster: str = "",
    wish: str = "",
) -> Outcome:
    """Map ``source`` to ``target`` with a weight in percent, for one cluster or all.

    A target that is there already gets the new weight; a mapping that is so already changes nothing. Raises Failure
    when the weights of one cluster would exceed 100.
    """
    source = checked_subject(source)
    try:
        parse(source, target)
    except TransformError as error:
        raise usage(
            f"{source!r} cannot be mapped to {target!r}: {error}",
            "write a subject, with $1 or {{wildcard(1)}} for each wildcard",
        ) from None
    if not 1 <= weight <= WHOLE:
        raise usage(f"{weight} is not a weight", "weights are 1 to 100")
    fresh = MappingTarget(subject=target, weight=0 if weight == WHOLE else weight, cluster=cluster)
    outcome = Outcome()

    def change(claims: AccountClaims) -> AccountClaims:
        targets = claims.mappings.get(source, ())
        same = [entry for entry in targets if (entry.subject, entry.cluster) == (target, cluster)]
        if same:
            kept = tuple(structs.replace(entry, weight=fresh.weight) if entry in same else entry for entry in targets)
        else:
            kept = (*targets, fresh)
        return structs.replace(claims, mappings={**claims.mappings, source: kept})

    before = workspace.store.account(operator, account).claims
    outcome.note(f"mapped {source!r} to {target!r}, {weight} %{f' in cluster {cluster!r}' if cluster else ''}")
    amend(workspace, operator, account, change, outcome, now=now, wish=wish)
    outcome.created = outcome.changed and source not in before.mappings
    return outcome


def delete_mapping(
    workspace: Workspace,
    operator: str,
    account: str,
    source: str,
    *,
    now: int,
    target: str = "",
    cluster: str | None = None,
    wish: str = "",
) -> Outcome:
    """End a mapping: all of it, or one target, or what one cluster has."""
    claims = workspace.store.account(operator, account).claims
    targets = claims.mappings.get(source)
    if targets is None:
        raise Failure(
            f"account {account!r} has no mapping of {source!r}",
            code="not-found",
            hint=f"it maps: {', '.join(list(claims.mappings)[:8])}" if claims.mappings else "it has no mappings",
        )
    gone = [
        entry for entry in targets if target in ("", entry.subject) and (cluster is None or cluster == entry.cluster)
    ]
    if not gone:
        raise Failure(
            f"the mapping of {source!r} has no such target",
            code="not-found",
            hint=f"it has: {', '.join(entry.subject for entry in targets)}",
        )
    kept = tuple(entry for entry in targets if entry not in gone)
    mappings = {name: entries for name, entries in claims.mappings.items() if name != source}
    if kept:
        mappings[source] = kept
    outcome = Outcome()
    outcome.note(f"removed the mapping of {source!r} to {', '.join(repr(entry.subject) for entry in gone)}")
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(before, mappings=mappings),
        outcome,
        now=now,
        wish=wish,
    )
    return outcome
