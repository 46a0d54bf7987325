"""docker-compose.yml from a topology: one container for each node, one that issues the trust chain before them, and
with several clusters one that is the relay between them.

Values are written as JSON, which is YAML too, so nothing needs quoting rules of its own.
"""

import json

from gossamer.operator.up.addresses import CLIENT_PORT, MONITOR_PORT
from gossamer.operator.up.topology import NodePlan, Topology
from gossamer.operator.up.wiring import RELAY_HOST, container_wiring

IMAGE = "gossamer"
NATS_SERVER_IMAGE = "nats:2.15"
FOLDER = "/mesh"
PREPARER = "trust"


def render(name: str, topology: Topology) -> str:
    """The file. Clients reach node number k (from 0) at 127.0.0.1:4222+k, its monitoring at 127.0.0.1:8222+k."""
    user = next((f"{tenant.name}/{user.name}" for tenant in topology.tenants for user in tenant.users), "")
    lines = [
        f"# {topology.description}",
        f"# Made by: gossamer up {name} --render-compose > docker-compose.yml",
        "# Start it with: docker compose up --build",
    ]
    if user:
        path = f"{FOLDER}/trust/creds/{topology.operator}/{user}.creds"
        lines.append(f"# Credentials: docker compose run --rm --entrypoint cat {PREPARER} {path}")
    lines += [f"name: {_value(f'gossamer-{name}')}", "services:", f"  {PREPARER}:"]
    lines += [
        "    build: .",
        f"    image: {IMAGE}",
        f"    command: {_value(['up', name, '--prepare', FOLDER])}",
        f"    volumes: {_value([f'mesh:{FOLDER}'])}",
    ]
    if container_wiring(topology).wires:
        lines += [
            "  # What goes between clusters goes through it, and takes as long as the topology says",
            f"  {RELAY_HOST}:",
            "    build: .",
            f"    image: {IMAGE}",
            f"    command: {_value(['up', name, '--relay'])}",
            "    restart: unless-stopped",
        ]
    for place, node in enumerate(topology.all_nodes):
        lines += _service(place, node)
    lines += ["volumes:", "  mesh: {}"]
    return "\n".join(lines) + "\n"


def _service(place: int, node: NodePlan) -> list[str]:
    ours = node.kind == "gossamer"
    configuration = f"{FOLDER}/{node.name}.conf"
    command = ["serve", "-c", configuration] if ours else ["-c", configuration]
    ports = [f"127.0.0.1:{port + place}:{port}" for port in (CLIENT_PORT, MONITOR_PORT)]
    return [
        f"  {node.name}:",
        *(["    build: ."] if ours else []),
        f"    image: {IMAGE if ours else NATS_SERVER_IMAGE}",
        f"    command: {_value(command)}",
        f"    depends_on: {_value({PREPARER: {'condition': 'service_completed_successfully'}})}",
        f"    ports: {_value(ports)}",
        f"    volumes: {_value([f'mesh:{FOLDER}:ro'])}",
        "    restart: unless-stopped",
    ]


def _value(value: object) -> str:
    return json.dumps(value)
