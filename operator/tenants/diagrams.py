"""What a store holds as a picture: text for PlantUML (spec operator-cli section 4.6, generate diagram)."""

from datetime import UTC, datetime

from gossamer.auth.claims import AccountClaims
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.exports import export_for, exporter_subject


def component_diagram(workspace: Workspace, operator: str, *, detail: bool = False) -> str:
    """Accounts as components, what they export as interfaces, imports as arrows; those that lead nowhere are red."""
    accounts = _accounts(workspace, operator)
    by_key = {claims.subject: claims for claims in accounts}
    lines = ["@startuml", f'title "What the accounts of {_text(operator)} share"']
    for claims in accounts:
        lines.append(f'component "{_text(claims.name)}" as {claims.subject}')
        if detail and claims.description:
            lines.append(f"note bottom of {claims.subject} : {_text(claims.description)}")
        for number, export in enumerate(claims.exports):
            access = "private" if export.token_required else "public"
            name = f"{claims.subject}_{number}"
            lines.append(f'interface "{_text(export.name or export.subject)}" as {name} <<{access} {export.type}>>')
            lines.append(f'{claims.subject} -- {name} : "{_text(export.subject)}"')
    for claims in accounts:
        for entry in claims.imports:
            exporter = by_key.get(entry.account)
            subject = exporter_subject(entry)
            found = None if exporter is None else export_for(exporter, subject, entry.type)
            label = _text(subject if entry.local == subject else f"{subject} as {entry.local}")
            if exporter is None or found is None:
                lines.append(f'{claims.subject} ..> {entry.account} #red : "{label} (not found)"')
            else:
                lines.append(f'{claims.subject} ..> {exporter.subject}_{exporter.exports.index(found)} : "{label}"')
    return "\n".join([*lines, "@enduml"]) + "\n"


def object_diagram(workspace: Workspace, operator: str, *, users: bool = False) -> str:
    """The operator, its accounts, with ``users`` theirs, and who signed whom."""
    claims = workspace.store.operator(operator).claims
    lines = ["@startuml", f'title "Who signed whom in {_text(operator)}"']
    lines += [
        f'object "{_text(operator)}" as {claims.subject} <<operator>> {{',
        *_times(claims.issued_at, claims.expires),
    ]
    lines += [f"signing keys = {len(claims.signing_keys)}", "}"]
    for account in _accounts(workspace, operator):
        kind = "system account" if account.subject == claims.system_account else "account"
        lines.append(f'object "{_text(account.name)}" as {account.subject} <<{kind}>> {{')
        lines += [*_times(account.issued_at, account.expires), "}"]
        how = "" if account.issuer == claims.subject else " with a signing key"
        lines.append(f'{claims.subject} --> {account.subject} : "signed{how}"')
        for name in workspace.store.users(operator, account.name) if users else ():
            user = workspace.store.user(operator, account.name, name).claims
            scope = account.scope(user.issuer)
            role = f" as {_text(scope.role)}" if scope is not None else ""
            lines.append(f'object "{_text(name)}" as {user.subject} <<user>> {{')
            lines += [*_times(user.issued_at, user.expires), "}"]
            lines.append(f'{account.subject} --> {user.subject} : "signed{role}"')
    return "\n".join([*lines, "@enduml"]) + "\n"


def _accounts(workspace: Workspace, operator: str) -> list[AccountClaims]:
    return [workspace.store.account(operator, name).claims for name in workspace.store.accounts(operator)]


def _times(issued: int, expires: int) -> list[str]:
    return [f"issued = {_date(issued)}", f"expires = {_date(expires) if expires else 'never'}"]


def _date(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _text(text: str) -> str:
    """Inside quotes, on one line."""
    return " ".join(text.replace('"', "'").split())
