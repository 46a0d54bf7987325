"""Many tenants: writes a tenants file, applies it, and measures what signing, starting and holding them cost.

    python tools/scale_tenants.py file --accounts 10000 --users 100 > tenants.toml
    python tools/scale_tenants.py apply --accounts 10000 --users 100 --home FOLDER
    python tools/scale_tenants.py directory --home FOLDER
    python tools/scale_tenants.py start --home FOLDER --kind gossamer

``apply`` makes a store in FOLDER; ``directory`` copies its accounts into FOLDER/jwt as a full resolver keeps them and
writes FOLDER/server.conf; ``start`` starts a node (or nats-server) with them and tells the time until it takes
connections, its memory, and the time of a first connection to a cold account.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

OPERATOR = "SCALE"


def tenants_file(accounts: int, users: int) -> str:
    """The text: every account has limits, a role for its users and one export; every tenth imports."""
    lines = [
        "[operator]",
        f'name = "{OPERATOR}"',
        'signing_keys = ["online"]',
        'service_urls = ["nats://127.0.0.1:4222"]',
        'system_account = "SYS"',
        "",
        "[accounts.SYS.users]",
        "sys = {}",
    ]
    for number in range(accounts):
        name = f"tenant-{number:05}"
        lines += [
            f"[accounts.{name}]",
            "limits = { connections = 200, subscriptions = 1000 }",
            f'exports = [{{ service = "api.{number}", name = "api" }}]',
        ]
        if number % 10 == 9:
            lines.append(f'imports = [{{ service = "api.{number - 1}", from = "tenant-{number - 1:05}" }}]')
        lines += [
            f"[accounts.{name}.roles.service]",
            'pub = ["app.{{name()}}.>", "api.>"]',
            'sub = ["_INBOX.>", "app.>"]',
            f"[accounts.{name}.users]",
        ]
        lines += [f'user-{user:03} = {{ role = "service" }}' for user in range(users)]
    return "\n".join(lines) + "\n"


def apply(home: Path, accounts: int, users: int) -> dict[str, object]:
    """Write the file, plan and apply it, apply it again. Returns the seconds of each."""
    from gossamer.operator.testing import run

    home.mkdir(parents=True, exist_ok=True)
    file = home / "tenants.toml"
    file.write_text(tenants_file(accounts, users))
    found: dict[str, object] = {"accounts": accounts, "users": accounts * users, "file_bytes": file.stat().st_size}
    for name in ("apply", "apply_again"):
        started = time.perf_counter()
        answer = run("apply", "-f", str(file), "-H", str(home / "store"), "--json")
        if answer.code:
            raise SystemExit(answer.err)
        found[name] = {"seconds": round(time.perf_counter() - started, 1), **answer.data["seconds"]}
        print(name, found[name], file=sys.stderr)
    return found


def directory(home: Path) -> int:
    """Lay the accounts out as a full resolver has them. Returns how many."""
    from gossamer.operator.store.workspace import Workspace
    from gossamer.operator.testing import run_ok

    workspace = Workspace.at(home / "store")
    target = home / "jwt"
    target.mkdir(exist_ok=True)
    names = workspace.store.accounts(OPERATOR)
    for name in names:
        stored = workspace.store.account(OPERATOR, name)
        (target / f"{stored.claims.subject}.jwt").write_text(stored.token)
    store = str(home / "store")
    text = run_ok("generate", "config", "--nats-resolver", "--operator", OPERATOR, "-H", store).out
    (home / "server.conf").write_text('listen: "127.0.0.1:0"\n' + text.replace("'./jwt'", f"'{target}'"))
    return len(names)


def start(home: Path, kind: str, account: str) -> dict[str, object]:
    """Start a server with the directory, connect to one cold account, and look at its memory."""
    ports = home / "ports"
    shutil.rmtree(ports, ignore_errors=True)
    ports.mkdir()
    binary = Path(sys.executable).parent / "nats-server"
    program = [str(binary)] if kind == "nats-server" else [sys.executable, "-m", "gossamer.operator.cli", "serve"]
    started = time.perf_counter()
    with (home / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, "-c", str(home / "server.conf"), "--ports_file_dir", str(ports)],
            stdout=log,
            stderr=log,
            cwd=home,
        )
    try:
        url = _url(ports, process)
        ready = time.perf_counter() - started
        idle = _resident_mib(process.pid)
        credentials = sorted((home / "store" / "creds" / OPERATOR / account).glob("*.creds"))[:2]
        times = asyncio.run(_connect(url, credentials))
        return {
            "kind": kind,
            "start_s": round(ready, 2),
            "resident_mib": idle,
            "first_connect_ms": times[0],
            "second_connect_ms": times[1],
            "resident_after_mib": _resident_mib(process.pid),
        }
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _url(ports: Path, process: "subprocess.Popen[bytes]") -> str:
    while process.poll() is None:
        for path in ports.glob("*.ports"):
            text = path.read_text()
            if text:
                return str(json.loads(text)["nats"][0])
        time.sleep(0.01)
    raise SystemExit("the server ended: see its log")


async def _connect(url: str, credentials: list[Path]) -> list[float]:
    import nats

    from gossamer.auth.credentials import load_credentials

    times = []
    for path in credentials:
        options = load_credentials(path).client_options()
        started = time.perf_counter()
        client = await nats.connect(url, allow_reconnect=False, **options)
        times.append(round((time.perf_counter() - started) * 1000, 1))
        await client.close()
    return times


def _resident_mib(pid: int) -> int:
    text = Path(f"/proc/{pid}/statm").read_text().split()
    return int(text[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20


def main() -> None:
    """Run one of the jobs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["file", "apply", "directory", "start"])
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--home", type=Path, default=Path("scale"))
    parser.add_argument("--kind", choices=["gossamer", "nats-server"], default="gossamer")
    given = parser.parse_args()
    if given.job == "file":
        sys.stdout.write(tenants_file(given.accounts, given.users))
    elif given.job == "apply":
        print(json.dumps(apply(given.home, given.accounts, given.users)))
    elif given.job == "directory":
        print(directory(given.home.resolve()))
    else:
        print(json.dumps(start(given.home.resolve(), given.kind, "tenant-00042")))


if __name__ == "__main__":
    main()
