"""A service on one node of a mesh answers for clients of another."""

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import SERVER_KINDS


def configuration(keys):
    return f"""
    authorization {{
      timeout: 5
      auth_callout {{ issuer: {keys.issuer.public}, account: AUTH, auth_users: [svc], xkey: {keys.curve.public} }}
    }}
    accounts {{ AUTH {{ users: [{{user: svc, password: p}}] }}, APP {{}} }}
    """


@pytest.mark.parametrize(
    "kinds",
    [("gossamer", "gossamer"), ("gossamer", "nats-server"), ("nats-server", "gossamer")],
    ids=lambda kinds: " asks ".join(kinds),
)
def test_the_service_is_on_another_node(tmp_path, kinds, keys, dial, visit, service_of):
    cluster = ClusterProcesses(tmp_path, [SERVER_KINDS[kind] for kind in kinds], config=configuration(keys))
    try:
        cluster.start()
        asking, serving = cluster.nodes
        wire = dial(serving)
        wire.handshake(user="svc", **{"pass": "p"}, headers=True)
        service = service_of(wire)
        # The first request waits for the interest to arrive, or is asked again.
        for _ in range(20):
            visitor = visit(asking, user="bob")
            try:
                request = service.ask()
            except AssertionError:
                continue
            break
        service.answer(
            request,
            service.seal(
                request.nats["server_id"]["xkey"],
                service.response(request, jwt=service.user(request, name="Robert")).encode(),
            ),
        )
        identity = visitor.admitted().identity()
        assert (identity["user"], identity["account"]) == ("Robert", "APP")
    finally:
        cluster.stop()
