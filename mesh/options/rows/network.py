"""Where the node listens and what it says of itself there (spec configuration section 4.1)."""

from gossamer.mesh.options.rows import proxies
from gossamer.mesh.options.table import Feature, Reload, Row
from gossamer.mesh.options.types import BOOLEAN, INTEGER, LISTEN, TEXT, map_block, name

TOP = (
    Row(
        keys=("listen",),
        type=LISTEN,
        fields=("host", "port"),
        doc="Address for clients; a port alone listens on all addresses. -1 takes a free port, 0 the default.",
        name="Port",
    ),
    Row(
        keys=("port",),
        type=INTEGER,
        fields=("port",),
        doc="Port for clients. -1 takes a free one, 0 the default.",
        name="Port",
        flags=("p", "port"),
    ),
    Row(
        keys=("host", "net"),
        type=TEXT,
        fields=("host",),
        doc="Address to listen on for clients.",
        name="Host",
        flags=("a", "addr", "net"),
    ),
    Row(
        keys=("client_advertise",),
        type=TEXT,
        fields=("client_advertise",),
        doc="Address told to clients and to the cluster instead of the listener's, host or host:port.",
        reload=Reload.YES,
        flags=("client_advertise",),
    ),
    Row(
        keys=("server_name",),
        type=name("server name cannot contain spaces"),
        fields=("server_name",),
        default="the server id",
        doc="Name of the node, without spaces; unique in the mesh.",
        name="ServerName",
        flags=("n", "name", "server_name"),
    ),
    Row(
        keys=("allow_non_tls",),
        type=BOOLEAN,
        default="false",
        doc="Let clients in without TLS where TLS is configured.",
        name="AllowNonTLS",
        waits_for=Feature.TLS,
    ),
    Row(
        keys=("proxy_protocol",),
        type=BOOLEAN,
        default="false",
        doc="Expect the PROXY protocol in front of each client connection.",
        name="ProxyProtocol",
        since="2.14",
        waits_for=Feature.PROXIES,
    ),
    Row(
        keys=("proxies",),
        type=map_block("proxies", "expected proxies to be a map/struct, got {type}"),
        doc="Proxies that may vouch for connections.",
        reload=Reload.PARTLY,
        since="2.12",
    ),
    Row(
        keys=("no_header_support",),
        type=BOOLEAN,
        fields=("no_header_support",),
        doc="Do not offer message headers.",
        name="NoHeaderSupport",
    ),
    Row(
        keys=("disable_sublist_cache", "no_sublist_cache"),
        type=BOOLEAN,
        default="false",
        doc="Match every message afresh instead of remembering what a subject matched.",
        name="NoSublistCache",
        waits_for=Feature.CACHE_SWITCH,
    ),
)

BLOCKS = proxies.BLOCKS
