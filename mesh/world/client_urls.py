"""The addresses under which clients reach this node (spec client-protocol section 4.4)."""

from gossamer.mesh.world.disk import Disk
from gossamer.mesh.world.interfaces import global_addresses, is_wildcard
from gossamer.mesh.world.listening import join_address


def own_client_urls(host: str, port: int, disk: Disk) -> tuple[str, ...]:
    """``host:port``, or one entry for each address of the machine when ``host`` means all of them: 0.0.0.0 as well is
    listened on in both families."""
    if not is_wildcard(host):
        return (join_address(host, port),)
    found = global_addresses(disk)
    return tuple(join_address(address, port) for address in found) or (join_address(host or "0.0.0.0", port),)
