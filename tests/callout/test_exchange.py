"""Our token exchange in front of both servers: a workload with its platform's token and nothing else comes in."""

import asyncio
import base64
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

import jwt
import nats
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.commands import root


class Platform:
    """An issuer of tokens with its discovery and keys on a loopback port."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        platform = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = platform.documents().get(self.path)
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")
                platform.asked.append(self.path)

            def log_message(self, *_):
                pass

        self.asked = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def documents(self):
        key = {**jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True), "kid": "one", "use": "sig"}
        return {
            "/.well-known/openid-configuration": json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/k"}).encode(),
            "/k": json.dumps({"keys": [key]}).encode(),
        }

    def token(self, key=None, **changed):
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "nats",
            "sub": "system:serviceaccount:shop:web",
            "kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "web"}},
            "iat": now,
            "exp": now + 300,
            **changed,
        }
        return jwt.encode(claims, key or self.key, "RS256", headers={"kid": "one"})

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="session")
def platform():
    made = Platform()
    yield made
    made.close()


@pytest.fixture(scope="session")
def exchange_keys():
    return KeyPair.generate(KeyKind.ACCOUNT), CurveKeyPair.generate()


@pytest.fixture
def rules(platform, exchange_keys, tmp_path):
    return written_rules(platform, exchange_keys, tmp_path)


def written_rules(platform, exchange_keys, tmp_path):
    (tmp_path / "issuer.nk").write_text(exchange_keys[0].seed)
    (tmp_path / "x.nk").write_text(exchange_keys[1].seed)
    path = tmp_path / "rules.toml"
    path.write_text(
        f"""
[answer]
signer = "issuer.nk"

[[issuer]]
name = "cluster"
url = "{platform.url}"
audience = "nats"

[[rule]]
name = "web"
issuer = "cluster"
where = {{ "kubernetes.io.namespace" = "shop", "kubernetes.io.serviceaccount.name" = "web" }}
account = "APP"
user = "{{kubernetes.io.namespace}}-{{kubernetes.io.serviceaccount.name}}"
publish = ["orders.{{kubernetes.io.namespace}}.>", "$SYS.REQ.USER.INFO"]
lifetime = "5m"

