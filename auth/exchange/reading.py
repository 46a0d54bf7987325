"""The rules file: TOML, read whole, all its faults told at once with their lines and remedies.

    [answer]
    signer = "issuer.nk"          # file with the seed (SA...) that signs answers: the callout's issuer
    account = "A..."              # operator mode: public key of the callout's account; else leave it out
    xkey = "service.xk"           # file with a curve seed (SX...), where servers seal their requests
    lifetime_max = "1h"           # nobody stays longer without a new token
    leeway = "30s"                # between the clocks of issuers and ours

    [[issuer]]
    name = "cluster"              # how rules call it
    url = "https://..."           # its iss claim, exactly
    audience = "nats"             # or a list; one must be in aud
    jwks_url = "https://..."      # or jwks_file, or discovery_url; default: discovery below url
    algorithms = ["RS256"]        # default: all asymmetric ones
    insecure = false              # true: keys may come by http from elsewhere than this machine

    [[account]]                   # operator mode only: the accounts that rules may name
    name = "SHOP"
    key = "A..."                  # its public key
    signer = "shop.nk"            # default: that of [answer]

    [[rule]]                      # the first that fits decides
    name = "web"
    issuer = "cluster"
    where = { "kubernetes.io.namespace" = ["shop", "shop-*"] }   # all must hold; * stands for any text
    account = "SHOP"
    user = "{kubernetes.io.serviceaccount.name}"    # {claim} is replaced; default "{sub}"
    tags = ["namespace:{kubernetes.io.namespace}"]
    publish = ["orders.{kubernetes.io.namespace}.>"]    # or { allow = [...], deny = [...] }; subscribe likewise
    allow_responses = true
    lifetime = "15m"              # and never longer than the token itself
    role_signer = "role.nk"       # operator mode: a scoped key instead of publish, subscribe and limits

Also in a rule: ``subscriptions_max``, ``payload_max``, ``source_networks``, ``connection_types``.
"""

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gossamer.auth.claims import ResponseGrant, SubjectList, UserGrant
from gossamer.auth.decisions import CONNECTION_TYPES
from gossamer.auth.exchange.faults import Fault, RulesError
from gossamer.auth.exchange.lines import Lines
from gossamer.auth.exchange.rules import (
    ALGORITHMS,
    DISCOVERY,
    Condition,
    Issuer,
    Rule,
    Rules,
    Target,
    filled,
    places,
)
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError, is_public
from gossamer.auth.places import parse_network
from gossamer.auth.subjects import is_valid
from gossamer.auth.xkeys import CurveKeyPair

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d)\Z", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LIFETIME_S = 3600
_LEEWAY_MAX_S = 600
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ISSUER_KEYS = ("name", "url", "audience", "algorithms", "jwks_url", "jwks_file", "discovery_url", "insecure")
_ACCOUNT_KEYS = ("name", "key", "signer")
_ANSWER_KEYS = ("signer", "account", "xkey", "leeway", "lifetime_max")
_RULE_KEYS = (
    "name", "issuer", "where", "account", "user", "tags", "publish", "subscribe", "allow_responses", "role_signer",
    "lifetime", "subscriptions_max", "payload_max", "source_networks", "connection_types",
)  # fmt: skip
_DIRECTION_KEYS = ("allow", "deny")


def read_rules(path: str | Path, *, xkey_file: str | Path = "") -> Rules:
    """Read a file; keys and key sets it names by file are beside it. ``xkey_file`` instead of the one it names.

    Raises RulesError.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        remedy = "check the path and its rights"
        raise RulesError((Fault(str(path), f"cannot be read: {error.strerror or error}", remedy),)) from None
    except UnicodeDecodeError:
        raise RulesError((Fault(str(path), "is not UTF-8", "write it as UTF-8"),)) from None
    return parse_rules(text, name=str(path), folder=path.parent, xkey_file=xkey_file)


def parse_rules(text: str, *, name: str = "rules", folder: Path | None = None, xkey_file: str | Path = "") -> Rules:
    """The rules of a text. ``name`` is how faults call it, ``folder`` where files it names are. Raises RulesError."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{name}:{line[1] if line else 1}"
        raise RulesError((Fault(where, f"is not TOML: {error}", "mend the line"),)) from None
    reading = _Reading(document, Lines(text), name, folder or Path(), xkey_file)
    rules = reading.run()
    if reading.faults or rules is None:
        ordered = sorted(reading.faults, key=lambda fault: fault[0])
        raise RulesError(tuple(fault for _, fault in ordered))
    return rules


