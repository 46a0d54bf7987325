"""Gauges about credentials: who must be renewed, and when. Times are seconds since 1970.

As many series as there are operators, loaded accounts, scoped signing keys and (account, signer) pairs of connected
users; users of one signer are shown by the one that ends first. ``SERIES_MAX`` bounds each family.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

#: Series of one family; accounts beyond it are left out, and counted.
SERIES_MAX = 10_000


class _Family:
    """A gauge that takes no more series than that."""

    def __init__(self, name: str, text: str, labels: list[str]) -> None:
        self.metric = GaugeMetricFamily(f"gossamer_{name}", text, labels=labels)
        self.left_out = 0
        self._room = SERIES_MAX

    def add(self, labels: list[str], value: float) -> None:
        if self._room:
            self._room -= 1
            self.metric.add_metric(labels, value)
        else:
            self.left_out += 1


def credential_metrics(node: "Node") -> Iterator[Metric]:
    """Nothing where nobody has credentials that end (no operator)."""
    resolving = node.resolving
    operators = _Family("operator_expiry_time_seconds", "End of an operator JWT, 0: never", ["operator", "name"])
    accounts = _Family("account_expiry_time_seconds", "End of a loaded account JWT, 0: never", ["account", "name"])
    scopes = _Family(
        "account_scoped_key_info", "Scoped signing keys of loaded accounts, always 1", ["account", "key", "role"]
    )
    users = _Family(
        "user_expiry_time_seconds",
        "End of the first of the connected users of an account that a key has signed",
        ["account", "signer", "role"],
    )
    roles: dict[tuple[str, str], str] = {}
    if resolving is not None:
        for operator in resolving.live.trust.operators:
            operators.add([operator.subject, operator.name], operator.expires)
        for key in resolving.live:
            known = resolving.live.loaded(key)
            if known is None:
                continue
            accounts.add([key, known.claims.name], known.claims.expires)
            for entry in known.claims.signing_keys:
                if not isinstance(entry, str):
                    roles[key, entry.key] = entry.role
                    scopes.add([key, entry.key, entry.role], 1)
    for (account, signer), end in _first_ends(node).items():
        users.add([account, signer, roles.get((account, signer), "")], end)
    families = (operators, accounts, scopes, users)
    for family in families:
        yield family.metric
    left_out = sum(family.left_out for family in families)
    yield GaugeMetricFamily("gossamer_credential_series_left_out", "Series beyond their family's bound", value=left_out)


def _first_ends(node: "Node") -> dict[tuple[str, str], int]:
    """The earliest end of connected users by account and signer."""
    ends: dict[tuple[str, str], int] = {}
    for client in node.clients:
        admission = client.admission
        if admission is None or admission.expires_at is None or client.account is None:
            continue
        key = (client.account.name, admission.issuer)
        ends[key] = min(ends.get(key, admission.expires_at), admission.expires_at)
    return ends
