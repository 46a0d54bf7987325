"""``gossamer signer``: signing for others, and having things signed elsewhere (spec operator-cli section 10.6)."""

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from gossamer.auth.claims import Claims
from gossamer.auth.credentials import CredentialsError, load_credentials, parse_key
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.commands import options
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.failure import ExitCode, Failure, not_available, usage
from gossamer.operator.output.document import Document, Facts, Table, Text
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import role_key

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

via_options: Decorator = options.together(
    click.option("--via", metavar="HOST:PORT", default="", help="The signing service."),
    click.option("--tls-ca", metavar="FILE", default="", help="Authority of its certificate."),
    click.option("--tls-cert", metavar="FILE", default="", help="Our certificate, where it knows us by that."),
    click.option("--tls-key", metavar="FILE", default="", help="The key of our certificate."),
    click.option("--tls-name", metavar="NAME", default="", help="Name in its certificate, if not HOST."),
    click.option("--nkey", metavar="FILE", default="", help="Our user seed (or credentials), where it knows that."),
)


@click.group()
def signer() -> None:
    """Sign for others by a policy, or have things signed by a service or on a machine without a network."""


@signer.command()
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:4300", show_default=True, help="Port 0 takes any.")
@click.option("--policy", "policy_file", metavar="FILE", required=True, help="Who may have what signed (TOML).")
@click.option("--state", metavar="DIR", default="", help="Where requests wait; default: beside the keys.")
@click.option("--tls-cert", metavar="FILE", default="", help="Our certificate.")
@click.option("--tls-key", metavar="FILE", default="", help="Its key.")
@click.option("--tls-client-ca", metavar="FILE", default="", help="Ask clients for a certificate of this authority.")
@click.option("--check", is_flag=True, help="Read the policy and stop.")
@reading
def serve(session: Session, listen: str, policy_file: str, state: str, check: bool, **tls: str) -> Document:
    """Run the signing service until it is told to stop. Keys stay here; every signature is in the audit log."""
    from gossamer.operator.signer.policy import load_policy

    policy = load_policy(policy_file)
    workspace = session.workspace
    operator = workspace.operator().claims.name
    document = Document(data={"policy": policy.name, "clients": [client.name for client in policy.clients]})
    if check:
        document.done.append(f"the policy {policy.name!r} is sound")
        return document
    _need_grpc()
    from gossamer.operator.signer.server import SignerServer, Tls
    from gossamer.operator.signer.service import Signer

    if bool(tls["tls_cert"]) != bool(tls["tls_key"]) or (tls["tls_client_ca"] and not tls["tls_cert"]):
        raise usage("TLS needs --tls-cert and --tls-key", "give both, or neither")
    if workspace.keystore.custodian.described() is not None:
        workspace.keystore.custodian.vault()  # a service that cannot unlock its keys says so now
    folder = Path(state).expanduser().absolute() if state else workspace.keystore.root / "signer"
    security = None
    if tls["tls_cert"]:
        security = Tls(certificate=tls["tls_cert"], key=tls["tls_key"], client_ca=tls["tls_client_ca"])
    service = Signer(workspace.reopened, operator, policy, folder, time.time)
    server = SignerServer(service, listen, time.time, security)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server.start()
    click.echo(f"signing for operator {operator!r} on {server.address}", err=True)
    ended.wait()
    server.stop()
    document.done.append("stopped")
    return document


@signer.command("keys")
@via_options
@reading
def list_keys(session: Session, **given: str) -> Document:
    """List the keys that a service would sign with for us."""
    from gossamer.operator.signer.client import SignerClient

    with SignerClient(connection(given)) as client:
        keys = client.list_keys().keys
    rows = tuple((key.account, key.role, key.public_key, ", ".join(key.claim_kinds)) for key in keys)
    table = Table(title="Keys", columns=("Account", "Role", "Key", "Signs"), rows=rows)
    return Document(data=msgspec.to_builtins(keys), sections=[table])


