"""A new signing key for an account (spec operator-cli section 8.6): servers close every connection of the old key the
moment it goes, so everybody gets new credentials first, and time to use them."""

from collections.abc import Sequence

from msgspec import structs

from gossamer.auth.claims import AccountClaims, ActivationClaims, UserScope
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import KeyKind
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.rotation.journal import ACCOUNT_KEY, Journal, write_journal
from gossamer.operator.mesh.rotation.stage import Stage, Step
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.store.stored import sign
from gossamer.operator.tenants import users
from gossamer.operator.tenants.amendment import Change, amend
from gossamer.operator.tenants.signing import role_key
from gossamer.operator.tenants.users import UserEdit


def begin(stage: Stage, account: str, old: str) -> Journal:
    """A new rotation of one signing key, named by itself or by its role; the only one, if none is named. Raises
    Failure."""
    claims = stage.workspace.store.account(stage.operator, account).claims
    keys = claims.signing_key_texts
    old = (role_key(claims, old) or old) if old else (keys[0] if len(keys) == 1 else "")
    if old not in keys:
        what = f"{old} is no signing key of account {account!r}" if old else "it is not clear which key to replace"
        raise Failure(what, code="no-key", hint=f"name one: {', '.join(keys) or 'the account has none'}")
    return Journal(kind=ACCOUNT_KEY, name=account, old=old, started=stage.clock())


def steps(stage: Stage) -> Sequence[Step]:
    """The four steps."""
    rotation = _Rotation(stage)
    return (
        Step("every server knows the new key", rotation.add),
        Step("users and activations are signed by the new key", rotation.issue),
        Step("nobody is connected with credentials of the old key", rotation.wait),
        Step("no server knows the old key", rotation.remove),
    )


class _Rotation:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.workspace = stage.workspace
        self.operator = stage.operator

    def add(self, journal: Journal) -> None:
        if not journal.new:
            pair = self.workspace.keystore.generate(KeyKind.ACCOUNT)
            journal.new = pair.public
            scope = self._claims(journal).scope(journal.old)
            fresh: str | UserScope = pair.public if scope is None else structs.replace(scope, key=pair.public)
            self._amend(journal, lambda before: structs.replace(before, signing_keys=(*before.signing_keys, fresh)))
            write_journal(self.workspace, self.operator, journal)
            self.stage.commit()
        self._deliver(journal.name)

    def issue(self, journal: Journal) -> None:
        store = self.workspace.store
        claims = self._claims(journal)
        for name in store.users(self.operator, journal.name):
            user = store.user(self.operator, journal.name, name).claims
            if user.issuer != journal.old:
                continue
            if claims.is_revoked(user.subject, user.issued_at):
                # Issued anew it would be valid again.
                self.stage.outcome.warn("revoked-user", f"user {name!r} is revoked and was not issued anew")
                continue
            outcome = users.edit_user(
                self.workspace,
                self.operator,
                journal.name,
                name,
                UserEdit(resign=True),
                now=self.stage.clock(),
                wish=journal.new,
            )
            self.stage.outcome.done += outcome.done
        importers = [name for name in store.accounts(self.operator) if self._renew_activations(journal, name)]
        if importers:
            self.stage.commit()
            self._deliver(*importers)

    def wait(self, journal: Journal) -> None:
        stage = self.stage
        if stage.overlap_s is not None and stage.clock() >= journal.reached + stage.overlap_s:
            return
        account = self._claims(journal).subject

        async def question(mesh: Mesh) -> list[str]:
            live = await mesh.connections(account)
            found = [f"{one.label} uses the old key" for one in live if one.issuer == journal.old]
            # A server that does not say whose signature let somebody in: it may be the old key's.
            return found + [f"{one.label} may use the old key" for one in live if one.user and not one.issuer]

        hint = "hand out the new credentials and run the command again (--overlap or --force do not wait for everybody)"
        stage.wait_until([Errand.CONNECTIONS], question, hint)

    def remove(self, journal: Journal) -> None:
        left = [
            name
            for name in self.workspace.store.users(self.operator, journal.name)
            if self._is_locked_out(journal, name)
        ]
        if left:
            # Issued meanwhile by somebody who did not know: they would be locked out.
            self.issue(journal)
        if self._claims(journal).has_signing_key(journal.old):

            def without(before: AccountClaims) -> AccountClaims:
                kept = tuple(
                    entry
                    for entry in before.signing_keys
                    if (entry if isinstance(entry, str) else entry.key) != journal.old
                )
                return structs.replace(before, signing_keys=kept)

            self._amend(journal, without)
        self.stage.commit()
        self._deliver(journal.name)

    def _is_locked_out(self, journal: Journal, name: str) -> bool:
        user = self.workspace.store.user(self.operator, journal.name, name).claims
        revoked = self._claims(journal).is_revoked(user.subject, user.issued_at)
        return user.issuer == journal.old and not revoked

    def _renew_activations(self, journal: Journal, importer: str) -> bool:
        """Sign anew the activations that an account holds and that the old key has signed."""
        signer = self.workspace.keystore.signer(journal.new)
        assert signer is not None  # made in the first step; a keystore that lost it fails before
        claims = self.workspace.store.account(self.operator, importer).claims
        entries = []
        for entry in claims.imports:
            try:
                activation = decode_as(ActivationClaims, entry.token) if entry.token else None
            except TokenError:
                activation = None
            if activation is not None and activation.issuer == journal.old:
                renewed = sign(activation, signer, now=self.stage.clock(), newer_than=activation.issued_at)
                entry = structs.replace(entry, token=renewed.token)
            entries.append(entry)
        if tuple(entries) == claims.imports:
            return False
        amend(
            self.workspace,
            self.operator,
            importer,
            lambda before: structs.replace(before, imports=tuple(entries)),
            self.stage.outcome,
            now=self.stage.clock(),
            wish=self.stage.wish,
        )
        return True

    def _claims(self, journal: Journal) -> AccountClaims:
        return self.workspace.store.account(self.operator, journal.name).claims

    def _amend(self, journal: Journal, change: Change) -> None:
        amend(
            self.workspace,
            self.operator,
            journal.name,
            change,
            self.stage.outcome,
            now=self.stage.clock(),
            wish=self.stage.wish,
        )

    def _deliver(self, *names: str) -> None:
        self.stage.deliver([self.workspace.store.account(self.operator, name) for name in names])
