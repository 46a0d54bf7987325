"""The ``tls`` block, the same wherever it stands (spec configuration section 5.1)."""

import re
from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import ARRAY_OF_TEXT, BOOLEAN, TEXT, as_array, as_map, as_text, seconds, shown
from gossamer.mesh.options.units import parse_duration

_PIN = re.compile("[0-9a-fA-F]{64}")
_INSECURE = re.compile("^TLS_RSA_|_RC4_|_3DES_|_CBC_SHA256$")
_CIPHERS = frozenset(
    {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_RSA_WITH_RC4_128_SHA",
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    }
)
_CURVES = ("X25519MLKEM768", "SecP384r1MLKEM1024", "SecP256r1MLKEM768", "X25519", "CurveP256", "CurveP384", "CurveP521")


def _tls(processing: Processing, key: str, node: Node) -> dict[str, Any]:
    as_map(node)
    values = processing.block("tls", node)
    given = {name.lower() for name in node.value}
    if values.get("certs") and values.get("cert_file"):
        processing.error(node, "error parsing tls config, cannot combine 'cert_file' option with 'certs' option")
    elif "cert_file" in values and "key_file" not in given:
        processing.error(node, "missing 'key_file' in TLS configuration")
    elif "key_file" in values and "cert_file" not in given:
        processing.error(node, "missing 'cert_file' in TLS configuration")
    insecure = [name for name in values.get("cipher_suites", ()) if _INSECURE.search(name)]
    if insecure and not values.get("allow_insecure_cipher_suites"):
        text = "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: "
        processing.error(node, text + ", ".join(insecure))
    if values.get("verify_cert_and_check_known_urls") and key.lower() == "tls" and node in processing.top_level:
        text = "verify_cert_and_check_known_urls not supported in this context"
        processing.error(node["verify_cert_and_check_known_urls"], text)
    return values


TLS = Type("block tls", _tls)


def _file(name: str) -> Type:
    def convert(processing: Processing, key: str, node: Node) -> str:
        if not isinstance(node.value, str):
            raise Wrong(f"error parsing tls config, expected '{name}' to be filename")
        return as_text(node)

    return Type("text", convert)


def _boolean(name: str) -> Type:
    def convert(processing: Processing, key: str, node: Node) -> bool:
        if not isinstance(node.value, bool):
            raise Wrong(f"error parsing tls config, expected '{name}' to be a boolean")
        return node.value

    return Type("boolean", convert)


