"""The ``jetstream`` block of the server (spec configuration section 7)."""

from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    TEXT,
    as_integer,
    as_text,
    map_block,
    plain_duration,
    shown,
    store_size,
)


def _streams(processing: Processing, key: str, node: Node) -> Any:
    """True or values if streams are asked for, False if they are switched off."""
    value = node.value
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.lower() in ("enabled", "enable"):
            return True
        if value.lower() in ("disabled", "disable"):
            return False
        raise Wrong(f"Expected 'enabled' or 'disabled' for string value, got '{value}'")
    if not isinstance(value, dict):
        raise Wrong(f"Expected map, bool or string to define JetStream, got {node.go_type}")
    values = processing.block("jetstream", node)
    return values if values.get("enabled", True) else False


def _store_dir(processing: Processing, key: str, node: Node) -> str:
    if "store_dir" in processing.draft:
        raise Wrong("Duplicate 'store_dir' configuration")
    processing.stream_store = node
    return as_text(node)


def _cipher(processing: Processing, key: str, node: Node) -> str:
    word = as_text(node)
    if word.lower() not in ("chacha", "chachapoly", "aes"):
        raise Wrong(f"Unknown cipher type: {quoted(word)}", suggestion="chacha or aes")
    return word.lower()


def _sync(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, str) and node.value.lower() == "always":
        return "always"
    return DURATION.convert(processing, key, node)


def _concurrent_io(processing: Processing, key: str, node: Node) -> int:
    value = as_integer(node)
    if not 4 <= value <= 8192:
        raise Wrong(f"Expected an absolute size for {quoted(key.lower())} between 4 and 8192, got {shown(node)}")
    return value


_JS_DURATION = Type("duration string", plain_duration)

TOP = (
    Row(
        keys=("jetstream",),
        type=Type("boolean, text or block jetstream", _streams),
        default="false",
        doc="Streams that are kept.",
        reload=Reload.PARTLY,
        waits_for=Feature.STREAMS,
        is_off=lambda value: value is False,
        flags=("js", "jetstream"),
    ),
)

