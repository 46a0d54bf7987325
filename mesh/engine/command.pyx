# cython: language_level=3
"""What the control plane asked for, carried out at the beginning of a tick, in the order of the calls."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close

from gossamer.mesh.engine.accounts cimport account_by_id, account_enter, account_settle
from gossamer.mesh.engine.delivery cimport compose
from gossamer.mesh.engine.joining cimport (
    admit,
    change,
    join_gateway,
    join_leaf,
    join_route,
    set_gateway_identity,
)
from gossamer.mesh.engine.links cimport (
    link_find,
    link_greet,
    link_limit,
    link_make,
    link_ping,
)
from gossamer.mesh.engine.match cimport match_lookup
from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.output cimport link_doom, link_ready, output_add, output_as_is, output_writable
from gossamer.mesh.engine.permission cimport permission_free
from gossamer.mesh.engine.publish cimport publish_own
from gossamer.mesh.engine.s2 cimport s2_more, s2_unpack
from gossamer.mesh.engine.sharing cimport (
    import_enter,
    import_free,
    import_remove,
    mapping_free,
    mapping_remove,
    mapping_set,
)
from gossamer.mesh.engine.subject cimport subject_wildcard
from gossamer.mesh.engine.subscriptions cimport (
    own_subscribe,
    own_unsubscribe,
)
from gossamer.mesh.engine.transform cimport program_read
from gossamer.mesh.engine.types cimport (
    KIND_CLIENT,
    READ_ERROR,
    RECEIVER_MAILBOX,
    RECEIVER_NOBODY,
    SLACK,
    STATE_AWAIT_INFO,
    STATE_CLOSING,
    STATE_NEW,
    STATE_OPEN,
    STATE_PARKED,
    Account,
    Buffer,
    Command,
    Configuration,
    Core,
    Entry,
    Import,
    Link,
    Listener,
    MapTarget,
    Mapping,
    Message,
    Permission,
    Unpacker,
    pthread_mutex_t,
)
from gossamer.mesh.engine.watch cimport listener_watch, unwatch, watch
from gossamer.mesh.engine.wheel cimport wheel_schedule

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)


cdef void configure(Core* core, Configuration* wanted) noexcept nogil:
    """New limits; a changed payload limit also meets the links that had the old one."""
    cdef int64_t before = core.configuration.max_payload
    cdef Link* link = core.all_links
    core.configuration = wanted[0]
    if before == wanted.max_payload:
        return
    while link != NULL:
        if link.max_payload == before or (wanted.max_payload >= 0 and link.max_payload > wanted.max_payload):
            link.max_payload = wanted.max_payload
        link = link.all_next


cdef void listen(Core* core, Listener* listener) noexcept nogil:
    cdef uint32_t capacity
    cdef Listener** grown
    if listener.id >= core.listeners_capacity:
        capacity = listener.id + 8
        grown = <Listener**>realloc(core.listeners, capacity * sizeof(Listener*))
        if grown == NULL:
            return
        memset(grown + core.listeners_capacity, 0, (capacity - core.listeners_capacity) * sizeof(Listener*))
        core.listeners = grown
        core.listeners_capacity = capacity
    core.listeners[listener.id] = listener
    if listener.descriptor >= 0:
        listener_watch(core, listener)


cdef Listener* listener_by_id(Core* core, uint64_t id) noexcept nogil:
    return core.listeners[id] if id < core.listeners_capacity else NULL


cdef void close_listener(Core* core, Listener* listener) noexcept nogil:
    """Links keep pointing at it: the struct stays until the engine goes."""
    if listener == NULL or listener.descriptor < 0:
        return
    if listener.paused_until_ns:
        listener.paused_until_ns = 0
        core.listeners_paused -= 1
    else:
        unwatch(core, listener.descriptor)
    close(listener.descriptor)
    listener.descriptor = -1


cdef void adopt(Core* core, Command* command) noexcept nogil:
    cdef Listener* listener = listener_by_id(core, <uint64_t>command.d) if command.d else NULL
    cdef char* host = command.blob
    cdef Link* link = link_make(core, command.a, <int>(command.c & 255), <int>command.b, listener, host,
                                command.size[0], <uint16_t>(command.c >> 8))
    if link == NULL:
        if command.b >= 0:
            close(<int>command.b)
        return
    if not link.memory:
        watch(core, link.descriptor, link)
        link.readable = 1
        link_ready(core, link)
    output_add(core, link, host + command.size[0], command.size[1])
    link_greet(core, link, host, command.size[0])
    link_limit(core, link)


cdef void unpack_in(Core* core, Link* link, const char* data, uint32_t size) noexcept nogil:
    """Put the data of compressed bytes behind what is waiting to be parsed."""
    cdef Buffer* unpacked = &core.unpacked
    cdef int fault
    unpacked.size = 0
    buffer_add(unpacked, link.stash, link.stash_size)
    fault = s2_unpack(link.unpacker, data, size, unpacked)
    while not fault and s2_more(link.unpacker):
        fault = s2_unpack(link.unpacker, NULL, 0, unpacked)
    free(link.stash)
    link.stash = <char*>malloc(unpacked.size + SLACK)
    link.stash_size = <uint32_t>unpacked.size
    if fault or link.stash == NULL:
        link.stash_size = 0
        link_doom(core, link, READ_ERROR, NULL, 0, 0)
        return
    memcpy(link.stash, unpacked.data, unpacked.size)
    link.stash_ready = 1


cdef void compress(Core* core, Link* link, int level, uint8_t both) noexcept nogil:
    """What is queued goes out as it is, what follows compressed; ``both``: what comes from now on is compressed too,
    and so are the bytes that are here and not parsed."""
    cdef char* waiting
    cdef uint32_t size
    if link.state >= STATE_CLOSING:
        return
    if not link.pack_level:
        output_as_is(core, link)
    link.pack_level = <uint8_t>level
    if not both or link.unpacker != NULL:
        return
    link.unpacker = <Unpacker*>calloc(1, sizeof(Unpacker))
    if link.unpacker == NULL:
        link_doom(core, link, READ_ERROR, NULL, 0, 0)
        return
    if link.stash_size:
        waiting = link.stash
        size = link.stash_size
        link.stash = NULL
        link.stash_size = 0
        if link.memory:
            unpack_in(core, link, waiting, size)
        else:
            buffer_add(&link.unpacker.held, waiting, size)     # read_packed takes it in portions
            link_ready(core, link)
        free(waiting)


cdef void feed(Core* core, Link* link, Command* command) noexcept nogil:
    cdef char* stash
    if link.state >= STATE_CLOSING or not link.memory:
        return
    if link.unpacker != NULL:
        unpack_in(core, link, command.blob, command.size[0])
        link.last_activity_ns = core.now_ns
    elif command.size[0]:
        stash = <char*>realloc(link.stash, <size_t>link.stash_size + command.size[0] + SLACK)
        if stash == NULL:
            return
        memcpy(stash + link.stash_size, command.blob, command.size[0])
        link.stash = stash
        link.stash_size += command.size[0]
        link.stash_ready = 1
        link.last_activity_ns = core.now_ns
    if command.c:
        link.end_of_file = 1
    link_ready(core, link)


cdef void set_error(Link* link, char* text, uint32_t size) noexcept nogil:
    free(link.expire_error)
    link.expire_error = NULL
    if size:
        link.expire_error = <char*>malloc(size + 1)
        if link.expire_error != NULL:
            memcpy(link.expire_error, text, size)
            link.expire_error[size] = 0


cdef void publish(Core* core, Command* command) noexcept nogil:
    cdef Message message
    cdef Entry* entry
    cdef uint32_t slot
    memset(&message, 0, sizeof(message))
    message.account = account_by_id(core, <uint64_t>command.b)
    if message.account == NULL:
        return
    message.subject = command.blob
    message.subject_size = command.size[0]
    message.reply = command.blob + command.size[0]
    message.reply_size = command.size[1]
    message.header_size = <uint32_t>command.c
    message.total_size = command.size[2]
    message.body = message.reply + message.reply_size
    entry = match_lookup(core, message.account, message.subject, message.subject_size, &slot)
    if entry != NULL:
        compose(core, &message)
        publish_own(core, &message, entry)


cdef void set_mapping(Core* core, Command* command) noexcept nogil:
    """The blob: the source, padded to eight bytes, then for each of ``c`` targets int64 bound and the program."""
    cdef Account* account = account_by_id(core, <uint64_t>command.b)
    cdef uint32_t source_size = command.size[0]
    cdef uint32_t count = <uint32_t>command.c
    cdef char* at = command.blob + ((source_size + 7) & ~<uint32_t>7)
    cdef Mapping* mapping
    cdef int64_t until
    cdef uint32_t i
    if account == NULL:
        return
    if count == 0:
        mapping_remove(core, account, command.blob, source_size)
        return
    mapping = <Mapping*>calloc(1, sizeof(Mapping) + count * sizeof(MapTarget) + source_size + SLACK)
    if mapping == NULL:
        return
    mapping.targets = <MapTarget*>(mapping + 1)
    mapping.source = <char*>(mapping.targets + count)
    mapping.source_size = source_size
    memcpy(mapping.source, command.blob, source_size)
    mapping.literal = not subject_wildcard(mapping.source, source_size)
    for i in range(count):
        memcpy(&until, at, 8)
        at += 8
        mapping.targets[i].until = <uint32_t>until
        mapping.targets[i].program = program_read(mapping.source, source_size, &at)
        if mapping.targets[i].program == NULL:
            mapping_free(mapping)
            return
        mapping.count = i + 1
    mapping_set(core, account, mapping)


cdef void enter_import(Core* core, Command* command) noexcept nogil:
    """``a`` the id, ``b`` importer, ``c`` exporter, ``d`` flags, ``e`` threshold, ``f`` sampling; the blob: the pattern
    that the program starts from, padded to eight bytes, then the program."""
    cdef Import* one
    cdef Account* account = account_by_id(core, <uint64_t>command.b)
    cdef Account* exporter = account_by_id(core, <uint64_t>command.c)
    cdef char* at = command.blob + ((command.size[0] + 7) & ~<uint32_t>7)
    if account == NULL or exporter == NULL:
        return
    one = <Import*>calloc(1, sizeof(Import))
    if one == NULL:
        return
    one.id = <uint32_t>command.a
    one.account = account
    one.exporter = exporter
    one.service = (command.d & IMPORT_SERVICE) != 0
    one.share = (command.d & IMPORT_SHARE) != 0
    one.response = <uint8_t>(command.d >> 8)
    one.threshold_ns = command.e
    one.sampling = <int>command.f
    one.program = program_read(command.blob, command.size[0], &at)
    one.local = command.blob            # for a stream import it is the pattern in the exporter
    one.local_size = command.size[0]
    one.subject = one.local
    one.subject_size = one.local_size
    command.blob = NULL
    if one.program == NULL:
        import_free(one)
        return
    import_enter(core, one)


cdef void set_permission(Core* core, Permission* permission) noexcept nogil:
    cdef uint32_t capacity
    cdef Permission** grown
    if permission.id >= core.permissions_capacity:
        capacity = permission.id * 2 + 64
        grown = <Permission**>realloc(core.permissions, capacity * sizeof(Permission*))
        if grown == NULL:
            return
        memset(grown + core.permissions_capacity, 0, (capacity - core.permissions_capacity) * sizeof(Permission*))
        core.permissions = grown
        core.permissions_capacity = capacity
    core.permissions[permission.id] = permission


cdef void remove_permission(Core* core, uint64_t id) noexcept nogil:
    cdef Permission* permission
    if id >= core.permissions_capacity or core.permissions[id] == NULL:
        return
    permission = core.permissions[id]
    core.permissions[id] = NULL
    permission.removed = 1
    if permission.links == 0:
        permission_free(permission)


cdef void link_command(Core* core, Command* command) noexcept nogil:
    """The calls that name a link; one that is gone is none of our business any more."""
    cdef Link* link = link_find(core, command.a)
    cdef uint32_t op = command.op
    if link == NULL:
        return
    if op == COMMAND_FEED:
        feed(core, link, command)
    elif op == COMMAND_HOLD:
        link.held = link.memory and command.b
        if not link.held and link.blocked:
            output_writable(core, link)
    elif op == COMMAND_ADMIT:
        admit(core, link, command)
    elif op == COMMAND_CHANGE:
        change(core, link, command)
    elif op == COMMAND_SEND:
        if link.state < STATE_CLOSING and (not command.c or link.first_pong):
            output_add(core, link, command.blob, command.size[0])
    elif op == COMMAND_CLOSE:
        link_doom(core, link, <int>command.b, command.blob, command.size[0], command.c != 0)
    elif op == COMMAND_EXPIRE:
        link.expire_at_ns = command.b
        link.expire_reason = <uint8_t>command.c
        set_error(link, command.blob, command.size[0])
        if link.state < STATE_CLOSING:
            wheel_schedule(core, link)
    elif op == COMMAND_PING:
        if link.state < STATE_CLOSING:
            link_ping(core, link)
    elif op == COMMAND_RESUME:
        if link.state == STATE_PARKED and link.kind != KIND_CLIENT:
            if link.route != NULL and link.route.joined:
                link.state = STATE_OPEN
            elif link.resume_state == STATE_NEW:
                link.state = STATE_NEW
            else:
                link.state = STATE_AWAIT_INFO
            link_ready(core, link)
    elif op == COMMAND_ADMIT_ROUTE:
        if link.state == STATE_PARKED and link.kind != KIND_CLIENT:
            link.auth_until_ns = 0
            link.state = STATE_AWAIT_INFO
            link_ready(core, link)
    elif op == COMMAND_JOIN_ROUTE:
        join_route(core, link, command)
    elif op == COMMAND_JOIN_GATEWAY:
        join_gateway(core, link, command)
    elif op == COMMAND_JOIN_LEAF:
        join_leaf(core, link, command)
    elif op == COMMAND_COMPRESS:
        compress(core, link, <int>command.b, command.c != 0)
    elif op == COMMAND_DESCRIBE:
        free(link.described)
        core.descriptions += 1
        link.described = command.blob
        link.described_front = command.size[0]
        link.described_size = command.size[0] + command.size[1]
        command.blob = NULL


cdef void run(Core* core, Command* command) noexcept nogil:
    cdef uint32_t op = command.op
    cdef Listener* listener
    cdef Account* account
    if op == COMMAND_CONFIGURE:
        configure(core, <Configuration*>command.pointer)
        free(command.pointer)
    elif op == COMMAND_LISTEN:
        listen(core, <Listener*>command.pointer)
    elif op == COMMAND_SET_INFO:
        listener = listener_by_id(core, command.a)
        if listener != NULL:
            free(listener.info)
            listener.info = command.blob
            listener.info_size = command.size[0]
            listener.has_nonce = command.b != 0
            command.blob = NULL
    elif op == COMMAND_CLOSE_LISTENER:
        close_listener(core, listener_by_id(core, command.a))
    elif op == COMMAND_ADOPT:
        adopt(core, command)
    elif op == COMMAND_ACCOUNT:
        account_enter(core, <uint32_t>command.a, command.blob, command.size[0],
                      (command.b & ACCOUNT_DEDICATED) != 0, (command.b & ACCOUNT_SYSTEM) != 0)
    elif op == COMMAND_REMOVE_ACCOUNT:
        account = account_by_id(core, command.a)
        if account != NULL:
            account.removed = 1
            account_settle(core, account)
    elif op == COMMAND_PERMISSION:
        set_permission(core, <Permission*>command.pointer)
    elif op == COMMAND_REMOVE_PERMISSION:
        remove_permission(core, command.a)
    elif op == COMMAND_SUBSCRIBE:
        account = account_by_id(core, <uint64_t>command.b)
        if account != NULL:
            own_subscribe(core, account, command.blob, command.size[0], command.blob + command.size[0],
                          command.size[1], command.a, RECEIVER_NOBODY if command.c else RECEIVER_MAILBOX)
    elif op == COMMAND_UNSUBSCRIBE:
        own_unsubscribe(core, command.a)
    elif op == COMMAND_PUBLISH:
        publish(core, command)
    elif op == COMMAND_MAPPING:
        set_mapping(core, command)
    elif op == COMMAND_IMPORT:
        enter_import(core, command)
    elif op == COMMAND_GATEWAY_IDENTITY:
        set_gateway_identity(core, command)
    elif op == COMMAND_LATENCY_IDENTITY:
        core.latency_suffix[0] = 46
        memcpy(core.latency_suffix + 1, command.blob, command.size[0])
        memcpy(core.latency_suffix + 1 + command.size[0], b".T", 2)
    elif op == COMMAND_REMOVE_IMPORT:
        import_remove(core, command.a)
    else:
        link_command(core, command)


cdef void commands_run(Core* core) noexcept nogil:
    """Take the queue over and run it."""
    cdef Command* taken
    cdef uint32_t count, capacity, i
    if core.commands_count == 0:        # a look without the lock: what it misses has also woken us
        return
    pthread_mutex_lock(&core.command_lock)
    taken = core.commands
    count = core.commands_count
    capacity = core.commands_capacity
    core.commands = core.commands_taken
    core.commands_capacity = core.commands_taken_capacity
    core.commands_count = 0
    pthread_mutex_unlock(&core.command_lock)
    for i in range(count):
        run(core, &taken[i])
        free(taken[i].blob)
    core.commands_taken = taken
    core.commands_taken_capacity = capacity
