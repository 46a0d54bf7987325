"""A new key for a user: new credentials under the same name, time to use them, then the old key is revoked."""

from collections.abc import Sequence

from msgspec import structs

from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.credentials import format_credentials
from gossamer.auth.keys import KeyKind
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.rotation.journal import USER, Journal, write_journal
from gossamer.operator.mesh.rotation.stage import Stage, Step
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.store.stored import Stored, sign
from gossamer.operator.tenants.revocations import revoke
from gossamer.operator.tenants.signing import account_signer


def begin(stage: Stage, account: str, user: str) -> Journal:
    """A new rotation of a user's key. Raises Failure if the user is revoked: new credentials would let it in again."""
    claims = stage.workspace.store.user(stage.operator, account, user).claims
    account_claims = stage.workspace.store.account(stage.operator, account).claims
    if account_claims.is_revoked(claims.subject, claims.issued_at):
        raise Failure(f"user {user!r} is revoked", code="revoked", hint="delete it, or remove the revocation first")
    return Journal(kind=USER, name=f"{account}/{user}", old=claims.subject, started=stage.clock())


def steps(stage: Stage) -> Sequence[Step]:
    """The three steps."""
    rotation = _Rotation(stage)
    return (
        Step("there are new credentials", rotation.issue),
        Step("nobody is connected with the old ones", rotation.wait),
        Step("the old ones are revoked on every server", rotation.revoke),
    )


class _Rotation:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.workspace = stage.workspace
        self.operator = stage.operator

    def issue(self, journal: Journal) -> None:
        account, user = journal.name.split("/", 1)
        keystore = self.workspace.keystore
        before = self._user(journal)
        if before.claims.subject != journal.old:
            return  # done before a crash
        signer = keystore.signer(before.claims.issuer)
        if signer is None:
            if before.claims.grant.is_empty:
                raise Failure(
                    f"the role's key that signed user {user!r} is not in the keystore",
                    code="no-signer",
                    hint="issue it where the key is",
                )
            operator = self.workspace.store.operator(self.operator).claims
            signer = account_signer(keystore, operator, self._account(journal))
        pair = keystore.generate(KeyKind.USER)
        journal.new = pair.public
        issuer_account = "" if signer.public == self._account(journal).subject else self._account(journal).subject
        claims = structs.replace(before.claims, subject=pair.public, issuer_account=issuer_account)
        stored = sign(claims, signer, now=self.stage.clock(), newer_than=before.claims.issued_at)
        self.workspace.store.put_user(self.operator, account, stored)
        text = format_credentials(stored.token, pair.seed)
        path = keystore.write_credentials(self.operator, account, user, text)
        write_journal(self.workspace, self.operator, journal)
        self.stage.outcome.note(f"wrote new credentials {path}")

    def wait(self, journal: Journal) -> None:
        stage = self.stage
        if stage.overlap_s is not None and stage.clock() >= journal.reached + stage.overlap_s:
            return
        account = self._account(journal).subject

        async def question(mesh: Mesh) -> list[str]:
            live = await mesh.connections(account)
            return [f"{one.label} uses the old credentials" for one in live if one.user == journal.old]

        hint = "hand out the new credentials and run the command again (--overlap or --force do not wait)"
        stage.wait_until([Errand.CONNECTIONS], question, hint)

    def revoke(self, journal: Journal) -> None:
        account, _ = journal.name.split("/", 1)
        if journal.old not in self._account(journal).revocations:
            outcome, _ = revoke(
                self.workspace,
                self.operator,
                account,
                [journal.old],
                now=self.stage.clock(),
                wish=self.stage.wish,
            )
            self.stage.outcome.done += outcome.done
            self.stage.commit()
        self.stage.deliver([self.workspace.store.account(self.operator, account)])

    def _account(self, journal: Journal) -> AccountClaims:
        return self.workspace.store.account(self.operator, journal.name.split("/", 1)[0]).claims

    def _user(self, journal: Journal) -> Stored[UserClaims]:
        account, user = journal.name.split("/", 1)
        return self.workspace.store.user(self.operator, account, user)
