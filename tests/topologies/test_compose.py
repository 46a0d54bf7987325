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


def three_nodes() -> Topology:
    return reading.read(reading.find("three-nodes"))


def services(text: str) -> dict[str, dict[str, Any]]:
    """The services of a compose file: its values are JSON or plain words, one key on each line."""
    found: dict[str, dict[str, Any]] = {}
    part = text[text.index("services:\n") : text.index("\nvolumes:\n")]
    for line in part.splitlines()[1:]:
        indent, key, value = re.fullmatch(r"( +)(\w+):(?: (.*))?", line).groups()  # type: ignore[union-attr]
        if len(indent) == 2:
            found[key] = {}
        else:
            found[list(found)[-1]][key] = json.loads(value) if value[0] in '["' else value
    return found


@in_checkout
def test_the_compose_file_is_the_one_that_is_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["three-nodes", "--render-compose"]) == 0
    assert (ROOT / "docker-compose.yml").read_text() == capsys.readouterr().out


def test_every_node_is_a_service_that_waits_for_its_trust() -> None:
    found = services(render("three-nodes", three_nodes()))
    assert list(found) == ["trust", "n1", "n2", "n3"]
    assert found["trust"]["command"] == ["up", "three-nodes", "--prepare", "/mesh"]
    for place, name in enumerate(("n1", "n2", "n3")):
        service = found[name]
        assert service["command"] == ["serve", "-c", f"/mesh/{name}.conf"]
        assert service["depends_on"] == "{trust: {condition: service_completed_successfully}}"
        assert service["ports"] == [f"127.0.0.1:{4222 + place}:4222", f"127.0.0.1:{8222 + place}:8222"]


def test_a_real_server_runs_from_its_own_image() -> None:
    found = services(render("mixed", reading.read(reading.find("mixed"))))
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
