"""``gossamer callout``: platform identities become users, by rules in a file."""

import asyncio
import sys
import time
from pathlib import Path

import click

from gossamer.auth.exchange import Denied, Exchange, Granted, Rules, RulesError, read_rules
from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.output.document import Document, Facts, Remark, Table
from gossamer.operator.output.render import Form, show

_TOKEN_BYTES_MAX = 65_536

_rules = click.option("--rules", "rules_file", metavar="FILE", required=True, help="The rules: which token is who.")
_xkey = click.option("--xkey", "xkey_file", metavar="FILE", default="", help="Seed of the curve key of requests.")
_authorities = click.option(
    "--ca", metavar="FILE", default="", help="Further certificate authorities of issuers (PEM)."
)
_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")


@click.group()
def callout() -> None:
    """Let workloads in by the identity their platform gives them: OIDC and Kubernetes tokens become users."""


@callout.command()
@_rules
@click.option("--url", "urls", metavar="URL", multiple=True, required=True, help="Servers; may be given again.")
@click.option("--creds", "credentials", metavar="FILE", default="", help="Credentials of the service.")
@click.option("--nkey", "nkey_seed", metavar="FILE", default="", help="Seed of the service's nkey.")
@click.option("--queue", metavar="NAME", default="gossamer-callout", help="Queue group of all that share the work.")
@_xkey
@_authorities
def serve(
    rules_file: str, urls: tuple[str, ...], credentials: str, nkey_seed: str, queue: str, xkey_file: str, ca: str
) -> None:
    """Answer servers that ask who may come in, until INT or TERM. HUP reads the rules again."""
    from gossamer.operator.callout.service import Connection
    from gossamer.operator.callout.service import serve as run

    for name in (credentials, nkey_seed):
        if name and not Path(name).expanduser().is_file():
            raise usage(f"there is no file {name}", "name a file that this user may read")
    connection = Connection(urls=urls, credentials=credentials, nkey_seed=nkey_seed, queue=queue)
    asyncio.run(run(lambda: _read(rules_file, xkey_file), connection, authorities=ca))


@callout.command()
@_rules
@_xkey
@_json
def check(rules_file: str, xkey_file: str, as_json: bool) -> int:
    """Check a rules file: all that is wrong with it, with lines and remedies. Exit code 5 when something is."""
    try:
        rules = read_rules(rules_file, xkey_file=xkey_file)
    except RulesError as error:
        rows = tuple((fault.place, fault.text, fault.remedy) for fault in error.faults)
        document = Document(
            data={"valid": False, "faults": list(error.faults)},
            sections=[Table(title="Faults", columns=("Where", "What", "Remedy"), rows=rows)],
            errors=[
                Remark(code="broken-rules", message=fault.text, path=fault.place, hint=fault.remedy)
                for fault in error.faults
            ],
            exit_code=int(ExitCode.INVALID),
        )
        return _shown(document, "callout check", as_json)
    mode = "operator" if rules.operator_mode else "configuration"
    data = {
        "valid": True,
        "mode": mode,
        "issuers": [issuer.name for issuer in rules.issuers],
        "rules": [rule.name for rule in rules.rules],
        "signer": rules.signer.public,
        "xkey": rules.curve.public if rules.curve is not None else "",
    }
    done = f"{len(rules.issuers)} issuers and {len(rules.rules)} rules are valid ({mode} mode)"
    return _shown(Document(data=data, done=[done]), "callout check", as_json)


@callout.command(name="try")
@_rules
@click.option("--token", "token_file", metavar="FILE", required=True, help="A platform's token; - for standard input.")
@_authorities
@_json
def try_(rules_file: str, token_file: str, ca: str, as_json: bool) -> int:
    """Show who would come in by a token, and why, or why nobody. Nothing is signed. Exit code 1 when nobody."""
    from gossamer.operator.callout.driving import examine
    from gossamer.operator.callout.fetching import Fetcher

    exchange = Exchange(_read(rules_file, ""))
    token = _token(token_file)

    async def examined() -> Granted | Denied:
        async with Fetcher(authorities=ca) as fetcher:
            return await examine(exchange, token, fetcher)

    return _shown(_verdict(asyncio.run(examined())), "callout try", as_json)


def _verdict(outcome: Granted | Denied) -> Document:
    steps = Table(title="Looked at", columns=("Step",), rows=tuple((step,) for step in outcome.steps))
    if isinstance(outcome, Denied):
        data = {"granted": False, "cause": str(outcome.cause), "text": outcome.text, "steps": list(outcome.steps)}
        why = (("cause", str(outcome.cause)), ("why", outcome.text), ("rule", outcome.rule or "none"))
        remark = Remark(code=str(outcome.cause), message=outcome.text)
        return Document(
            data=data,
            sections=[Facts(title="Nobody comes in", pairs=why), steps],
            errors=[remark],
            exit_code=int(ExitCode.FAILURE),
        )
    grant = outcome.grant
    lists = {
        "publish": grant.publish.allow,
        "not publish": grant.publish.deny,
        "subscribe": grant.subscribe.allow,
        "not subscribe": grant.subscribe.deny,
    }
    data = {
        "granted": True,
        "rule": outcome.rule,
        "issuer": outcome.issuer,
        "account": outcome.target.name,
        "user": outcome.user,
        "tags": list(outcome.tags),
        "expires": outcome.expires,
        "scoped": outcome.scoped,
        "signer": outcome.target.signer.public,
        "permissions": {name: list(entries) for name, entries in lists.items() if entries},
        "steps": list(outcome.steps),
    }
    remaining = outcome.expires - time.time()
    until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(outcome.expires))
    allowed = "what its role says" if outcome.scoped else "everything"
    shown = [(name, ", ".join(entries)) for name, entries in lists.items() if entries] or [("may", allowed)]
    pairs = (
        ("user", outcome.user),
        ("account", outcome.target.name),
        ("rule", outcome.rule),
        ("tags", ", ".join(outcome.tags) or "none"),
        *shown,
        ("until", f"{until} (in {remaining:.0f} s)"),
    )
    return Document(data=data, sections=[Facts(title="Comes in", pairs=pairs), steps])


def _read(rules_file: str, xkey_file: str) -> Rules:
    try:
        return read_rules(rules_file, xkey_file=xkey_file)
    except RulesError as error:
        first, more = error.faults[0], len(error.faults) - 1
        text = f"{first.place}: {first.text}" + (f" (and {more} more)" if more else "")
        hint = f"{first.remedy}; gossamer callout check --rules {rules_file} tells all"
        raise Failure(text, code="broken-rules", hint=hint, path=rules_file, exit_code=ExitCode.INVALID) from None


def _token(token_file: str) -> str:
    try:
        data = sys.stdin.buffer.read(_TOKEN_BYTES_MAX + 1) if token_file == "-" else Path(token_file).read_bytes()
        return data.decode("ascii").strip()
    except OSError as error:
        text = f"cannot read the token {token_file}: {error.strerror or error}"
        raise Failure(text, code="storage", hint="check the path and its rights", path=token_file) from None
    except UnicodeDecodeError:
        raise Failure(f"{token_file} holds no token", code="no-token", hint="it must be a JWT") from None


def _shown(document: Document, command: str, as_json: bool) -> int:
    show(document, command, Form.JSON if as_json else Form.AUTO)
    return document.exit_code