class _Reading:
    def __init__(self, document: dict[str, Any], lines: Lines, name: str, folder: Path, xkey_file: str | Path) -> None:
        self.faults: list[tuple[int, Fault]] = []
        self._document = document
        self._lines = lines
        self._name = name
        self._folder = folder
        self._xkey_file = xkey_file
        self._operator_mode = False
        self._lifetime_max_s = _LIFETIME_S

    def run(self) -> Rules | None:
        document = self._document
        self._known(document, (), ("answer", "issuer", "account", "rule"))
        answer = document.get("answer", {})
        if not isinstance(answer, dict):
            self._fault(("answer",), "answer is not a table", "write [answer]")
            answer = {}
        self._known(answer, ("answer",), _ANSWER_KEYS)
        if "signer" not in answer:
            remedy = "name the file of the seed that signs answers: the callout's issuer key"
            self._fault(("answer",), "answer.signer is missing", remedy)
        signer = self._signer(answer, ("answer", "signer"))
        account = self._text(answer, ("answer", "account"))
        self._operator_mode = bool(account)
        if account and not is_public(account, KeyKind.ACCOUNT):
            self._fault(("answer", "account"), f"{account!r} is no public account key", "it begins with A")
        self._lifetime_max_s = self._duration(answer, ("answer", "lifetime_max"), _LIFETIME_S)
        leeway_s = self._duration(answer, ("answer", "leeway"), 30)
        if leeway_s > _LEEWAY_MAX_S:
            self._fault(
                ("answer", "leeway"), f"leeway of {leeway_s} s", f"keep it under {_LEEWAY_MAX_S} s: mend clocks"
            )
        curve = self._curve(answer)
        issuers = [self._issuer(table, ("issuer", index)) for index, table in self._tables("issuer")]
        targets = self._targets(signer)
        names = [issuer.name for issuer in issuers if issuer is not None]
        rules = [self._rule(table, ("rule", index), names, targets, signer) for index, table in self._tables("rule")]
        for what, found in (("issuer", issuers), ("rule", rules)):
            if not found:
                self._fault((), f"there is no [[{what}]]", f"write at least one [[{what}]]")
            self._unique(what, found)
        self._unique_urls(issuers)
        if self.faults or signer is None:
            return None
        return Rules(
            issuers=tuple(issuer for issuer in issuers if issuer is not None),
            rules=tuple(rule for rule in rules if rule is not None),
            signer=signer,
            account=account,
            curve=curve,
            leeway_s=leeway_s,
        )

    # --- the tables ---------------------------------------------------------------------------------------------
    def _issuer(self, table: dict[str, Any], path: tuple[str | int, ...]) -> Issuer | None:
        self._known(table, path, _ISSUER_KEYS)
        url = self._text(table, (*path, "url"))
        if not url:
            self._fault(path, "url is missing", "write the issuer's URL exactly as its tokens' iss claim has it")
        insecure = self._flag(table, (*path, "insecure"))
        sources = [key for key in ("jwks_url", "jwks_file", "discovery_url") if key in table]
        if len(sources) > 1:
            self._fault((*path, sources[1]), f"both {sources[0]} and {sources[1]}", "name one place for the keys")
        found = {key: self._text(table, (*path, key)) for key in ("jwks_url", "jwks_file", "discovery_url")}
        if not sources:
            found["discovery_url"] = url.rstrip("/") + DISCOVERY
        for key in ("jwks_url", "discovery_url"):
            if found[key]:
                self._check_url((*path, key if key in table else "url"), found[key], insecure)
        if found["jwks_file"]:
            file = self._folder / found["jwks_file"]
            if not file.is_file():
                self._fault((*path, "jwks_file"), f"there is no file {file}", "name a file beside the rules")
            found["jwks_file"] = str(file)
        audiences = self._texts(table, (*path, "audience"))
        if not audiences:
            text = "audience is missing: tokens meant for anybody would do"
            self._fault(path, text, 'write audience = "..." as the platform is told to issue it')
        algorithms = self._texts(table, (*path, "algorithms")) or ALGORITHMS
        for algorithm in algorithms:
            if algorithm not in ALGORITHMS:
                known = ", ".join(ALGORITHMS)
                self._fault(
                    (*path, "algorithms"), f"algorithm {algorithm!r} is not to be trusted", f"there are: {known}"
                )
        return Issuer(
            name=self._text(table, (*path, "name")) or url, url=url, audiences=audiences, algorithms=algorithms, **found
        )

    def _check_url(self, path: tuple[str | int, ...], url: str, insecure: bool) -> None:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            parts, host = urlsplit(""), ""
        if parts.scheme not in ("https", "http") or not host:
            self._fault(path, f"{url!r} is no URL to fetch keys from", "write https://..., or name a jwks_file")
        elif parts.scheme == "http" and not insecure and host not in _LOCAL:
            remedy = "use https, or say insecure = true if the way there is safe"
            self._fault(path, f"keys from {url} could be anybody's", remedy)

    def _targets(self, signer: KeyPair | None) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for index, table in self._tables("account"):
            path = ("account", index)
            self._known(table, path, _ACCOUNT_KEYS)
            name, key = self._text(table, (*path, "name")), self._text(table, (*path, "key"))
            if not self._operator_mode:
                remedy = 'remove it, or name the callout\'s account: [answer] account = "A..."'
                self._fault(path, "[[account]] is for operator mode", remedy)
                continue
            if not name or not is_public(key, KeyKind.ACCOUNT):
                self._fault(path, "an account needs a name and its public key", 'write name = "..." and key = "A..."')
            own = self._signer(table, (*path, "signer")) if "signer" in table else signer
            if name in found:
                self._fault((*path, "name"), f"account {name!r} is declared twice", "remove one")
            if own is not None:
                found[name] = Target(name=name, key=key, signer=own)
        return found

    def _rule(
        self,
        table: dict[str, Any],
        path: tuple[str | int, ...],
        issuers: list[str],
        targets: dict[str, Target],
        signer: KeyPair | None,
    ) -> Rule | None:
        self._known(table, path, _RULE_KEYS)
        issuer = self._text(table, (*path, "issuer"))
        if issuer not in issuers:
            known = ", ".join(issuers) or "none"
            self._fault((*path, "issuer"), f"there is no issuer {issuer!r}", f"there are: {known}")
        target = self._target(table, path, targets, signer)
        scoped = "role_signer" in table
        if scoped:
            role = self._signer(table, (*path, "role_signer"))
            if not self._operator_mode:
                remedy = "write publish and subscribe instead"
                self._fault((*path, "role_signer"), "scoped keys are for operator mode", remedy)
            if target is not None and role is not None:
                target = Target(name=target.name, key=target.key, signer=role)
        grant = self._grant(table, path, scoped=scoped)
        conditions = self._conditions(table, path)
        user = self._text(table, (*path, "user")) or "{sub}"
        tags = self._texts(table, (*path, "tags"))
        for key, template in (("user", user), *(("tags", tag) for tag in tags)):
            self._check_template((*path, key), template)
        lifetime_s = min(self._duration(table, (*path, "lifetime"), self._lifetime_max_s), self._lifetime_max_s)
        if lifetime_s <= 0:
            self._fault((*path, "lifetime"), "a lifetime of nothing", 'write for example "15m"')
        if target is None:
            return None
        return Rule(
            name=self._text(table, (*path, "name")) or f"rule {int(path[1]) + 1}",
            issuer=issuer,
            target=target,
            conditions=conditions,
            user=user,
            tags=tags,
            grant=grant,
            scoped=scoped,
            lifetime_s=lifetime_s,
        )

    def _target(
        self, table: dict[str, Any], path: tuple[str | int, ...], targets: dict[str, Target], signer: KeyPair | None
    ) -> Target | None:
        name = self._text(table, (*path, "account"))
        if not name:
            self._fault(path, "account is missing", "say which account the users belong to")
            return None
        if self._operator_mode and name not in targets:
            known = ", ".join(targets) or "none"
            self._fault((*path, "account"), f"there is no [[account]] {name!r}", f"there are: {known}")
            return None
        if self._operator_mode:
            return targets[name]
        return None if signer is None else Target(name=name, signer=signer)

    def _conditions(self, table: dict[str, Any], path: tuple[str | int, ...]) -> tuple[Condition, ...]:
        where = table.get("where", {})
        if not isinstance(where, dict) or not where:
            remedy = 'write where = { sub = "..." }, or { sub = "*" } for everybody'
            self._fault((*path, "where") if "where" in table else path, "where names no claim", remedy)
            return ()
        found = []
        for claim, value in where.items():
            patterns = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
            if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
                remedy = 'write a text or a list of texts; "*" stands for anything'
                self._fault((*path, "where"), f"claim {claim!r} is compared with no text", remedy)
                continue
            found.append(Condition(claim, patterns))
        return tuple(found)

    def _grant(self, table: dict[str, Any], path: tuple[str | int, ...], *, scoped: bool) -> UserGrant:
        if scoped:
            for key in ("publish", "subscribe", "allow_responses", "subscriptions_max", "payload_max",
                        "source_networks", "connection_types"):  # fmt: skip
                if key in table:
                    text = f"{key} beside role_signer: the role alone says what its users may do"
                    self._fault((*path, key), text, "remove one of the two")
            return UserGrant()
        publish, subscribe = (self._subjects(table, (*path, key)) for key in ("publish", "subscribe"))
        networks = self._texts(table, (*path, "source_networks"))
        for network in networks:
            if parse_network(network) is None:
                self._fault((*path, "source_networks"), f"{network!r} is no network", 'write for example "10.0.0.0/8"')
        types = tuple(kind.upper() for kind in self._texts(table, (*path, "connection_types")))
        for kind in types:
            if kind not in CONNECTION_TYPES:
                remedy = f"there are: {', '.join(sorted(CONNECTION_TYPES))}"
                self._fault((*path, "connection_types"), f"there is no connection type {kind!r}", remedy)
        return UserGrant(
            publish=publish,
            subscribe=subscribe,
            responses=ResponseGrant(max_messages=1) if self._flag(table, (*path, "allow_responses")) else None,
            source_networks=networks,
            allowed_connection_types=types,
            subscriptions=self._number(table, (*path, "subscriptions_max"), -1),
            payload=self._number(table, (*path, "payload_max"), -1),
            data=-1,
        )

    def _subjects(self, table: dict[str, Any], path: tuple[str | int, ...]) -> SubjectList:
        """A list of subjects that are allowed, or a table of ``allow`` and ``deny``."""
        value = table.get(str(path[-1]))
        if isinstance(value, dict):
            self._known(value, path, _DIRECTION_KEYS)
            lists = {key: self._texts(value, (*path, key)) for key in _DIRECTION_KEYS}
        else:
            lists = {"allow": self._texts(table, path), "deny": ()}
        if isinstance(value, list | dict) and not any(lists.values()):
            remedy = 'write { deny = [">"] } to allow nothing, or leave it out to allow everything'
            self._fault(path, "an empty list would allow everything", remedy)
        for entry in (*lists["allow"], *lists["deny"]):
            self._check_template(path, entry)
            parts = filled(entry, dict.fromkeys(places(entry), "x")).split(" ")
            queues = 2 if path[-1] == "subscribe" else 1
            if len(parts) > queues or not all(is_valid(part) for part in parts):
                self._fault(path, f"{entry!r} is no subject", "tokens are joined by dots; > may only be the last")
        return SubjectList(allow=lists["allow"], deny=lists["deny"])

    # --- keys ---------------------------------------------------------------------------------------------------
    def _signer(self, table: dict[str, Any], path: tuple[str | int, ...]) -> KeyPair | None:
        text = self._seed(self._text(table, path), path)
        if not text:
            return None
        try:
            pair = KeyPair.from_seed(text)
        except NkeyError as error:
            self._fault(path, f"holds no seed: {error}", "it must be the seed of an account key (SA...)")
            return None
        if pair.kind is not KeyKind.ACCOUNT:
            self._fault(path, f"holds the seed of a {pair.kind.word}", "it must be that of an account key (SA...)")
            return None
        return pair

    def _curve(self, answer: dict[str, Any]) -> CurveKeyPair | None:
        path = ("answer", "xkey")
        name = str(self._xkey_file) if self._xkey_file else self._text(answer, path)
        text = self._seed(name, path, given=bool(self._xkey_file))
        if not text:
            return None
        try:
            return CurveKeyPair.from_seed(text)
        except NkeyError as error:
            self._fault(path, f"{name} holds no curve key: {error}", "it must be the seed of a curve key (SX...)")
            return None

    def _seed(self, name: str, path: tuple[str | int, ...], *, given: bool = False) -> str:
        """The text of a file with a seed; seeds themselves do not belong into a rules file."""
        if not name:
            return ""
        if re.fullmatch(r"S[A-Z2-7]{57}", name):
            self._fault(path, "holds a seed itself", "put it into a file of its own that only this user may read")
            return ""
        file = Path(name) if given else self._folder / name
        try:
            lines = file.read_text(encoding="ascii").split()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a seed"
            self._fault(path, f"{file} cannot be read: {why}", "name a file that holds a seed")
            return ""
        seed = next((line for line in lines if re.fullmatch(r"S[A-Z2-7]{57}", line)), "")
        if not seed:
            self._fault(path, f"{file} holds no seed", "it must hold one line that begins with S")
        return seed

    # --- values -------------------------------------------------------------------------------------------------
    def _tables(self, what: str) -> list[tuple[int, dict[str, Any]]]:
        value = self._document.get(what, [])
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            return list(enumerate(value))
        self._fault((what,), f"{what} is not a list of tables", f"write [[{what}]]")
        return []

    def _text(self, table: dict[str, Any], path: tuple[str | int, ...]) -> str:
        value = table.get(str(path[-1]), "")
        if isinstance(value, str):
            return value
        self._fault(path, f"{path[-1]} is not a text", "put it into quotes")
        return ""

    def _texts(self, table: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
        value = table.get(str(path[-1]), [])
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
            return tuple(value)
        self._fault(path, f"{path[-1]} is not a text or a list of texts", 'write ["...", "..."]')
        return ()

    def _flag(self, table: dict[str, Any], path: tuple[str | int, ...]) -> bool:
        value = table.get(str(path[-1]), False)
        if not isinstance(value, bool):
            self._fault(path, f"{path[-1]} is neither true nor false", "write true or false")
        return value is True

    def _number(self, table: dict[str, Any], path: tuple[str | int, ...], default: int) -> int:
        value = table.get(str(path[-1]), default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= -1:
            return value
        self._fault(path, f"{path[-1]} is no number", "write a whole number; -1 for no limit")
        return default

    def _duration(self, table: dict[str, Any], path: tuple[str | int, ...], default: int) -> int:
        if str(path[-1]) not in table:
            return default
        value = table[str(path[-1])]
        found = _DURATION.match(value) if isinstance(value, str) else None
        if found is None:
            self._fault(path, f"{path[-1]} is no duration", 'write for example "90s", "15m" or "1h"')
            return default
        return int(found[1]) * _UNITS[found[2]]

    def _check_template(self, path: tuple[str | int, ...], template: str) -> None:
        rest = filled(template, dict.fromkeys(places(template), ""))
        if any(not claim.strip() for claim in places(template)) or "{" in rest or "}" in rest:
            self._fault(path, f"{template!r} is no template", "write {claim} where a claim's value belongs")

    # --- faults -------------------------------------------------------------------------------------------------
    def _known(self, table: dict[str, Any], path: tuple[str | int, ...], keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                close = difflib.get_close_matches(key, keys, 1)
                remedy = f"do you mean {close[0]!r}?" if close else f"there are: {', '.join(keys)}"
                self._fault((*path, key), f"{key!r} is not known here", remedy)

    def _unique(self, what: str, found: list[Any]) -> None:
        seen: set[str] = set()
        for index, each in enumerate(found):
            if each is not None:
                if each.name in seen:
                    self._fault((what, index), f"{what} {each.name!r} is declared twice", "rename one")
                seen.add(each.name)

    def _unique_urls(self, issuers: list[Issuer | None]) -> None:
        seen: set[str] = set()
        for index, issuer in enumerate(issuers):
            if issuer is not None and issuer.url:
                if issuer.url in seen:
                    remedy = "make one [[issuer]] of them: audience takes a list"
                    self._fault(("issuer", index, "url"), f"issuer {issuer.url!r} is declared twice", remedy)
                seen.add(issuer.url)

    def _fault(self, path: tuple[str | int, ...], text: str, remedy: str) -> None:
        line = self._lines.find(path)
        words = [str(part + 1) if isinstance(part, int) else part for part in path]
        where = " ".join(words[:2]) + ("." + ".".join(words[2:]) if len(words) > 2 else "")
        fault = Fault(f"{self._name}:{line}", f"{where}: {text}" if where else text, remedy)
        self.faults.append((line, fault))