def _names(field: str, known: frozenset[str] | tuple[str, ...], what: str) -> Type:
    def convert(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
        entries = as_array(node)
        if not entries:
            raise Wrong(f"error parsing tls config, '{field}' cannot be empty")
        for each in entries:
            if as_text(each) not in known:
                raise Wrong(f"unrecognized {what} {each.value}", node=each)
        return tuple(each.value for each in entries)

    return Type("[text]", convert)


def _min_version(processing: Processing, key: str, node: Node) -> str:
    if not isinstance(node.value, str):
        text = f"error parsing tls config: 'min_version' wrong type: {shown(node)}"
        raise Wrong(text, suggestion=f'write "{shown(node)}" in quotes')
    if node.value in ("1.0", "1.1"):
        raise Wrong(f"error parsing tls config: unsupported TLS version: TLS {node.value}")
    if node.value not in ("1.2", "1.3"):
        raise Wrong(f"error parsing tls config: unknown version: {node.value}")
    return node.value


def _pinned_certs(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    form = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
    if not isinstance(node.value, list):
        raise Wrong(f"error parsing tls config, expected 'pinned_certs' to be a list of {form}")
    for each in node.value:
        if not _PIN.fullmatch(as_text(each)):
            text = f"error parsing tls config, 'pinned_certs' key {each.value} does not look like {form}"
            raise Wrong(text, node=each)
    return tuple(each.value.lower() for each in node.value)


def _rate(processing: Processing, key: str, node: Node) -> int:
    if type(node.value) is not int:
        raise Wrong("error parsing tls config, 'connection_rate_limit' wrong type")
    return node.value


def _handshake_first(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if not isinstance(node.value, str):
        raise Wrong(f"field {quoted(key.lower())} should be a boolean or a string, got {node.go_type}")
    word = node.value.lower()
    if word in ("true", "on", "false", "off", "auto", "auto_fallback"):
        return word
    try:
        return parse_duration(word)
    except ValueError:
        raise Wrong(f"field {quoted(key.lower())}'s value {quoted(node.value)} is invalid") from None


def _certificates(processing: Processing, key: str, node: Node) -> Any:
    if not isinstance(node.value, list):
        raise Wrong("error parsing certificates config: unsupported type map[string]interface {}")
    for each in node.value:
        values = processing.block("tls.certs", each) if isinstance(each.value, dict) else {}
        if not {"cert_file", "key_file"} <= values.keys():
            last = next(reversed(each.value.values())) if isinstance(each.value, dict) and each.value else each
            text = "error parsing certificates config: both 'cert_file' and 'cert_key' options are required"
            processing.error(last, text)
    return True


def _ocsp_peer(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if not isinstance(node.value, dict):
        raise Wrong("error parsing ocsp peer config: unsupported type map[string]interface {}")
    return processing.block("tls.ocsp_peer", node)


_PEER_SECONDS = seconds("error parsing tls peer config, conversion error:")

TOP = (
    Row(
        keys=("tls",),
        type=TLS,
        doc="TLS for clients.",
        reload=Reload.PARTLY,
        name="TLSMap",
        waits_for=Feature.TLS,
        is_off=lambda value: False,
        flags=("tls",),
    ),
)

BLOCKS = (
    block(
        "tls",
        "tls",
        (
            Row(keys=("cert_file",), type=_file("cert_file"), doc="Certificate, PEM.", flags=("tlscert",)),
            Row(keys=("key_file",), type=_file("key_file"), doc="Its private key.", flags=("tlskey",)),
            Row(
                keys=("certs", "certificates"),
                type=Type("[block tls.certs]", _certificates),
                doc="Several certificates, chosen by the name asked for.",
                since="2.11",
            ),
            Row(
                keys=("ca_file",), type=_file("ca_file"), default="the system's", doc="Root CAs.", flags=("tlscacert",)
            ),
            Row(
                keys=("verify",),
                type=_boolean("verify"),
                default="false",
                doc="Ask for a client certificate and verify it.",
                flags=("tlsverify",),
            ),
            Row(
                keys=("verify_and_map",),
                type=_boolean("verify_and_map"),
                default="false",
                doc="Verify, and take the user from the certificate.",
            ),
            Row(
                keys=("verify_cert_and_check_known_urls",),
                type=_boolean("verify_cert_and_check_known_urls"),
                default="false",
                doc="The certificate must name a configured peer; cluster and gateway only.",
            ),
            Row(
                keys=("insecure",), type=_boolean("insecure"), default="false", doc="Do not verify the server dialled."
            ),
            Row(
                keys=("timeout",),
                type=seconds("error parsing tls config, 'timeout'"),
                default="2",
                unit="seconds",
                doc="Time for the handshake.",
            ),
            Row(
                keys=("cipher_suites",),
                type=_names("cipher_suites", _CIPHERS, "cipher"),
                default="all secure ones",
                doc="Cipher suites by IANA name.",
            ),
            Row(
                keys=("allow_insecure_cipher_suites",),
                type=BOOLEAN,
                default="false",
                doc="Let `cipher_suites` name insecure ones.",
                since="2.12",
            ),
            Row(
                keys=("curve_preferences",),
                type=_names("curve_preferences", _CURVES, "curve preference"),
                default=", ".join(_CURVES),
                doc="Key exchanges in order of preference.",
            ),
            Row(keys=("min_version",), type=Type('"1.2" | "1.3"', _min_version), default="1.2", doc="Lowest version."),
            Row(
                keys=("pinned_certs",),
                type=Type("[text]", _pinned_certs),
                doc="SHA-256 of the public keys that are let in.",
            ),
            Row(
                keys=("connection_rate_limit",),
                type=Type("integer", _rate),
                default="0",
                doc="Handshakes a second; 0 is unlimited; clients only.",
                name="TLSRateLimit",
            ),
            Row(
                keys=("handshake_first", "first", "immediate"),
                type=Type("boolean, auto or duration", _handshake_first),
                default="false",
                doc="Handshake before INFO.",
            ),
            Row(
                keys=("ocsp_peer",),
                type=Type("boolean or block tls.ocsp_peer", _ocsp_peer),
                default="false",
                doc="Check certificates of peers by OCSP.",
            ),
            *(
                Row(keys=(key,), type=TEXT, doc="Windows certificate store.")
                for key in ("cert_store", "cert_match_by", "cert_match")
            ),
            Row(keys=("ca_certs_match",), type=ARRAY_OF_TEXT, doc="Windows certificate store."),
            Row(keys=("cert_match_skip_invalid",), type=BOOLEAN, default="false", doc="Windows certificate store."),
        ),
        unknown="error parsing tls config, unknown field {key}",
    ),
    block(
        "tls.certs",
        "tls.certs[]",
        (
            Row(keys=("cert_file",), type=_file("cert_file"), doc="Certificate, PEM."),
            Row(keys=("key_file",), type=_file("key_file"), doc="Its private key."),
        ),
        unknown="error parsing certificates config: unknown field {key}",
    ),
    block(
        "tls.ocsp_peer",
        "tls.ocsp_peer",
        (
            Row(keys=("verify",), type=BOOLEAN, default="false", doc="Check."),
            Row(keys=("ca_timeout",), type=_PEER_SECONDS, default="2", unit="seconds", doc="Time for a responder."),
            Row(keys=("allowed_clockskew",), type=_PEER_SECONDS, default="30", unit="seconds", doc="Clock difference."),
            Row(keys=("warn_only",), type=BOOLEAN, default="false", doc="Warn instead of refusing."),
            Row(keys=("unknown_is_good",), type=BOOLEAN, default="false", doc="Unknown counts as good."),
            Row(keys=("allow_when_ca_unreachable",), type=BOOLEAN, default="false", doc="No answer counts as good."),
            Row(
                keys=("cache_ttl_when_next_update_unset",),
                type=_PEER_SECONDS,
                default="3600",
                unit="seconds",
                doc="How long answers without an end are kept.",
            ),
        ),
        unknown="error parsing tls peer config, unknown field [{key}]",
    ),
)
