"""docker-compose.yml and Dockerfile agree with the topology and with what is in the repository."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import gossamer.mesh
from gossamer.mesh.options.loading import load
from gossamer.operator.up import main, reading
from gossamer.operator.up.compose import render
from gossamer.operator.up.topology import Topology

ROOT = reading.HOME.parent
in_checkout = pytest.mark.skipif(
    not (ROOT / "docker-compose.yml").is_file(), reason="an installation has no docker-compose.yml, only a checkout"
)


def topology_named(name: str) -> Topology:
    return reading.read(reading.find(name))


def services(text: str) -> dict[str, dict[str, Any]]:
    """The services of a compose file: its values are JSON or plain words, one key on each line."""
    found: dict[str, dict[str, Any]] = {}
    part = text[text.index("services:\n") : text.index("\nvolumes:\n")]
    for line in part.splitlines()[1:]:
        if line.lstrip().startswith("#"):
            continue
        indent, key, value = re.fullmatch(r"( +)([a-zA-Z0-9._-]+):(?: (.*))?", line).groups()  # type: ignore[union-attr]
        if len(indent) == 2:
            found[key] = {}
        else:
            assert key not in found[list(found)[-1]], f"{key} is said twice"
            found[list(found)[-1]][key] = json.loads(value) if value[0] in '["{' else value
    return found


def is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def is_dependence(value: object) -> bool:
    conditions = {"service_started", "service_healthy", "service_completed_successfully"}
    return isinstance(value, dict) and all(
        set(one) == {"condition"} and one["condition"] in conditions for one in value.values()
    )


#: What the Compose Specification (compose-spec/compose-spec, 05-services.md) says of the keys that are used here.
KEYS = {
    "build": lambda value: isinstance(value, str),  # short form: a path
    "image": lambda value: re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*(?::[\w.-]+)?", value) is not None,
    "command": is_list_of_texts,
    "depends_on": is_dependence,  # long form
    # Short form: [HOST:]CONTAINER, the host being [IP:]PORT.
    "ports": lambda value: (
        is_list_of_texts(value) and all(re.fullmatch(r"127\.0\.0\.1:\d{4,5}:\d{4,5}", port) for port in value)
    ),
    # Short form: VOLUME:CONTAINER_PATH[:ACCESS_MODE].
    "volumes": lambda value: (
        is_list_of_texts(value) and all(re.fullmatch(r"mesh:/[\w/]+(?::r[ow])?", volume) for volume in value)
    ),
    "restart": lambda value: value in {"no", "always", "on-failure", "unless-stopped"},
}


@pytest.mark.parametrize("name", reading.names())
def test_what_is_rendered_keeps_to_the_compose_specification(name: str) -> None:
    text = render(name, topology_named(name))
    found = services(text)
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", service) for service in found)
    project = re.search(r'^name: "(.*)"$', text, re.MULTILINE)
    assert project is not None
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", project[1])
    top = [line.partition(":")[0] for line in text.splitlines() if line and line[0] not in " #"]
    assert top == ["name", "services", "volumes"]
    assert text.endswith("volumes:\n  mesh: {}\n")
    for service, keys in found.items():
        for key, value in keys.items():
            assert key in KEYS, f"{service}.{key}"
            assert KEYS[key](value), f"{service}.{key}: {value!r}"
        assert set(keys.get("depends_on", {})) <= set(found)
    published = [port.rpartition(":")[0] for keys in found.values() for port in keys.get("ports", [])]
    assert len(set(published)) == len(published)


@in_checkout
def test_the_compose_file_is_the_one_that_is_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["three-clouds", "--render-compose"]) == 0
    assert (ROOT / "docker-compose.yml").read_text() == capsys.readouterr().out


def test_every_node_is_a_service_that_waits_for_its_trust() -> None:
    topology = topology_named("three-clouds")
    found = services(render("three-clouds", topology))
    assert list(found) == ["trust", "relay", *topology.node_names]
    assert found["trust"]["command"] == ["up", "three-clouds", "--prepare", "/mesh"]
    assert found["relay"]["command"] == ["up", "three-clouds", "--relay"]
    for place, name in enumerate(topology.node_names):
        service = found[name]
        assert service["command"] == ["serve", "-c", f"/mesh/{name}.conf"]
        assert service["depends_on"] == {"trust": {"condition": "service_completed_successfully"}}
        assert service["ports"] == [f"127.0.0.1:{4222 + place}:4222", f"127.0.0.1:{8222 + place}:8222"]


def test_a_mesh_of_one_cluster_has_no_relay() -> None:
    assert list(services(render("three-nodes", topology_named("three-nodes")))) == ["trust", "n1", "n2", "n3"]
    assert main(["three-nodes", "--relay"]) == 1


def test_a_real_server_runs_from_its_own_image() -> None:
    found = services(render("mixed", topology_named("mixed")))
    assert found["n3"]["image"] == "nats:2.15"
    assert found["n3"]["command"] == ["-c", "/mesh/n3.conf"]
    assert "build" not in found["n3"]


def test_what_the_containers_are_given_is_whole_and_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mesh"
    assert main(["three-nodes", "--prepare", str(folder)]) == 0
    first = {path.name: path.read_text() for path in folder.glob("*.conf")}
    assert sorted(first) == ["n1.conf", "n2.conf", "n3.conf", "trust.conf"]
    options = {name: load(["-c", str(folder / f"{name}.conf")]) for name in ("n1", "n2", "n3")}
    assert [found.server_name for found in options.values()] == ["n1", "n2", "n3"]
    clusters = [found.cluster for found in options.values() if found.cluster is not None]
    assert [(cluster.name, cluster.host, cluster.port) for cluster in clusters] == [
        ("three-nodes", "0.0.0.0", 6222)
    ] * 3
    assert [[urlsplit(route).netloc.partition("@")[2] for route in cluster.routes] for cluster in clusters] == [
        [],
        ["n1:6222"],
        ["n1:6222"],
    ]
    assert len({cluster.password for cluster in clusters}) == 1
    assert {urlsplit(route).password for cluster in clusters for route in cluster.routes} == {clusters[0].password}
    assert (folder / "trust" / "creds" / "three-nodes" / "shop" / "customer.creds").is_file()
    # Started a second time, the containers keep whom they trust.
    assert main(["three-nodes", "--prepare", str(folder)]) == 0
    assert {path.name: path.read_text() for path in folder.glob("*.conf")} == first
    assert "is prepared already" in capsys.readouterr().out


@in_checkout
def test_the_image_is_made_of_files_that_exist() -> None:
    text = (ROOT / "Dockerfile").read_text()
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert {"auth", "mesh", "operator", "topologies", "pyproject.toml", "setup.py"} <= set(sources)
    assert [name for name in sources if not (ROOT / name).exists()] == []
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert [name for name in sources if f"!{name}" not in kept] == []


def test_topologies_are_found_in_an_installation(tmp_path: Path) -> None:
    """As a wheel lays it out: ``gossamer/topologies`` beside ``gossamer/operator``."""
    home = tmp_path / "site" / "gossamer"
    home.mkdir(parents=True)
    for name, source in (("operator", ROOT / "operator"), ("topologies", reading.HOME)):
        shutil.copytree(source, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mesh", "auth"):
        (home / name).symlink_to(Path(gossamer.mesh.__file__).resolve().parents[1] / name, target_is_directory=True)
    listed = subprocess.run(
        [sys.executable, "-S", "-c", _LIST],
        env={"PYTHONPATH": ":".join([str(tmp_path / "site"), *(entry for entry in sys.path if "packages" in entry)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert str(home / "topologies") in listed.stdout
    assert "three-nodes" in listed.stdout


_LIST = "from gossamer.operator.up import reading; print(reading.HOME, reading.names())"
