# cython: language_level=3
"""Accounts and what is theirs: permission sets, the control plane's own subscriptions and messages, mappings and
imports."""

from struct import pack

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memset

from gossamer.mesh.engine.command cimport (
    ACCOUNT_DEDICATED,
    ACCOUNT_SYSTEM,
    COMMAND_ACCOUNT,
    COMMAND_IMPORT,
    COMMAND_LATENCY_IDENTITY,
    COMMAND_MAPPING,
    COMMAND_PERMISSION,
    COMMAND_PUBLISH,
    COMMAND_REMOVE_ACCOUNT,
    COMMAND_REMOVE_IMPORT,
    COMMAND_REMOVE_PERMISSION,
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    IMPORT_SERVICE,
    IMPORT_SHARE,
)
from gossamer.mesh.engine.handle cimport text_of
from gossamer.mesh.engine.permission cimport pattern_list_set, permission_free
from gossamer.mesh.engine.subject cimport subject_valid
from gossamer.mesh.engine.types cimport (
    PART_LITERAL,
    PART_PARTITION,
    PART_RANDOM,
    PART_SPLIT,
    PART_SPLIT_FROM_LEFT,
    PART_TAIL,
    Command,
    Core,
    Permission,
)
from gossamer.mesh.engine.viewer cimport Viewer

cdef extern from *:
    uint32_t add_account "__sync_fetch_and_add"(uint32_t* at, uint32_t value) noexcept nogil

ANSWER_THRESHOLD_NS = 120_000_000_000


cdef bytes padded(bytes text):
    return text + bytes((8 - len(text) % 8) % 8)


cdef bytes packed_program(bytes source, program):
    """The form that ``transform.program_read`` reads. Raises ValueError for a part the source cannot feed."""
    cdef bytes parts = b""
    tokens = source.split(b".")
    stars = tokens.count(b"*")
    for kind, text, numbers in program:
        if not PART_LITERAL <= kind <= PART_TAIL:
            raise ValueError(f"no such part of a program: {kind}")
        indexes = numbers[1:] if kind == PART_PARTITION else numbers[:1]
        if kind in (PART_LITERAL, PART_TAIL, PART_RANDOM):
            indexes = ()
        elif not numbers or (kind >= PART_SPLIT_FROM_LEFT and len(numbers) < 2):
            raise ValueError(f"part {kind} of a program lacks numbers")
        if any(not 1 <= index <= stars for index in indexes):
            raise ValueError(f"{source!r} has no wildcard number {list(indexes)}")
        if kind == PART_TAIL and not source.endswith(b">"):
            raise ValueError(f"{source!r} has no >")
        if kind in (PART_PARTITION, PART_RANDOM) and (not numbers or not 0 <= numbers[0] < 1 << 31):
            raise ValueError("a number of buckets is from 0 to 2147483647")
        if kind == PART_SPLIT and not text:
            raise ValueError("a separator is at least one character")
        parts += pack(f"4I{len(numbers)}q", kind, len(text), len(numbers), 0, *numbers) + padded(text)
    return pack("2I", len(parts) + 8, len(program)) + parts


