"""Claims: what a JWT says, as frozen values (spec auth sections 3 to 6)."""

from gossamer.auth.claims.account import (
    AccountClaims,
    AccountLimits,
    DefaultPermissions,
    ExternalAuthorization,
    MessageTrace,
    StorageLimits,
    UserScope,
)
from gossamer.auth.claims.activation import ActivationClaims
from gossamer.auth.claims.callout import AuthorizationRequest, AuthorizationResponse
from gossamer.auth.claims.envelope import Claims, clean_tags
from gossamer.auth.claims.generic import GenericClaims
from gossamer.auth.claims.grant import ResponseGrant, SubjectList, TimeRange, UserGrant
from gossamer.auth.claims.operator import OperatorClaims
from gossamer.auth.claims.part import ClaimsError
from gossamer.auth.claims.sharing import SERVICE, STREAM, Export, Import, MappingTarget, ServiceLatency
from gossamer.auth.claims.user import UserClaims

__all__ = [
    "SERVICE",
    "STREAM",
    "AccountClaims",
    "AccountLimits",
    "ActivationClaims",
    "AuthorizationRequest",
    "AuthorizationResponse",
    "Claims",
    "ClaimsError",
    "DefaultPermissions",
    "Export",
    "ExternalAuthorization",
    "GenericClaims",
    "Import",
    "MappingTarget",
    "MessageTrace",
    "OperatorClaims",
    "ResponseGrant",
    "ServiceLatency",
    "StorageLimits",
    "SubjectList",
    "TimeRange",
    "UserClaims",
    "UserGrant",
    "UserScope",
    "clean_tags",
]
