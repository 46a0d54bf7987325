"""Many who wait for a slow service, and those who have nothing to do with it."""

import asyncio
import time

import nats
import pytest

from gossamer.auth.claims import AuthorizationRequest, AuthorizationResponse, UserClaims, UserGrant
from gossamer.auth.jwt import decode_as, encode

CROWD = 500


def configuration(keys):
    return f"""
    authorization {{
      timeout: 20
      auth_callout {{ issuer: {keys.issuer.public}, account: AUTH, auth_users: [svc], allowed_accounts: [APP] }}
    }}
    accounts {{
      AUTH {{ users: [{{user: svc, password: p}}] }}
      APP {{ }}
      PLAIN {{ users: [{{user: plain, password: p}}] }}
    }}
    """


async def knock(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b'CONNECT {"user":"somebody","verbose":false}\r\nPING\r\n')
    return reader, writer


async def log_in(port, user):
    """Seconds from connecting to PONG, and the connection."""
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(f'CONNECT {{"user":"{user}","pass":"p","verbose":false}}\r\nPING\r\n'.encode())
    assert await reader.readline() == b"PONG\r\n"
    return time.perf_counter() - begun, reader, writer


async def round_trip(reader, writer):
    begun = time.perf_counter()
    writer.write(b"PUB echo 1\r\nx\r\n")
    assert (await reader.readline()).startswith(b"MSG echo")
    assert await reader.readline() == b"x\r\n"
    return time.perf_counter() - begun


async def crowd(port, keys):
    service = await nats.connect(f"nats://svc:p@127.0.0.1:{port}", allow_reconnect=False)
    asked, full, open_door = [], asyncio.Event(), asyncio.Event()

    async def on_request(message):
        asked.append(message)
        if len(asked) == CROWD:
            full.set()

    async def answer():
        await open_door.wait()
        for message in asked:
            request = decode_as(AuthorizationRequest, message.data.decode())
            user = encode(UserClaims(subject=request.user_nkey, audience="APP", grant=UserGrant.fresh()), keys.issuer)
            response = AuthorizationResponse(subject=request.user_nkey, audience=request.server.id, jwt=user)
            await message.respond(encode(response, keys.issuer).encode())
            await asyncio.sleep(0)

    await service.subscribe("$SYS.REQ.USER.AUTH", cb=on_request)
    await service.flush()
    _, reader, writer = await log_in(port, "plain")
    writer.write(b"SUB echo 1\r\n")
    visitors = await asyncio.gather(*(knock(port) for _ in range(CROWD)))
    logins, trips = [], []

    async def measure():
        took, _, other = await log_in(port, "plain")
        logins.append(took)
        other.close()
        await other.wait_closed()
        trips.append(await round_trip(reader, writer))

    while not full.is_set():  # while requests are being made
        await measure()
    for _ in range(5):  # while everybody waits
        await measure()
    waiting = asyncio.create_task(answer())
    open_door.set()
    while not waiting.done():  # while answers are being judged
        await measure()
    await waiting
    for each, _ in visitors:
        assert await asyncio.wait_for(each.readline(), 20) == b"PONG\r\n"
    for _, each in [*visitors, (reader, writer)]:
        each.close()
        await each.wait_closed()
    await service.close()
    return logins, trips


@pytest.mark.only_server("gossamer", reason="how long others wait is ours to promise")
def test_a_crowd_that_waits_delays_nobody_else(start_server, keys):
    server = start_server(config=configuration(keys))
    logins, trips = asyncio.run(crowd(server.port, keys))
    # The test, the service and the server share a few cores with whatever else runs here: hence so generous.
    assert max(logins) < 0.5, sorted(logins)[-5:]
    assert sorted(logins)[len(logins) // 2] < 0.1
    assert max(trips) < 0.25, sorted(trips)[-5:]
