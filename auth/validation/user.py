"""User claims, and the templates of scoped keys (spec auth section 5)."""

from gossamer.auth.claims import UserClaims, UserGrant
from gossamer.auth.issues import Findings, quoted
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.places import parse_network, parse_time_of_day, zone_named
from gossamer.auth.validation.subject import check_permissions


def check_user(claims: UserClaims, found: Findings) -> None:
    """Everything in a user claim but its times of issue and expiry."""
    check_grant(claims.grant, found)
    if claims.issuer_account and not is_public(claims.issuer_account, KeyKind.ACCOUNT):
        found.block("account_id is not an account public key")


def check_grant(grant: UserGrant, found: Findings, *, subjects: bool = True) -> None:
    """Permissions (unless they are still templates), networks and hours."""
    if subjects:
        check_permissions(grant.publish, grant.subscribe, found)
    for network in grant.source_networks:
        if parse_network(network) is None:
            found.block(f"invalid cidr {quoted(network)} in user src limits")
    for hours in grant.times:
        for name, text in (("start", hours.start), ("end", hours.end)):
            if not text:
                found.block(f"time ranges {name} must contain {'a' if name == 'start' else 'an'} {name}")
            elif parse_time_of_day(text) is None:
                found.block(f"{name} in time range is invalid {quoted(text)}")
    if grant.times_location and zone_named(grant.times_location) is None:
        found.block(f"could not parse iana time zone by name: unknown time zone {grant.times_location}")
