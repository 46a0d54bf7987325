"""What other programs need to come in as a user: profiles, and contexts of the ``nats`` command
(spec operator-cli section 5.2)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from gossamer.operator.custody.sealing import is_sealed
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.workspace import Workspace

WANTS = ("seeds", "keys", "names")


class ProfileUrl(Struct, frozen=True, kw_only=True):
    """``nsc://OPERATOR/ACCOUNT/USER?seeds&keys&names``: whose profile, and what belongs into it.

    ``wants`` holds ``seeds``, ``keys`` or ``names`` for all three, or ``operatorSeed``, ``accountKey``, ``userName``
    ... for one. ``store`` and ``keystore`` name folders.
    """

    operator: str
    account: str = ""
    user: str = ""
    wants: frozenset[str] = frozenset()
    store: str = ""
    keystore: str = ""

    def has(self, part: str, want: str) -> bool:
        """Is ``want`` (``seed``, ``key``, ``name``) asked for ``part`` (``operator`` ...)?"""
        return f"{want}s" in self.wants or f"{part}{want.capitalize()}" in self.wants

    @property
    def asks_for_secrets(self) -> bool:
        """Would the profile hold a seed?"""
        return any(self.has(part, "seed") for part in ("operator", "account", "user"))


def read_profile_url(text: str) -> ProfileUrl:
    """Raises Failure (usage) for anything that is no such URL."""
    parts = urlsplit(text)
    names = [unquote(part) for part in (parts.netloc, *parts.path.split("/")) if part]
    if parts.scheme != "nsc" or not 1 <= len(names) <= 3:
        raise usage(f"{text!r} is no profile", "write nsc://OPERATOR/ACCOUNT/USER?names&keys")
    query = parse_qs(parts.query, keep_blank_values=True)
    known = {f"{part}{want}" for part in ("operator", "account", "user") for want in ("Seed", "Key", "Name")}
    unknown = set(query) - known - set(WANTS) - {"store", "keystore"}
    if unknown:
        raise usage(f"{', '.join(sorted(unknown))} cannot be a part of a profile", "there are: names, keys, seeds")
    return ProfileUrl(
        operator=names[0],
        account=names[1] if len(names) > 1 else "",
        user=names[2] if len(names) > 2 else "",
        wants=frozenset(query) - {"store", "keystore"},
        store=query.get("store", [""])[0],
        keystore=query.get("keystore", [""])[0],
    )


def profile(workspace: Workspace, url: ProfileUrl) -> dict[str, Any]:
    """The profile: a path of credentials, the URLs of the servers, and what else the URL asks for.

    Raises Failure when an object is not in the store, or a seed that is asked for not in the keystore.
    """
    operator = workspace.store.operator(url.operator).claims
    found: dict[str, Any] = {}
    if url.user:
        path = workspace.keystore.credentials_path(url.operator, url.account, checked_name(url.user, "user"))
        if workspace.changes.exists(path):
            _check_readable(workspace, path, url.user)
            found["user_creds"] = str(path)
    found["operator"] = {"service": list(operator.operator_service_urls)}
    objects = [("operator", operator.name, operator.subject)]
    if url.account:
        account = workspace.store.account(url.operator, url.account).claims
        objects.append(("account", account.name, account.subject))
    if url.user:
        user = workspace.store.user(url.operator, url.account, url.user).claims
        objects.append(("user", user.name, user.subject))
    for part, name, key in objects:
        facts = found.get(part, {})
        if url.has(part, "name"):
            facts["name"] = name
        if url.has(part, "seed"):
            seed = workspace.keystore.seed(key)
            if seed is None:
                raise Failure(f"the seed of {part} {name!r} ({key}) is not in the keystore", code="no-seed")
            facts["seed"] = seed
        if url.has(part, "key"):
            facts["id"] = key
        if facts:
            found[part] = facts
    return found


def context_path(environment: Mapping[str, str], name: str) -> Path:
    """Where the ``nats`` command keeps a context. Raises Failure for a name that cannot be one."""
    base = environment.get("XDG_CONFIG_HOME", "")
    folder = Path(base).expanduser() if base else Path(environment.get("HOME", "") or Path.home()) / ".config"
    return (folder / "nats" / "context" / f"{checked_name(name, 'context')}.json").absolute()


def context_text(workspace: Workspace, operator: str, account: str, user: str, before: bytes | None) -> str:
    """A context of the ``nats`` command for a user; members of an older one (``before``) that are not ours stay.

    The member ``nsc`` is left out: with it, that command would start nsc to find what stands here already.
    Raises Failure when the user has no credentials, or the operator no service URL.
    """
    claims = workspace.store.operator(operator).claims
    workspace.store.user(operator, account, user)
    path = workspace.keystore.credentials_path(operator, account, user)
    if not workspace.changes.exists(path):
        raise Failure(
            f"user {user!r} has no credentials in the keystore",
            code="no-credentials",
            hint="write them with: gossamer user creds",
        )
    _check_readable(workspace, path, user)
    if not claims.operator_service_urls:
        raise Failure(
            f"operator {operator!r} names no servers",
            code="no-service-url",
            hint="name them with: gossamer operator edit --service-url nats://...",
        )
    try:
        members = json.loads(before or b"{}")
    except ValueError:
        members = {}
    members = members if isinstance(members, dict) else {}
    members.pop("nsc", None)
    members |= {"url": ",".join(claims.operator_service_urls), "creds": str(path)}
    return json.dumps(members, indent=1, ensure_ascii=False) + "\n"


def _check_readable(workspace: Workspace, path: Path, user: str) -> None:
    """Raises Failure for sealed credentials: no other program could read them."""
    if is_sealed(workspace.changes.read(path) or b""):
        raise Failure(
            f"the credentials of user {user!r} are sealed: other programs cannot read them",
            code="sealed",
            hint="write them where that program finds them: gossamer user creds -o FILE",
            path=str(path),
        )
