"""The service over gRPC: TLS, who is calling, health, reflection, and an end in good order."""

import json
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from cryptography import x509
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from msgspec import Struct

from gossamer.operator.audit.log import Entry
from gossamer.operator.failure import Failure, from_os_error, usage
from gossamer.operator.signer.identity import Identity
from gossamer.operator.signer.messages import METHODS, SERVICE, AuditLine, Message, WatchRequest
from gossamer.operator.signer.policy import Client
from gossamer.operator.signer.refusal import Grounds, Refused
from gossamer.operator.signer.schema import POOL, from_wire, to_wire
from gossamer.operator.signer.service import Signer

WORKERS = 16
WATCHERS_MAX = 8
WATCHER_LINES_MAX = 1000
MESSAGE_BYTES_MAX = 2 * 1024 * 1024
STOP_GRACE_S = 5.0
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "::1"}


class Tls(Struct, frozen=True, kw_only=True):
    """Paths of PEM files. With ``client_ca`` every client must show a certificate of that authority."""

    certificate: str
    key: str
    client_ca: str = ""


class SignerServer:
    """A running service. ``port`` is the one it got."""

    def __init__(self, signer: Signer, listen: str, clock: Callable[[], float], tls: Tls | None = None) -> None:
        """Raises Failure when it cannot listen, or would carry secrets in the clear to another machine."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdigit():
            raise usage(f"{listen!r} is not HOST:PORT", "write 127.0.0.1:4300; port 0 takes any")
        if tls is None and host not in _LOOPBACK:
            raise usage("without TLS it listens on this machine only", "give --tls-cert and --tls-key")
        self._signer = signer
        self._identity = Identity(signer.policy, clock)
        self._certificates = bool(tls and tls.client_ca)
        self._watchers: set[queue.Queue[Entry | None]] = set()
        self._server = grpc.server(
            ThreadPoolExecutor(WORKERS, thread_name_prefix="signer"),
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                # Two services on one port would share its clients at random.
                ("grpc.so_reuseport", 0),
            ],
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._server.add_generic_rpc_handlers((self._handlers(),))
        names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server, pool=POOL)
        signer.on_entry.append(self._tell)
        try:
            if tls is None:
                self.port = int(self._server.add_insecure_port(listen))
            else:
                self.port = int(self._server.add_secure_port(listen, _credentials(tls)))
        except RuntimeError:
            raise Failure(f"cannot listen on {listen}", code="listen", hint="is another service there?") from None
        self.address = f"{host}:{self.port}"

    def start(self) -> None:
        """Serve, in threads of its own."""
        self._server.start()
        for name in ("", SERVICE):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Say that it is going, let what has begun end, then go. Returns when it has gone."""
        self._health.enter_graceful_shutdown()
        for watcher in list(self._watchers):
            watcher.put(None)
        if self._tell in self._signer.on_entry:
            self._signer.on_entry.remove(self._tell)
        self._server.stop(grace_s).wait()

    def _handlers(self) -> Any:
        methods: dict[str, Callable[[Client, Any], Message]] = {
            "ListKeys": self._signer.list_keys,
            "IssueUser": self._signer.issue_user,
            "Sign": self._signer.sign,
            "SubmitRequest": self._signer.submit,
            "ListRequests": self._signer.requests,
            "GetRequest": self._signer.request,
            "Approve": self._signer.approve,
            "Reject": self._signer.reject,
        }
        opening: dict[str, Callable[[Any], Message]] = {
            "GetChallenge": self._identity.challenge,
            "Authenticate": self._identity.prove,
        }
        handlers = {}
        for name, method in METHODS.items():
            work: Callable[..., Any]
            if method.streams:
                work, make = self._watching(method.request), grpc.unary_stream_rpc_method_handler
            elif method.open:
                work, make = self._opening(opening[name], method.request), grpc.unary_unary_rpc_method_handler
            else:
                work, make = self._calling(methods[name], method.request), grpc.unary_unary_rpc_method_handler
            handlers[name] = make(work)  # bytes in, bytes out: what they mean is ours
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _opening(self, method: Callable[[Any], Message], kind: type[Message]) -> Callable[[bytes, Any], bytes]:
        def call(data: bytes, context: Any) -> bytes:
            with _Refusing(context), self._signer.lock:
                return to_wire(method(_parsed(kind, data)))
            raise AssertionError("a refused call has ended by now")

        return call

    def _calling(self, method: Callable[[Client, Any], Message], kind: type[Message]) -> Callable[[bytes, Any], bytes]:
        def call(data: bytes, context: Any) -> bytes:
            with _Refusing(context):
                return to_wire(method(self._caller(context), _parsed(kind, data)))
            raise AssertionError("a refused call has ended by now")

        return call

    def _watching(self, kind: type[Message]) -> Callable[[bytes, Any], Iterator[bytes]]:
        def call(data: bytes, context: Any) -> Iterator[bytes]:
            with _Refusing(context):
                client, request = self._caller(context), _parsed(kind, data)
                assert isinstance(request, WatchRequest)
                if "watch" not in client.operations:
                    raise Refused(Grounds.DENIED, f"client {client.name!r} may not watch")
                if len(self._watchers) >= WATCHERS_MAX:
                    raise Refused(Grounds.QUOTA, "too many are watching already")
                yield from self._watched(request, context)

        return call

    def _watched(self, request: WatchRequest, context: Any) -> Iterator[bytes]:
        mine: queue.Queue[Entry | None] = queue.Queue()
        with self._signer.lock:
            # What is there already, and what comes from now on: no line between the two.
            past = list(self._signer.log.entries()) if request.from_number else []
            self._watchers.add(mine)
        try:
            if not context.add_callback(lambda: mine.put(None)):
                return
            # Answered at once, so that the caller knows that nothing will be missed from here on.
            context.send_initial_metadata(())
            for entry in past:
                if entry.number >= request.from_number:
                    yield to_wire(_line(entry))
            while (next_entry := mine.get()) is not None:
                yield to_wire(_line(next_entry))
        finally:
            self._watchers.discard(mine)

    def _tell(self, entry: Entry) -> None:
        for watcher in list(self._watchers):
            # Who does not read has to begin anew.
            watcher.put(None if watcher.qsize() >= WATCHER_LINES_MAX else entry)

    def _caller(self, context: Any) -> Client:
        for name, value in context.invocation_metadata():
            if name == "authorization" and isinstance(value, str):
                with self._signer.lock:
                    return self._identity.of_session(value.removeprefix("Bearer "))
        # With TLS that asks for no certificate there is none that anybody has checked.
        pem = context.auth_context().get("x509_pem_cert", [b""])[0] if self._certificates else b""
        if not pem:
            raise Refused(Grounds.UNAUTHENTICATED, "prove who you are: by nkey, or with a client certificate")
        certificate = x509.load_pem_x509_certificate(pem)
        return self._identity.of_certificate(certificate.subject.rfc4514_string(), _names(certificate))


