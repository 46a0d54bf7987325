"""The version of Gossamer, and the nats-server version whose features a node really has.

Clients switch features on by the advertised version (spec client-protocol section 26.3), so it names the release whose
client-visible behaviour the node shows, not the newest that exists.
"""

VERSION = "0.1.0"
NATS_VERSION = "2.15.1"
