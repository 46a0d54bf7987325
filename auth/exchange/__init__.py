"""Platform identities become users: OIDC and Kubernetes service account tokens exchanged for user JWTs, by rules.

A workload shows the token its platform gives it; a server asks (auth callout); this decides. No secret is handed out to
anybody. Use it as a library::

    exchange = Exchange(read_rules("rules.toml"))
    outcome = exchange.examine(token, time.time())
    while isinstance(outcome, Needed):                   # keys of an issuer: fetching is yours
        exchange.keys.learned(outcome, fetch(outcome.url), time.time())
        outcome = exchange.examine(token, time.time())
    if isinstance(outcome, Granted):
        user_jwt = exchange.user_jwt(outcome, public_user_key, time.time())

or run it as a service: ``gossamer callout serve --rules rules.toml ...``.
"""

from gossamer.auth.exchange.exchange import Exchange, RequestError
from gossamer.auth.exchange.faults import Fault, RulesError
from gossamer.auth.exchange.outcomes import BYTES_MAX, Cause, Denied, Granted, Needed
from gossamer.auth.exchange.reading import parse_rules, read_rules
from gossamer.auth.exchange.rules import Condition, Issuer, Rule, Rules, Target

__all__ = [
    "BYTES_MAX",
    "Cause",
    "Condition",
    "Denied",
    "Exchange",
    "Fault",
    "Granted",
    "Issuer",
    "Needed",
    "RequestError",
    "Rule",
    "Rules",
    "RulesError",
    "Target",
    "parse_rules",
    "read_rules",
]
