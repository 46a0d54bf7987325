"""A new signing key for an operator (spec operator-cli sections 8.5 and 10.8).

The danger is an account that is forgotten: it is locked out by the last step. So the old key goes only when no
account, in the store or on any server, is signed by it any more.
"""

from collections.abc import Sequence

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.rotation.journal import OPERATOR_KEY, Journal, write_journal
from gossamer.operator.mesh.rotation.stage import Stage, Step
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.tenants import accounts, operators
from gossamer.operator.tenants.accounts import AccountEdit
from gossamer.operator.tenants.operators import GENERATE, OperatorEdit

_RESTART = "restart the servers with the new operator JWT (gossamer generate config), then run the command again"


def begin(stage: Stage, old: str) -> Journal:
    """A new rotation of one signing key; the only one, if none is named. Raises Failure."""
    claims = stage.workspace.store.operator(stage.operator).claims
    if not old and len(claims.signing_keys) == 1:
        old = claims.signing_keys[0]
    if old not in claims.signing_keys:
        what = (
            f"{old} is no signing key of operator {stage.operator!r}" if old else "it is not clear which key to replace"
        )
        raise Failure(what, code="no-key", hint=f"name one: {', '.join(claims.signing_keys) or 'there is none'}")
    return Journal(kind=OPERATOR_KEY, name=stage.operator, old=old, started=stage.clock())


def steps(stage: Stage) -> Sequence[Step]:
    """The four steps."""
    rotation = _Rotation(stage)
    return (
        Step("every server trusts the new key", rotation.add),
        Step("every account of the store is signed by a key that stays", rotation.sign),
        Step("no server has an account that is signed by the old key", rotation.push),
        Step("the operator's claim is without the old key", rotation.remove),
    )


class _Rotation:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.workspace = stage.workspace
        self.name = stage.operator

    def add(self, journal: Journal) -> None:
        stage = self.stage
        if not journal.new:
            before = self._claims().signing_keys
            edit = OperatorEdit(signing_keys=(GENERATE,))
            outcome = operators.edit_operator(self.workspace, self.name, edit, now=stage.clock(), wish=stage.wish)
            stage.outcome.done += outcome.done
            (journal.new,) = set(self._claims().signing_keys) - set(before)
            write_journal(self.workspace, self.name, journal)
            stage.commit()

        async def question(mesh: Mesh) -> list[str]:
            return await self._distrusting(mesh, journal.new)

        stage.wait_until([Errand.OPERATORS], question, _RESTART)

    def sign(self, journal: Journal) -> None:
        for name in self._signed_by(journal.old):
            edit = AccountEdit(resign=True)
            outcome = accounts.edit_account(
                self.workspace, self.name, name, edit, now=self.stage.clock(), wish=journal.new
            )
            self.stage.outcome.done += outcome.done

    def push(self, journal: Journal) -> None:
        store = self.workspace.store
        left = self._signed_by(journal.old)
        if left:
            # Signed meanwhile by somebody who did not know.
            self.sign(journal)
            self.stage.commit()
        stored = [store.account(self.name, name) for name in store.accounts(self.name)]
        self.stage.deliver(stored)

        async def question(mesh: Mesh) -> list[str]:
            return await _signed_on_servers(mesh, journal.old)

        hint = "take them into the store (gossamer pull -A) or remove them (gossamer prune), then run the command again"
        self.stage.wait_until([Errand.PULL], question, hint)

    def remove(self, journal: Journal) -> None:
        if journal.old in self._claims().signing_keys:
            edit = OperatorEdit(remove_signing_keys=(journal.old,))
            outcome = operators.edit_operator(
                self.workspace, self.name, edit, now=self.stage.clock(), wish=self.stage.wish
            )
            self.stage.outcome.done += outcome.done
        self.stage.outcome.warn(
            "restart-needed",
            f"servers trust {journal.old} until they are restarted with the operator's new claim",
            "gossamer generate config writes it; gossamer status shows which server has it",
        )

    def _claims(self) -> OperatorClaims:
        return self.workspace.store.operator(self.name).claims

    def _signed_by(self, key: str) -> list[str]:
        store = self.workspace.store
        return [name for name in store.accounts(self.name) if store.account(self.name, name).claims.issuer == key]

    async def _distrusting(self, mesh: Mesh, key: str) -> list[str]:
        """In words: the servers that do not trust the key."""
        tokens = await mesh.operator_tokens()
        found = [
            f"server {server.label} does not trust {key}"
            for server in await mesh.servers()
            if not _trusts(tokens.get(server.id, ()), key)
        ]
        if await mesh.unheard():
            found.append(f"{await mesh.unheard()} servers of the mesh do not answer")
        return found


def _trusts(tokens: Sequence[str], key: str) -> bool:
    for token in tokens:
        try:
            if key in decode_as(OperatorClaims, token).trusted_keys:
                return True
        except TokenError:
            continue
    return False


async def _signed_on_servers(mesh: Mesh, key: str) -> list[str]:
    """In words: accounts on any server that are signed by a key, also those that the store does not know."""
    lists = await mesh.lists()
    copies = await mesh.copies_of(sorted({account for accounts in lists.values() for account in accounts}))
    found = []
    for account, tokens in copies.items():
        for token in dict.fromkeys(filter(None, tokens)):
            try:
                claims = decode_as(AccountClaims, token)
            except TokenError:
                continue
            if claims.issuer == key:
                found.append(f"a server has account {claims.name!r} ({account}) signed by the old key")
    return found
