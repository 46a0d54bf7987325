"""``gossamer apply``: make the store, and with ``--push`` the servers, as a tenants file says."""

import os
from pathlib import Path
from typing import Any

import click

from gossamer.operator.commands.plan import file_option, force_option, plan_document, read_declared, wanted_on_servers
from gossamer.operator.commands.reach import progress_bar, reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.output.document import Document
from gossamer.operator.plan.applying import Applying, Servers, reopened
from gossamer.operator.plan.journal import resume
from gossamer.operator.plan.ledger import Ledgers
from gossamer.operator.plan.live import MeshServers, look
from gossamer.operator.plan.planning import Planner
from gossamer.operator.plan.summary import check_inputs, input_hashes, load, same_changes, summarized

_LINES_MAX = 100


@click.command()
@file_option
@force_option
@click.option("--plan", "saved", metavar="FILE", default="", help="A saved plan; refused if anything has changed.")
@click.option("--push", is_flag=True, help="Give the changed accounts to every server, and see that each has them.")
@click.option("--processes", type=int, default=0, metavar="N", help="Processes that sign users; default: one per core.")
@reach_options
@writing
def apply(session: Session, file: str, force: bool, saved: str, push: bool, processes: int, **given: Any) -> Document:
    """Make it so. What is so already is not signed again; applying twice changes nothing."""
    now = now_seconds()
    reach = reach_of(given, "")
    declaration, content = read_declared(file)
    operator = declaration.operator.name
    # A change set of our own: apply commits in stages, with a journal, and leaves nothing for the end.
    workspace = reopened(session.workspace, operator)
    folder = Ledgers(workspace, operator).folder
    if session.dry_run:
        planner = Planner(workspace, declaration, now=now, force=force)
        document = plan_document(summarized(planner, planner.work()), None)
        document.exit_code = 0
        return document
    resumed = resume(folder)
    plan = load(_content(saved), saved) if saved else None
    if plan is not None:
        hashes = input_hashes(workspace, operator, content)
        force = plan.force
        if "servers" in plan.inputs:
            looking = Planner(workspace, declaration, now=now, force=force)
            view = look(workspace, reach, plan, wanted_on_servers(looking.work()), now=now)
            hashes["servers"] = view.state
            # What that plan made is not wanted: it was only to know whom to ask about.
            workspace = reopened(session.workspace, operator)
        check_inputs(plan, hashes)
    with progress_bar("Issuing users", sum(len(one.users) for one in declaration.accounts.values())) as progress:
        servers = MeshServers(workspace, reach, now=now) if push else Servers()
        applying = Applying(
            workspace,
            declaration,
            now=now,
            force=force,
            wish=session.signer,
            servers=servers,
            processes=processes or os.cpu_count() or 1,
            progress=progress,
        )
        work = applying.planner.work()
        if plan is not None and not same_changes(plan, summarized(applying.planner, work)):
            raise Failure(
                "the plan was made for another state: time has changed what is to be done",
                code="stale-plan",
                hint="make it anew with: gossamer plan --out",
            )
        done = applying.run(work)
    document = Document(
        data={
            "operator": operator,
            "signed_accounts": done.signed_accounts,
            "issued_users": done.issued_users,
            "resumed": resumed,
            "seconds": done.seconds,
            "pushed": servers.pushed if isinstance(servers, MeshServers) else {},
        },
        warnings=list(work.warnings),
    )
    if resumed:
        document.done.append("finished what an interrupted apply had begun")
    document.done += done.lines[:_LINES_MAX]
    if len(done.lines) > _LINES_MAX:
        document.done.append(f"... and {len(done.lines) - _LINES_MAX} more")
    if not done.lines:
        document.done.append("everything is so already")
    if isinstance(servers, MeshServers):
        if servers.pushed:
            document.done.append(f"pushed {len(servers.pushed)} accounts, and every server has them")
        if servers.unverified:
            silent = ", ".join(sorted(servers.unverified))
            document.warn("unverified", f"took the accounts, but do not tell what they have: {silent}")
    return document


def _content(path: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise from_os_error(error, "read", path, "name the saved plan with --plan") from None