cdef class Tenants(Viewer):
    """Programs accounts; see ``core.pyi``."""

    def __cinit__(self, *, seed=None):
        self.account_ids = {}

    # --- accounts, permissions, own subscriptions -----------------------------------------------------------------

    def account(self, bytes name, *, bint dedicated_route=False, bint system=False):
        cdef Command command
        cdef Core* core = self.alive()
        number = self.account_ids.get(name)
        if number is None:
            number = self.account_ids[name] = add_account(&core.next_account_id, 1)
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_ACCOUNT
        command.a = number
        command.b = (ACCOUNT_DEDICATED if dedicated_route else 0) | (ACCOUNT_SYSTEM if system else 0)
        command.size[0] = len(name)
        self.push(&command, name)
        return number

    def remove_account(self, uint32_t account):
        for name, number in list(self.account_ids.items()):
            if number == account:
                del self.account_ids[name]
        self.simple(COMMAND_REMOVE_ACCOUNT, account)

    def permissions(self, *, publish_allow=None, publish_deny=(), subscribe_allow=None, subscribe_deny=(),
                    int64_t response_max=0, int64_t response_ttl_ns=0):
        cdef Command command
        cdef Permission* permission = <Permission*>calloc(1, sizeof(Permission))
        if permission == NULL:
            raise MemoryError
        try:
            if response_max and publish_allow is None:
                publish_allow = ()
            pattern_list_set(&permission.publish_allow,
                             None if publish_allow is None else [(text_of(one), b"") for one in publish_allow])
            pattern_list_set(&permission.publish_deny, [(text_of(one), b"") for one in publish_deny])
            pattern_list_set(
                &permission.subscribe_allow,
                None if subscribe_allow is None else [(text_of(one), text_of(two)) for one, two in subscribe_allow],
            )
            pattern_list_set(&permission.subscribe_deny, [(text_of(one), text_of(two)) for one, two in subscribe_deny])
        except BaseException:
            permission_free(permission)
            raise
        self.permission_count += 1
        permission.id = self.permission_count
        permission.response_max = response_max
        permission.response_ttl_ns = response_ttl_ns
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_PERMISSION
        command.pointer = permission
        self.push(&command, None)
        return self.permission_count

    def remove_permissions(self, uint32_t permissions):
        self.simple(COMMAND_REMOVE_PERMISSION, permissions)

    def subscribe(self, uint32_t account, bytes subject, bytes queue=b""):
        return self.new_subscription(account, subject, queue, False)

    def subscribe_loop_detection(self, uint32_t account, bytes subject):
        if not subject.startswith(b"$LDS."):
            raise ValueError(f"not a loop detection subject: {subject!r}")
        return self.new_subscription(account, subject, b"", True)

    cdef uint64_t new_subscription(self, uint32_t account, bytes subject, bytes queue, bint for_leafs) except 0:
        cdef Command command
        if not subject_valid(subject, len(subject)):
            raise ValueError(f"not a valid subject: {subject!r}")
        self.subscription_count += 1
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_SUBSCRIBE
        command.a = self.subscription_count
        command.b = account
        command.c = for_leafs
        command.size[0] = len(subject)
        command.size[1] = len(queue)
        self.push(&command, subject + queue)
        return self.subscription_count

    def unsubscribe(self, uint64_t subscription):
        self.simple(COMMAND_UNSUBSCRIBE, subscription)

    def publish(self, uint32_t account, bytes subject, bytes data=b"", *, bytes reply=b"", uint32_t header_size=0):
        cdef Command command
        if header_size > len(data):
            raise ValueError(f"header_size {header_size} is more than the {len(data)} bytes of data")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_PUBLISH
        command.b = account
        command.c = header_size
        command.size[0] = len(subject)
        command.size[1] = len(reply)
        command.size[2] = len(data)
        self.push(&command, subject + reply + data + b"\r\n")

    # --- what accounts share, and mapped subjects -----------------------------------------------------------------

    def mapping(self, uint32_t account, bytes source, destinations):
        cdef Command command
        cdef int64_t until = 0
        cdef bytes packed = padded(source)
        if not subject_valid(source, len(source)):
            raise ValueError(f"not a valid subject: {source!r}")
        destinations = destinations or ()
        for weight, program in destinations:
            until += weight
            packed += pack("q", until) + packed_program(source, program)
        if until > 100:
            raise ValueError(f"the weights of {source!r} add up to {until}, more than 100")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_MAPPING
        command.b = account
        command.c = len(destinations)
        command.size[0] = len(source)
        self.push(&command, packed)

    cdef uint32_t new_import(self, uint32_t account, uint32_t exporter, bytes source, program, int64_t flags,
                             int64_t threshold_ns, int sampling) except 0:
        cdef Command command
        if not subject_valid(source, len(source)):
            raise ValueError(f"not a valid subject: {source!r}")
        self.import_count += 1
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_IMPORT
        command.a = self.import_count
        command.b = account
        command.c = exporter
        command.d = flags
        command.e = threshold_ns if threshold_ns > 0 else ANSWER_THRESHOLD_NS
        command.f = sampling
        command.size[0] = len(source)
        self.push(&command, padded(source) + packed_program(source, program))
        return self.import_count

    def service_import(self, uint32_t account, *, bytes local, uint32_t exporter, program, int response=0,
                       int64_t threshold_ns=0, bint share=False, int sampling=-1):
        return self.new_import(account, exporter, local, program,
                               IMPORT_SERVICE | (IMPORT_SHARE if share else 0) | response << 8, threshold_ns, sampling)

    def stream_import(self, uint32_t account, *, uint32_t exporter, bytes subject, program):
        return self.new_import(account, exporter, subject, program, 0, 0, -1)

    def latency_identity(self, *, bytes server_hash):
        cdef Command command
        if len(server_hash) != 8 or b"." in server_hash:
            raise ValueError("the hash of a server that measures latency is eight characters")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_LATENCY_IDENTITY
        command.size[0] = len(server_hash)
        self.push(&command, server_hash)

    def remove_import(self, uint32_t import_id):
        self.simple(COMMAND_REMOVE_IMPORT, import_id)