BLOCKS = (
    block(
        "jetstream",
        "jetstream",
        (
            Row(keys=("enabled", "enable"), type=BOOLEAN, default="true", doc="Switches the block off."),
            Row(
                keys=("store_dir", "storedir", "store"),
                type=Type("text", _store_dir),
                default="nats in the system's temporary directory",
                doc="Where streams are kept.",
                name="jetstream storage directory",
            ),
            Row(
                keys=("max_memory_store", "max_mem_store", "max_mem"),
                type=store_size("max_mem_store"),
                default="75 % of the memory",
                unit="bytes",
                doc="For streams in memory.",
                reload=Reload.PARTLY,
            ),
            Row(
                keys=("max_file_store", "max_file"),
                type=store_size("max_file_store"),
                default="75 % of the free disk",
                unit="bytes",
                doc="For streams on disk.",
                reload=Reload.PARTLY,
            ),
            Row(keys=("domain",), type=TEXT, doc="Domain of this server's streams.", name="JetStreamDomain"),
            Row(
                keys=("key", "ek", "encryption_key"),
                type=TEXT,
                doc="Key that encrypts what is kept.",
                name="JetStreamKey",
            ),
            Row(keys=("prev_key", "prev_ek", "prev_encryption_key"), type=TEXT, doc="The key before it."),
            Row(keys=("cipher",), type=Type("chacha | aes", _cipher), default="chacha", doc="How."),
            Row(
                keys=("sync_interval", "sync"),
                type=Type("duration or always", _sync),
                default="2m",
                doc="Pause between syncs to disk.",
                name="SyncInterval",
            ),
            Row(
                keys=("strict",),
                type=BOOLEAN,
                default="true",
                doc="Refuse unknown fields in requests.",
                name="NoJetStreamStrict",
                since="2.12",
            ),
            Row(keys=("unique_tag",), type=TEXT, doc="Tag that replicas must differ in.", name="JetStreamUniqueTag"),
            Row(keys=("extension_hint",), type=TEXT, doc="will_extend or no_extend.", name="JetStreamExtHint"),
            Row(
                keys=("max_outstanding_catchup",),
                type=store_size(),
                default="64 MiB",
                doc="Catch-up bytes in flight.",
                name="JetStreamMaxCatchup",
            ),
            Row(
                keys=("max_buffered_msgs",),
                type=INTEGER,
                default="100000",
                doc="Messages waiting for a stream.",
                name="StreamMaxBufferedMsgs",
                since="2.11",
            ),
            Row(
                keys=("max_buffered_size",),
                type=store_size(),
                default="128 MiB",
                doc="Their bytes.",
                name="StreamMaxBufferedSize",
                since="2.11",
            ),
            Row(
                keys=("request_queue_limit",),
                type=INTEGER,
                default="10000",
                doc="API requests waiting.",
                name="JetStreamRequestQueueLimit",
                since="2.11",
            ),
            Row(keys=("info_queue_limit",), type=INTEGER, doc="Info requests waiting.", since="2.14"),
            Row(keys=("meta_compact",), type=INTEGER, default="0", doc="Compaction.", reload=Reload.YES, since="2.14"),
            Row(
                keys=("meta_compact_size",),
                type=store_size(),
                default="0",
                doc="Compaction by size.",
                reload=Reload.YES,
                since="2.14",
            ),
            Row(
                keys=("meta_compact_sync",),
                type=BOOLEAN,
                default="false",
                doc="Compaction waits for the disk.",
                reload=Reload.YES,
                since="2.14",
            ),
            Row(
                keys=("max_concurrent_io",),
                type=Type("integer 4 to 8192", _concurrent_io),
                default="4096",
                doc="Disk operations at a time.",
                name="JetStreamConcurrentIOs",
                since="2.14",
            ),
            Row(
                keys=("limits",),
                type=map_block("jetstream.limits", "Expected a map to define JetStreamLimits, got {type}"),
                doc="Bounds on streams and consumers.",
                reload=Reload.YES,
            ),
            Row(keys=("tpm",), type=map_block("jetstream.tpm"), doc="Keys in a TPM; Windows."),
        ),
    ),
    block(
        "jetstream.limits",
        "jetstream.limits",
        (
            Row(keys=("max_ack_pending",), type=INTEGER, doc="Messages waiting for an answer."),
            Row(keys=("max_ha_assets",), type=INTEGER, doc="Replicated streams and consumers."),
            Row(keys=("max_request_batch",), type=INTEGER, doc="Messages of one pull request."),
            Row(keys=("duplicate_window",), type=_JS_DURATION, doc="Longest duplicate window."),
            Row(keys=("default_max_consumers",), type=INTEGER, doc="Consumers of a stream.", since="2.15"),
            Row(keys=("batch",), type=map_block("jetstream.limits.batch"), doc="Atomic batches.", since="2.12"),
        ),
    ),
    block(
        "jetstream.limits.batch",
        "jetstream.limits.batch",
        (
            Row(keys=("max_inflight_per_stream",), type=INTEGER, default="50", doc="Batches of a stream."),
            Row(keys=("max_inflight_total",), type=INTEGER, default="1000", doc="Batches in all."),
            Row(keys=("max_msgs",), type=INTEGER, default="1000", doc="Messages of a batch."),
            Row(keys=("timeout",), type=DURATION, default="10s", doc="How long a batch may take."),
        ),
    ),
    block(
        "jetstream.tpm",
        "jetstream.tpm",
        (
            Row(keys=("keys_file",), type=TEXT, doc="Sealed keys."),
            Row(keys=("encryption_password",), type=TEXT, doc="Password for the keys."),
            Row(keys=("srk_password",), type=TEXT, doc="Password of the storage root."),
            Row(keys=("pcr",), type=INTEGER, doc="Register the keys are bound to."),
            Row(keys=("cipher",), type=Type("chacha | aes", _cipher), doc="How."),
        ),
    ),
)
