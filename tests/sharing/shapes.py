"""What accounts share, said once and written down in both modes: as a configuration with users, or as account JWTs."""

import json

from msgspec import structs
from tenants import Tenants

from gossamer.auth.claims import Export, Import, MappingTarget, ServiceLatency

SERVICE, STREAM = "service", "stream"


def service(subject, **fields):
    """A service to export."""
    return Export(subject=subject, type=SERVICE, **fields)


def stream(subject, **fields):
    """A stream to export."""
    return Export(subject=subject, type=STREAM, **fields)


def measured(subject, results, sampling=100, **fields):
    """A service whose latency is told."""
    return service(subject, service_latency=ServiceLatency(sampling=sampling, results=results), **fields)


def take_service(account, subject, local="", **fields):
    """A service to import."""
    return Import(type=SERVICE, account=account, subject=subject, local_subject=local, **fields)


def take_stream(account, subject, local="", **fields):
    """A stream to import."""
    return Import(type=STREAM, account=account, subject=subject, local_subject=local, **fields)


class Shape:
    """Accounts by name: ``Shape(A={"exports": [...]}, B={"imports": [...]})``. ``{B}`` in a subject becomes the name
    (or key) of account B, and so does the account of an import."""

    def __init__(self, extra="", **accounts):
        self.extra = extra
        self.accounts = accounts
        self.tenants = Tenants()

    def id(self, account, mode):
        """What the account is called on the wire."""
        return account if mode == "config" else self.tenants.account(account)

    def text(self, mode):
        """The configuration."""
        return (self._settings() if mode == "config" else self._claims()) + self.extra

    def connect(self, user, mode, nonce=""):
        """The fields of CONNECT for somebody of an account: ``A``, or ``A.second``."""
        if mode == "config":
            return {"user": user.partition(".")[0].lower(), "pass": "p"}
        return self.tenants.credentials(user, nonce)

    def _claims(self):
        for name, shares in self.accounts.items():
            exports = [
                structs.replace(each, subject=self._filled(each.subject, "operator"))
                for each in shares.get("exports", ())
            ]
            imports = [
                structs.replace(
                    each, account=self.tenants.account(each.account), subject=self._filled(each.subject, "operator")
                )
                for each in shares.get("imports", ())
            ]
            mappings = {
                source: tuple(
                    MappingTarget(subject=target, weight=weight, cluster=cluster) for target, weight, cluster in targets
                )
                for source, targets in shares.get("mappings", {}).items()
            }
            self.tenants.define(name, exports=tuple(exports), imports=tuple(imports), mappings=mappings)
        return self.tenants.configuration()

    def _settings(self):
        lines = ["accounts {"]
        for name, shares in self.accounts.items():
            lines.append(f" {name} {{ users: [{{user: {name.lower()}, password: p}}]")
            lines.append("  exports: [" + ", ".join(self._export(each) for each in shares.get("exports", ())) + "]")
            lines.append("  imports: [" + ", ".join(self._import(each) for each in shares.get("imports", ())) + "]")
            lines.append("  mappings {")
            for source, targets in shares.get("mappings", {}).items():
                entries = [
                    {"destination": target, "weight": weight} | ({"cluster": cluster} if cluster else {})
                    for target, weight, cluster in targets
                ]
                lines.append(f"   {json.dumps(source)}: {json.dumps(entries)}")
            lines.append("  } }")
        return "\n".join([*lines, " SYS { users: [{user: sys, password: p}] }", "}", "system_account: SYS", ""])

    def _export(self, each):
        entry = {each.type: self._filled(each.subject, "config")}
        if each.response_type:
            entry["response"] = each.response_type.lower()
        if each.response_threshold_ns:
            entry["threshold"] = f"{each.response_threshold_ns // 1_000_000}ms"
        if each.service_latency is not None:
            sampling = each.service_latency.sampling or "headers"
            entry["latency"] = {"sampling": sampling, "subject": each.service_latency.results}
        if each.account_token_position:
            entry["account_token_position"] = each.account_token_position
        return json.dumps(entry)

    def _import(self, each):
        entry = {each.type: {"account": each.account, "subject": self._filled(each.subject, "config")}}
        if each.local_subject:
            entry["to"] = each.local_subject
        if each.to:
            entry["prefix"] = each.to
        if each.share:
            entry["share"] = True
        return json.dumps(entry)

    def _filled(self, subject, mode):
        for name in self.accounts:
            subject = subject.replace(f"{{{name}}}", self.id(name, mode))
        return subject


class Place:
    """A running server in which the accounts of a shape are. ``join`` a user of one of them."""

    def __init__(self, server, shape, mode, dial):
        self.server = server
        self.shape = shape
        self.mode = mode
        self._dial = dial

    def id(self, account):
        """What the account is called on the wire."""
        return self.shape.id(account, self.mode)

    def join(self, user, **fields):
        """A raw client with headers and no_responders."""
        return join(self._dial, self.server, self.shape, self.mode, user, **fields)


def join(dial, server, shape, mode, user, **fields):
    """A raw client of a server that came in as a user of the shape."""
    client = dial(server)
    info = client.read_info()
    client.connect(
        **{**shape.connect(user, mode, info.get("nonce", "")), "headers": True, "no_responders": True, **fields}
    )
    client.ping()
    return client
