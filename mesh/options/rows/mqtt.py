"""The ``mqtt`` block (spec configuration section 6.6)."""

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.tls import TLS
from gossamer.mesh.options.rows.websocket import LISTENER_AUTHORIZATION
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, DURATION, INTEGER, LISTEN, TEXT, as_integer, map_block


def _max_ack_pending(processing: Processing, key: str, node: Node) -> int:
    value = as_integer(node)
    if not 0 <= value <= 65535:
        raise Wrong(f"invalid value {value}, should in [0..65535] range")
    return value


def _consumer_replicas(processing: Processing, key: str, node: Node) -> None:
    processing.warn_of_use(node, key.lower(), "consumer replicas setting ignored in this server version")


TOP = (
    Row(
        keys=("mqtt",),
        type=map_block("mqtt", "Expected mqtt to be a map, got {type}"),
        doc="Clients that speak MQTT 3.1.1.",
        reload=Reload.PARTLY,
        name="MQTT",
        waits_for=Feature.MQTT,
        is_off=lambda value: False,
    ),
)

BLOCKS = (
    block(
        "mqtt",
        "mqtt",
        (
            Row(keys=("listen",), type=LISTEN, doc="Address for MQTT clients."),
            Row(keys=("port",), type=INTEGER, default="0 (off)", doc="Port for MQTT clients."),
            Row(keys=("host", "net"), type=TEXT, default="0.0.0.0", doc="Address to listen on."),
            Row(keys=("tls",), type=TLS, doc="TLS.", reload=Reload.PARTLY),
            Row(keys=("authorization", "authentication"), type=LISTENER_AUTHORIZATION, doc="Instead of the clients'."),
            Row(keys=("no_auth_user",), type=TEXT, doc="As at the top level, for MQTT."),
            Row(
                keys=("ack_wait", "ackwait"),
                type=DURATION,
                default="30s",
                doc="Redelivery of QoS 1.",
                reload=Reload.YES,
            ),
            Row(
                keys=("max_ack_pending", "max_pending", "max_inflight"),
                type=Type("integer 0 to 65535", _max_ack_pending),
                default="1024",
                doc="QoS 1 messages in flight; 0 is the default.",
                reload=Reload.YES,
            ),
            Row(keys=("js_domain",), type=TEXT, doc="Domain of the streams used."),
            Row(keys=("stream_replicas",), type=INTEGER, doc="Replicas of the streams used.", reload=Reload.YES),
            Row(
                keys=("consumer_replicas",),
                type=Type("ignored", _consumer_replicas),
                doc="Ignored, with a warning.",
            ),
            Row(
                keys=("consumer_memory_storage",),
                type=BOOLEAN,
                default="false",
                doc="Consumers in memory.",
                reload=Reload.YES,
            ),
            Row(
                keys=("consumer_inactive_threshold", "consumer_auto_cleanup"),
                type=DURATION,
                doc="When idle consumers go away.",
                reload=Reload.YES,
            ),
            Row(keys=("reject_qos2_publish",), type=BOOLEAN, default="false", doc="Refuse QoS 2.", since="2.11"),
            Row(
                keys=("downgrade_qos2_subscribe",), type=BOOLEAN, default="false", doc="QoS 2 becomes 1.", since="2.11"
            ),
            Row(
                keys=("js_api_timeout", "api_timeout"),
                type=DURATION,
                default="5s",
                doc="How long the stream API may take.",
                since="2.12",
            ),
        ),
    ),
)
