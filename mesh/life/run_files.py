"""Files that tell others about a running server: its process id, its ports (spec client-protocol section 26.2)."""

import os
from typing import TYPE_CHECKING

import msgspec

from gossamer.mesh.world.client_urls import own_client_urls
from gossamer.mesh.world.interfaces import is_wildcard

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.world import Disk


class FileTrouble(Exception):
    """A file cannot be written. The text is one line for the operator."""


def write_pid_file(path: str, pid: int, disk: "Disk") -> None:
    """Decimal, no newline, mode 0600; it stays when the server ends. Raises FileTrouble."""
    try:
        disk.write(path, str(pid).encode(), mode=0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileTrouble(
            f"Could not write pidfile: {path}: {reason.lower()}; choose a place that may be written with -P"
        ) from error


class PortsFile:
    """``<directory>/gossamer_<pid>.ports``: JSON with the URLs of every listener."""

    def __init__(self, directory: str, pid: int, disk: "Disk") -> None:
        self.path = os.path.join(directory, f"gossamer_{pid}.ports")
        self._disk = disk

    def write(self, node: "Node") -> None:
        """At once and whole: written beside and renamed, so no reader sees half of it. Raises FileTrouble."""
        partial = self.path + ".partial"
        try:
            self._disk.write(partial, msgspec.json.format(msgspec.json.encode(ports(node)), indent=2))
            self._disk.rename(partial, self.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise FileTrouble(
                f"Could not write ports file: {self.path}: {reason.lower()}; choose another --ports_file_dir"
            ) from error

    def remove(self) -> None:
        try:
            self._disk.remove(self.path)
        except OSError:
            pass  # it is gone, which was the aim


def ports(node: "Node") -> dict[str, list[str]]:
    """URLs by service; services that are off are left out."""
    disk, options = node.world.disk, node.options
    found = {"nats": _urls("nats", options.host, node.listener.port, disk)}
    if node.monitor is not None:
        found["monitoring"] = _urls("http", options.monitor.host or options.host, node.monitor.port, disk)
    for links in node.links:
        if links.service and links.bound is not None:
            found[links.service] = _urls("nats", links.bound.host, links.bound.port, disk)
    return found


def _urls(scheme: str, host: str, port: int, disk: "Disk") -> list[str]:
    urls = [f"{scheme}://{address}" for address in own_client_urls(host, port, disk)]
    return [f"{scheme}://127.0.0.1:{port}", *urls] if is_wildcard(host) else urls
