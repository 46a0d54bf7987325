"""Sealed requests and answers, made by NaCl alone on the service's side (spec auth section 2; checklist 77)."""

import pytest

BOB = {"user": "bob", "protocol": 1}


@pytest.fixture
def server(shared_server, keys):
    return shared_server(
        config=f"""
        authorization {{
          auth_callout {{ issuer: {keys.issuer.public}, account: AUTH, auth_users: [svc], xkey: {keys.curve.public} }}
        }}
        accounts {{ AUTH {{ users: [{{user: svc, password: p}}] }}, APP {{}} }}
        """
    )


@pytest.fixture
def service(serve, server):
    return serve(server, user="svc", **{"pass": "p"})


def sealed(service, request, token, *, xkey=None):
    return service.seal(xkey or request.nats["server_id"]["xkey"], token.encode())


def test_the_request_is_sealed_for_the_service(server, service, visit):
    visitor = visit(server, **BOB)
    request = service.ask()
    xkey = visitor.info["xkey"]
    assert request.headers == f"NATS/1.0\r\nNats-Server-Xkey: {xkey}\r\n\r\n".encode()
    assert request.body.startswith(b"xkv1")
    assert request.nats["server_id"]["xkey"] == xkey
    service.answer(request, sealed(service, request, service.response(request, jwt=service.user(request))))
    visitor.admitted()


def test_a_plain_answer_will_do(server, service, visit):
    visitor = visit(server, **BOB)
    service.grant(service.ask())
    visitor.admitted()


def test_a_sealed_refusal(server, service, visit):
    visitor = visit(server, **BOB)
    request = service.ask()
    service.answer(request, sealed(service, request, service.response(request, error="no")))
    visitor.refused()


def test_sealed_for_somebody_else(server, service, visit, keys):
    visitor = visit(server, **BOB)
    request = service.ask()
    token = service.response(request, jwt=service.user(request))
    service.answer(request, sealed(service, request, token, xkey=keys.curve.public))
    visitor.refused()


def test_a_damaged_seal(server, service, visit):
    visitor = visit(server, **BOB)
    request = service.ask()
    body = bytearray(sealed(service, request, service.response(request, jwt=service.user(request))))
    body[-1] ^= 1
    service.answer(request, bytes(body))
    visitor.refused()


@pytest.mark.only_server("gossamer", reason="nats-server believes whoever has the curve key (section 26.6)")
def test_a_seal_is_no_signature(server, service, visit, keys):
    visitor = visit(server, **BOB)
    request = service.ask()
    token = service.response(request, jwt=service.user(request), signer=keys.stranger)
    service.answer(request, sealed(service, request, token))
    visitor.refused()


@pytest.mark.only_server("gossamer", reason="the switch is ours")
def test_unless_switched_off(start_server, serve, visit, keys):
    server = start_server(
        config=f"""
        authorization {{
          lenient_callout: true
          auth_callout {{ issuer: {keys.issuer.public}, account: AUTH, auth_users: [svc], xkey: {keys.curve.public} }}
        }}
        accounts {{ AUTH {{ users: [{{user: svc, password: p}}] }}, APP {{}} }}
        """
    )
    service = serve(server, user="svc", **{"pass": "p"})
    visitor = visit(server, **BOB)
    request = service.ask()
    token = service.response(request, jwt=service.user(request), signer=keys.stranger)
    service.answer(request, sealed(service, request, token))
    visitor.admitted()