@signer.command()
@click.argument("kind", type=click.Choice(["operator", "account", "user"]))
@click.argument("name")
@options.account_option
@click.option("--claim", "claim_file", metavar="FILE", default="", help="Claim as JSON; default: the stored one.")
@click.option("--key", "key_wish", metavar="KEY", default="", help="Public key or role that should sign.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it goes into the log.")
@click.option("-o", "--output-file", metavar="FILE", default="", help="Where to write the request.")
@via_options
@reading
def request(
    session: Session,
    kind: str,
    name: str,
    account_name: str,
    claim_file: str,
    key_wish: str,
    reason: str,
    output_file: str,
    **given: str,
) -> Document:
    """Ask for a signature: into a file for a machine without a network, or with --via from a service, where somebody
    else approves it."""
    from gossamer.operator.signer.offline import make_request

    workspace = session.workspace
    if bool(output_file) == bool(given["via"]):
        raise usage("a request goes into a file or to a service", "give -o FILE or --via HOST:PORT")
    operator = workspace.operator().claims.name
    account = workspace.account(account_name).claims.name if kind == "user" else ""
    before, claim_json = _claim(workspace, kind, operator, account, name, claim_file)
    key = _signing_key(workspace, kind, operator, account, key_wish, before)
    claim_json = _with_issuer_account(workspace, kind, operator, account, key, claim_json)
    made = make_request(
        kind,
        key,
        claim_json,
        operator=operator,
        account=account,
        newer_than=0 if before is None else before.issued_at,
        reason=reason,
        now=now_seconds(),
    )
    if given["via"]:
        from gossamer.operator.signer.client import SignerClient
        from gossamer.operator.signer.messages import SignRequest

        with SignerClient(connection(given)) as client:
            sent = SignRequest(kind=kind, key=key, claim_json=claim_json, reason=reason)
            pending = client.submit(sent)
        document = Document(data=msgspec.to_builtins(pending))
        document.done.append(f"submitted request {pending.id}")
        return document
    path = Path(output_file).expanduser().absolute()
    _write(path, msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    document = Document(data={"path": str(path), "key": key, "digest": made.digest})
    document.done.append(f"wrote {path}: have it signed by {key}")
    return document


@signer.command()
@via_options
@reading
def requests(session: Session, **given: str) -> Document:
    """List the requests of a service that we may see."""
    from gossamer.operator.signer.client import SignerClient

    with SignerClient(connection(given)) as client:
        found = client.requests().requests
    rows = tuple((item.id, item.state, item.kind, item.submitter, item.reason) for item in found)
    table = Table(title="Requests", columns=("Id", "State", "Kind", "Submitter", "Reason"), rows=rows)
    return Document(data=[_shown(item) for item in found], sections=[table])


@signer.command()
@click.argument("what")
@click.option("-o", "--output-file", metavar="FILE", default="", help="Where to write the response.")
@click.option("--digest", default="", help="With --via: the digest that was looked at; without it the claim is shown.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it goes into the log.")
@via_options
@writing
def approve(session: Session, what: str, output_file: str, digest: str, reason: str, **given: str) -> Document:
    """Sign a request file with a key that is here (-K or the keystore), or approve a request of a service (--via)."""
    if given["via"]:
        return _decide(what, digest, reason, given, approving=True)
    from gossamer.operator.signer.offline import answer_request, read_request

    made = read_request(what)
    if not output_file:
        raise usage("where should the response go?", "give -o FILE")
    kind = KeyKind.OPERATOR if made.kind in {"operator", "account"} else KeyKind.ACCOUNT
    public, pair = read_key_argument(session.signer or made.key, kind, session.workspace.keystore)
    if pair is None:
        raise Failure(
            f"the seed of {public} is not here",
            code="no-signer",
            hint="name the file that holds it with -K",
            exit_code=ExitCode.SIGNER_UNAVAILABLE,
        )
    response = answer_request(made, pair, now=now_seconds())
    path = Path(output_file).expanduser().absolute()
    if not session.dry_run:
        _write(path, msgspec.json.format(msgspec.json.encode(response), indent=2) + b"\n")
    document = Document(data={"path": str(path), "key": made.key, "kind": made.kind, "digest": made.digest})
    pairs = (("kind", made.kind), ("name", str(made.claim.get("name", ""))), ("key", made.key), ("why", made.reason))
    document.sections = [Facts(title="Signed", pairs=pairs), Text(content=json.dumps(made.claim, indent=2) + "\n")]
    document.done.append(f"wrote {path}")
    return document


@signer.command()
@click.argument("what")
@click.option("--digest", default="", help="The digest that was looked at; without it the claim is shown.")
@click.option("--reason", metavar="TEXT", default="", help="Why; it goes into the log.")
@via_options
@reading
def reject(session: Session, what: str, digest: str, reason: str, **given: str) -> Document:
    """End a request of a service."""
    return _decide(what, digest, reason, given, approving=False)


@signer.command("import")
@click.argument("what")
@click.option("--request", "request_file", metavar="FILE", default="", help="The request that it answers.")
@options.account_option
@via_options
@writing
def import_response(session: Session, what: str, request_file: str, account_name: str, **given: str) -> Document:
    """Put what was signed into the store: a response file, or with --via the id of an approved request."""
    from gossamer.operator.signer.offline import ResponseFile, import_response, read_request, read_response

    if given["via"]:
        from gossamer.operator.signer.client import SignerClient

        with SignerClient(connection(given)) as client:
            pending = client.request(what)
        if pending.state != "signed":
            raise Failure(f"the request is {pending.state}", code="not-signed", hint="wait for its approval")
        operator = session.workspace.operator().claims.name
        account = session.workspace.account(account_name).claims.name if pending.kind == "user" else ""
        response = ResponseFile(
            kind=pending.kind,
            key=pending.key,
            digest=pending.digest,
            token=pending.token,
            operator=operator,
            account=account,
        )
    else:
        response = read_response(what)
    asked = read_request(request_file) if request_file else None
    claims = import_response(session.workspace, response, asked)
    document = Document(data={"kind": claims.TYPE, "name": claims.name, "key": claims.subject, "issuer": claims.issuer})
    document.done.append(f"stored {claims.TYPE} {claims.name!r}, signed by {claims.issuer}")
    return document


@signer.command()
@click.option("--from", "from_number", type=int, default=0, metavar="N", help="Begin with line N; default: what comes.")
@via_options
@reading
def watch(session: Session, from_number: int, **given: str) -> Document:
    """Print the audit log of a service as it grows, one JSON object a line, until interrupted."""
    from gossamer.operator.signer.client import SignerClient

    with SignerClient(connection(given)) as client:
        for line in client.watch(from_number):
            click.echo(msgspec.json.encode(line).decode())
    return Document(data={"ended": True})


def connection(given: dict[str, str]) -> Any:
    """How to reach the service that the options name. Raises Failure (usage) without one, or for a broken key."""
    if not given["via"]:
        raise usage("which service?", "name it with --via HOST:PORT")
    if bool(given["tls_cert"]) != bool(given["tls_key"]):
        raise usage("a certificate goes with its key", "give --tls-cert and --tls-key")
    _need_grpc()
    from gossamer.operator.signer.client import Connection

    return Connection(
        address=given["via"],
        tls_ca=given["tls_ca"],
        tls_certificate=given["tls_cert"],
        tls_key=given["tls_key"],
        tls_name=given["tls_name"],
        key=_own_key(given["nkey"]) if given["nkey"] else None,
    )


def _need_grpc() -> None:
    from importlib.util import find_spec

    if find_spec("grpc") is None:
        raise not_available("the signing service without the packages of 'pip install gossamer[control]'")


def _own_key(path: str) -> KeyPair:
    content = ChangeSet().read(Path(path).expanduser())
    if content is None:
        raise Failure(f"there is no file {path}", code="not-found", hint="name our seed with --nkey", path=path)
    try:
        text = content.decode("ascii", "replace")
        pair = load_credentials(Path(path).expanduser()).key if "NATS USER JWT" in text else parse_key(text)
    except CredentialsError as error:
        raise Failure(f"{path} holds no key: {error}", code="bad-key", hint="give a user seed", path=path) from None
    if pair.kind is not KeyKind.USER or not pair.can_sign:
        raise Failure(f"{path} is not the seed of a user", code="bad-key", hint="give SU...", path=path)
    return pair


def _claim(
    workspace: Workspace, kind: str, operator: str, account: str, name: str, claim_file: str
) -> tuple[Claims | None, str]:
    store = workspace.store
    before: Claims | None
    if kind == "operator":
        before = store.operator(name).claims
    elif kind == "account":
        found = store.find_account(operator, name)
        before = None if found is None else found.claims
    else:
        held = store.find_user(operator, account, name)
        before = None if held is None else held.claims
    if claim_file:
        content = ChangeSet().read(Path(claim_file).expanduser())
        if content is None:
            raise Failure(f"there is no file {claim_file}", code="not-found", hint="name another one")
        text = content.decode("utf-8", "replace")
    elif before is None:
        raise Failure(f"there is no {kind} {name!r}", code="not-found", hint="describe it with --claim FILE")
    else:
        text = json.dumps(before.members())
    try:
        raw = json.loads(text)
        if isinstance(raw, dict) and set(raw) >= {"schema", "data"}:
            raw = raw["data"]  # what describe --json says
        if raw.get("name") != name:
            raise Failure(f"the claim is about {raw.get('name')!r}", code="bad-claim", hint=f"name it {name!r}")
        for ours in ("iss", "iat", "jti"):
            raw.pop(ours, None)
    except (ValueError, AttributeError) as error:
        raise Failure(f"the claim is not a JSON object: {error}", code="bad-claim", hint="mend it") from None
    return before, json.dumps(raw)


def _signing_key(workspace: Workspace, kind: str, operator: str, account: str, wish: str, before: Claims | None) -> str:
    claims = workspace.store.operator(operator).claims
    if kind == "operator":
        return claims.subject
    if kind == "account":
        trusted = claims.trusted_keys
        # A signing key where there is one: the identity key is the one to leave in peace.
        chosen = wish or next(iter(claims.signing_keys), claims.subject)
        if chosen not in trusted:
            raise Failure(f"{chosen} may not sign accounts", code="wrong-signer", hint=f"one of: {', '.join(trusted)}")
        return chosen
    tenant = workspace.store.account(operator, account).claims
    chosen = role_key(tenant, wish) or wish or (before.issuer if before is not None else tenant.subject)
    if chosen != tenant.subject and not tenant.has_signing_key(chosen):
        raise Failure(f"{chosen} is no key of account {account!r}", code="wrong-signer", hint="name one with --key")
    return chosen


def _with_issuer_account(
    workspace: Workspace, kind: str, operator: str, account: str, key: str, claim_json: str
) -> str:
    if kind != "user":
        return claim_json
    raw = json.loads(claim_json)
    tenant = workspace.store.account(operator, account).claims
    if key != tenant.subject and isinstance(raw.get("nats"), dict):
        raw["nats"]["issuer_account"] = tenant.subject
    return json.dumps(raw)


def _decide(what: str, digest: str, reason: str, given: dict[str, str], *, approving: bool) -> Document:
    from gossamer.operator.signer.client import SignerClient

    with SignerClient(connection(given)) as client:
        pending = client.request(what)
        if not digest:
            document = Document(data=_shown(pending), exit_code=int(ExitCode.FAILURE))
            document.sections = [Text(content=json.dumps(_shown(pending), indent=2) + "\n")]
            document.warn(
                "not-decided", "look at the claim, then repeat with its digest", hint=f"--digest {pending.digest}"
            )
            return document
        decided = (client.approve if approving else client.reject)(what, digest, reason)
    document = Document(data=_shown(decided))
    missing = decided.approvals_needed - len(decided.approved_by)
    state = f"approved; {missing} more needed" if approving and decided.state == "pending" else decided.state
    document.done.append(f"request {what} is {state}")
    return document


def _shown(pending: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(pending)
    found["claim"] = json.loads(found.pop("claim_json"))
    return found


def _write(path: Path, content: bytes) -> None:
    changes = ChangeSet()
    if changes.exists(path):
        raise Failure(f"{path} exists", code="exists", hint="name another file with -o", path=str(path))
    changes.write(path, content)
    changes.commit()
