"""Requests to and answers of an auth callout service (spec auth sections 5 and 25)."""

from gossamer.auth.claims import AuthorizationRequest, AuthorizationResponse
from gossamer.auth.issues import Findings, quoted
from gossamer.auth.keys import KeyKind, is_public


def check_request(claims: AuthorizationRequest, found: Findings) -> None:
    """It must name the key that the answer is for."""
    if not claims.user_nkey:
        found.block("User nkey is required")
    elif not is_public(claims.user_nkey, KeyKind.USER):
        found.block(f"User nkey {quoted(claims.user_nkey)} is not a valid user public key")


def check_response(claims: AuthorizationResponse, found: Findings) -> None:
    """It grants or refuses, for one user and one server."""
    if not is_public(claims.subject, KeyKind.USER):
        found.block("Subject must be a user public key")
    if not is_public(claims.audience, KeyKind.SERVER):
        found.block("Audience must be a server public key")
    if not claims.jwt and not claims.error:
        found.block("Error or Jwt is required")
    if claims.jwt and claims.error:
        found.block("Only Error or Jwt can be set")
    if claims.issuer_account and not is_public(claims.issuer_account, KeyKind.ACCOUNT):
        found.block("issuer_account is not an account public key")