class _Refusing:
    """Turns what a call raises into gRPC's status. What nobody thought of is an internal error without its text."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> None:
        if isinstance(error, Refused):
            self._context.abort(getattr(grpc.StatusCode, error.grounds.value.upper()), "; ".join(error.faults))
        elif isinstance(error, Failure):
            self._context.abort(grpc.StatusCode.UNAVAILABLE, error.message)
        elif error is not None and not isinstance(error, GeneratorExit):
            self._context.abort(grpc.StatusCode.INTERNAL, f"the service failed: {type(error).__name__}")


def _parsed(kind: type[Message], data: bytes) -> Message:
    try:
        return from_wire(kind, data)
    except ValueError as error:
        raise Refused(Grounds.INVALID, str(error)) from None


def _line(entry: Entry) -> AuditLine:
    return AuditLine(
        number=entry.number,
        time=entry.time,
        action=entry.action,
        actor_json=json.dumps(entry.actor),
        details_json=json.dumps(entry.details),
        previous=entry.previous,
        hash=entry.hash,
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *found.get_values_for_type(x509.UniformResourceIdentifier),
        *found.get_values_for_type(x509.DNSName),
        *found.get_values_for_type(x509.RFC822Name),
    )


def _credentials(tls: Tls) -> Any:
    pair = (read_pem(tls.key), read_pem(tls.certificate))
    authority = read_pem(tls.client_ca) if tls.client_ca else None
    return grpc.ssl_server_credentials([pair], authority, bool(tls.client_ca))


def read_pem(path: str) -> bytes:
    """A PEM file. Raises Failure."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise from_os_error(error, "read", path, "name another file") from None
