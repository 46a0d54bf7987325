"""The policy of a signing service: who may have what signed, read from a TOML file.

::

    name = "acme"                    # the audience of challenges
    session = "10m"                  # how long a proof of identity counts

    [[client]]
    name = "ci"
    nkey = "UABC..."                 # or: tls_subject = "CN=ci,O=Example", or: tls_san = "spiffe://example/ci"
    operations = ["list", "issue"]   # list, issue, sign, submit, approve, watch

    [[client.rule]]
    kinds = ["user"]                 # user, activation, account, operator
    accounts = ["TEAM"]              # names (patterns) or public keys
    roles = ["svc"]                  # scoped keys by role; or keys = ["A...", "plain", "identity"]
    names = ["ci-*"]                 # what the claim may be called
    tags = ["dept:*"]                # which tags it may carry; none unless said
    expiry_max = "1h"                # required; "0": need not expire
    require_scope = true
    ceilings = { subs = 100, payload = 65536 }
    publish = ["ci.>"]               # without a scope: what it may be allowed at most
    per_minute = 60
    approvals = 1                    # how many others must approve

Nothing is allowed that no rule allows, and unknown members are errors.
"""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field, structs

from gossamer.auth.claims import AccountLimits
from gossamer.auth.keys import KeyKind, is_public
from gossamer.operator.commands.amounts import parse_duration
from gossamer.operator.failure import Failure, from_os_error

Kind = Literal["user", "activation", "account", "operator"]
Operation = Literal["list", "issue", "sign", "submit", "approve", "watch"]
PLAIN = "plain"
IDENTITY = "identity"
_OPERATOR_SIGNED = {"account", "operator"}
_LIMITS = {info.encode_name for info in structs.fields(AccountLimits)} - {"unknown", "tiered_limits"}


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing a client may have signed. Patterns are those of file names: ``*``, ``?`` and ``[...]``."""

    kinds: tuple[Kind, ...] = ("user",)
    accounts: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    names: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ()
    expiry_max: str
    require_scope: bool = True
    bearer: bool = False
    dots: bool = False  # may a name or tag that a template repeats hold a dot?
    ceilings: dict[str, int] = field(default_factory=dict)
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    per_minute: Annotated[int, Meta(ge=1)] = 60
    approvals: Annotated[int, Meta(ge=0)] | None = None

    @property
    def expiry_max_s(self) -> int:
        """In seconds; 0: it need not expire."""
        return parse_duration(self.expiry_max) // 1_000_000_000

    def approvals_needed(self, kind: str) -> int:
        """How many others must approve: one for what an operator key signs, unless the rule says otherwise."""
        if self.approvals is None:
            return 1 if kind in _OPERATOR_SIGNED else 0
        return self.approvals


class Client(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may call, and what for."""

    name: str
    nkey: str = ""
    tls_subject: str = ""
    tls_san: str = ""
    operations: tuple[Operation, ...] = ("list", "issue")
    rules: tuple[Rule, ...] = field(default=(), name="rule")


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    name: str
    session: str = "10m"
    clients: tuple[Client, ...] = field(default=(), name="client")

    @property
    def session_s(self) -> int:
        """In seconds."""
        return parse_duration(self.session) // 1_000_000_000

    def by_nkey(self, public: str) -> Client | None:
        """The client with this user key."""
        return next((client for client in self.clients if client.nkey == public), None)

    def by_certificate(self, subject: str, names: tuple[str, ...]) -> Client | None:
        """The client with this certificate: its subject (RFC 4514), its alternative names."""
        for client in self.clients:
            if client.tls_subject and client.tls_subject == subject:
                return client
            if client.tls_san and client.tls_san in names:
                return client
        return None


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Does a text fit one of the patterns? Case counts."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def parse_policy(text: str, place: str = "the policy") -> Policy:
    """Raises Failure naming what is wrong."""
    try:
        policy = msgspec.convert(tomllib.loads(text), Policy)
        _check(policy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise Failure(f"{place} is not usable: {error}", code="bad-policy", hint="mend it", path=place) from None
    return policy


def load_policy(path: str) -> Policy:
    """From a file. Raises Failure."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Failure(f"{path} is not UTF-8", code="bad-policy", hint="mend it", path=path) from None
    except OSError as error:
        raise from_os_error(error, "read", path, "name the policy with --policy") from None
    return parse_policy(text, path)


def _check(policy: Policy) -> None:
    if not policy.name or not 0 < policy.session_s <= 24 * 3600:
        raise ValueError("it needs a name, and a session of 1s to 24h")
    seen: set[str] = set()
    for client in policy.clients:
        proofs = [text for text in (client.nkey, client.tls_subject, client.tls_san) if text]
        if not client.name or client.name in seen:
            raise ValueError(f"the client name {client.name!r} is empty or stands twice")
        if len(proofs) != 1:
            raise ValueError(f"client {client.name!r} needs one of nkey, tls_subject and tls_san")
        if proofs[0] in seen:
            raise ValueError(f"client {client.name!r} shares its proof of identity with another")
        if client.nkey and not is_public(client.nkey, KeyKind.USER):
            raise ValueError(f"the nkey of client {client.name!r} is not a public user key")
        seen.update({client.name, proofs[0]})
        for rule in client.rules:
            _check_rule(client, rule)


def _check_rule(client: Client, rule: Rule) -> None:
    if not rule.expiry_max_s and rule.expiry_max.strip() != "0":
        raise ValueError(f"expiry_max {rule.expiry_max!r} of client {client.name!r} is less than a second")
    if not rule.roles and not rule.keys:
        raise ValueError(f"a rule of client {client.name!r} names neither roles nor keys")
    strange = set(rule.ceilings) - _LIMITS
    if strange:
        raise ValueError(f"a ceiling of client {client.name!r} is for no limit: {', '.join(sorted(strange))}")
    if "operator" in rule.kinds and not rule.approvals_needed("operator"):
        raise ValueError(f"client {client.name!r}: what makes an operator always needs another's approval")