[[rule]]
name = "brief"
issuer = "cluster"
where = {{ sub = "brief" }}
account = "APP"
lifetime = "2s"
"""
    )
    return path


def command(*arguments):
    return [sys.executable, "-m", "gossamer.operator.cli", "callout", *map(str, arguments)]


def environment():
    return {**os.environ, "PYTHONPATH": os.path.abspath(os.environ["PYTHONPATH"])}


@pytest.fixture
def run(capsys):
    """Call with the arguments of ``gossamer callout``: exit code, standard output, standard error."""

    def run(*arguments):
        code = root.run(["callout", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def started(server, rules, *more, folder):
    """``gossamer callout serve`` in front of a server."""
    number = len(list(folder.glob("service*.log")))
    url = server.url.replace("nats://", "nats://svc:p@")
    arguments = command("serve", "--rules", rules, "--url", url, *more)
    with (folder / f"service{number}.log").open("w") as log:
        process = subprocess.Popen(arguments, env=environment(), stderr=log, stdout=log)
    service = Running(process, log.name)
    try:
        service.wait_for("answering $SYS.REQ.USER.AUTH")
    except BaseException:
        service.stop()
        raise
    return service


@pytest.fixture
def serving(tmp_path):
    """Call with a server and rules: a service until the end of the test."""
    running = []

    def start(server, rules, *more):
        running.append(started(server, rules, *more, folder=tmp_path))
        return running[-1]

    yield start
    for service in running:
        service.stop()


@pytest.fixture(scope="session")
def shared(shared_server, platform, exchange_keys, tmp_path_factory):
    """A server of each kind with a service in front of it, for many tests."""
    running = {}

    def share():
        server = shared_server(config=configuration(exchange_keys))
        if server.pid not in running:
            folder = tmp_path_factory.mktemp("service")
            rules = written_rules(platform, exchange_keys, folder)
            running[server.pid] = started(server, rules, folder=folder)
        return server, running[server.pid]

    yield share
    for service in running.values():
        service.stop()


class Running:
    def __init__(self, process, path):
        self.process, self.path = process, path

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(10)

    @property
    def log(self):
        with open(self.path) as file:
            return file.read()

    def wait_for(self, text, timeout_s=15):
        deadline = time.monotonic() + timeout_s
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.01)


def configuration(keys, xkey=False):
    more = f", xkey: {keys[1].public}" if xkey else ""
    return f"""
    authorization {{
      timeout: 5
      auth_callout {{ issuer: {keys[0].public}, account: AUTH, auth_users: [svc] {more} }}
    }}
    accounts {{ AUTH {{ users: [{{user: svc, password: p}}] }}, APP {{}} }}
    """


@pytest.fixture
def server(start_server, exchange_keys):
    return start_server(config=configuration(exchange_keys))


def test_a_workload_comes_in_by_its_token_alone(server, serving, rules, platform, visit):
    service = serving(server, rules)
    for fields in ({"auth_token": platform.token()}, {"user": "any", "pass": platform.token()}):
        visitor = visit(server, **fields).admitted()
        identity = visitor.identity()
        assert (identity["user"], identity["account"]) == ("shop-web", "APP")
        assert 0 < identity["expires"] <= 300_000_000_000
        visitor.publish("orders.shop.new", b"x")
        visitor.ping()
        visitor.publish("orders.bank.new", b"x")
        visitor.expect_error('Permissions Violation for Publish to "orders.bank.new"')
    service.wait_for("granted: shop-web in APP by 'web'")
    assert platform.token() not in service.log
    assert service.stop() == 0
    assert "ended: not connected, 2 granted, 0 denied" in service.log


def test_nats_py_comes_in_with_its_token(shared, platform):
    server, _ = shared()

    async def come():
        client = await nats.connect(server.url, token=platform.token(), allow_reconnect=False)
        try:
            await client.publish("orders.shop.x", b"1")
            await client.flush()
        finally:
            await client.close()

    asyncio.run(come())


def none_token(platform):
    _, payload, _ = platform.token().split(".")

    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT","kid":"one"}').rstrip(b"=").decode()
    return f"{header}.{payload}."


WRONG = {
    "audience_wrong": lambda p: p.token(aud="others"),
    "expired": lambda p: p.token(exp=int(time.time()) - 60),
    "issuer_unknown": lambda p: p.token(iss="http://127.0.0.1:1"),
    "algorithm": none_token,
    "signature_wrong": lambda p: p.token(key=p.other),
    "no_rule": lambda p: p.token(**{"kubernetes.io": {"namespace": "bank", "serviceaccount": {"name": "web"}}}),
    "token_missing": lambda p: "",
}


def test_everybody_else_is_refused_with_a_reason(shared, platform, visit):
    server, service = shared()
    for cause, make in WRONG.items():
        seen = len(server.log)
        visit(server, auth_token=make(platform)).refused()
        server.wait_for_log(rf"\[WRN\] Auth callout service returned an error: {cause}: ", since=seen)
        assert f"denied: {cause}: " in service.log


def test_a_sealed_exchange(start_server, serving, rules, platform, visit, exchange_keys):
    server = start_server(config=configuration(exchange_keys, xkey=True))
    serving(server, rules, "--xkey", rules.parent / "x.nk")
    assert visit(server, auth_token=platform.token()).admitted().identity()["user"] == "shop-web"
    visit(server, auth_token=platform.token(aud="others")).refused()


def test_the_stay_is_short(shared, platform, visit):
    server, _ = shared()
    visitor = visit(server, auth_token=platform.token(sub="brief", **{"kubernetes.io": None})).admitted()
    visitor.refused("User Authentication Expired")


def test_other_rules_without_a_restart(server, serving, rules, platform, visit):
    service = serving(server, rules)
    good = rules.read_text()
    rules.write_text(good.replace('"shop"', "7"))
    service.process.send_signal(signal.SIGHUP)
    service.wait_for("[ERR] the rules stay as they were")
    visit(server, auth_token=platform.token()).admitted()
    rules.write_text(good.replace('"shop"', '"bank"'))
    service.process.send_signal(signal.SIGHUP)
    service.wait_for("following 2 rules of 1 issuers")
    visit(server, auth_token=platform.token()).refused()


def test_two_share_the_work(server, serving, rules, platform, visit):
    services = [serving(server, rules) for _ in range(2)]
    for number in range(20):
        visit(server, auth_token=platform.token()).admitted().close()
        if number > 3 and all("granted" in service.log for service in services):
            break
    assert all("granted" in service.log for service in services)
    assert services[0].stop() == 0
    visit(server, auth_token=platform.token()).admitted()


# --- the command line (no server) -----------------------------------------------------------------------------------
def test_try_shows_who_would_come_in(run, rules, platform, tmp_path):
    (tmp_path / "token").write_text(platform.token())
    code, told, errors = run("try", "--rules", rules, "--token", tmp_path / "token", "--json")
    assert code == 0, errors
    data = json.loads(told)["data"]
    assert (data["granted"], data["user"], data["account"], data["rule"]) == (True, "shop-web", "APP", "web")
    assert data["permissions"] == {"publish": ["orders.shop.>", "$SYS.REQ.USER.INFO"]}
    code, told, _ = run("try", "--rules", rules, "--token", tmp_path / "token")
    assert (code, "shop-web" in told) == (0, True)


def test_try_shows_why_nobody_would(run, rules, platform, tmp_path):
    (tmp_path / "token").write_text(platform.token(aud="others"))
    code, told, _ = run("try", "--rules", rules, "--token", tmp_path / "token", "--json")
    assert code == 1
    assert json.loads(told)["data"]["cause"] == "audience_wrong"


def test_check(run, rules):
    code, told, _ = run("check", "--rules", rules)
    assert (code, "1 issuers and 2 rules are valid (configuration mode)" in told) == (0, True)
    rules.write_text(rules.read_text().replace("audience", "audiense").replace('"2s"', "2"))
    code, told, _ = run("check", "--rules", rules, "--json")
    assert code == 5
    faults = json.loads(told)["data"]["faults"]
    assert any("'audiense' is not known here" in fault["text"] for fault in faults)
    assert any("no duration" in fault["text"] for fault in faults)


def test_a_service_that_cannot_begin_says_why(run, tmp_path):
    code, _, errors = run("serve", "--rules", tmp_path / "none.toml", "--url", "nats://127.0.0.1:1")
    assert (code, "none.toml: cannot be read" in errors) == (5, True)
