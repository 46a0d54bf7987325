# cython: language_level=3
"""The core itself: made, run, stepped, drained, taken apart; how calls get in and how one looks inside.

Nothing in here runs on the engine's thread but ``run`` itself. A programming call appends a command under a short lock
and wakes the loop; a look inside waits for the end of a tick.
"""

import os

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close, read, write

from gossamer.mesh.engine.accounts cimport accounts_destroy
from gossamer.mesh.engine.blocks cimport blocks_destroy
from gossamer.mesh.engine.command cimport commands_run
from gossamer.mesh.engine.links cimport links_destroy
from gossamer.mesh.engine.match cimport match_destroy
from gossamer.mesh.engine.memory cimport buffer_free
from gossamer.mesh.engine.origins cimport origins_destroy
from gossamer.mesh.engine.output cimport output_destroy
from gossamer.mesh.engine.permission cimport permission_free
from gossamer.mesh.engine.poller cimport next_due, run_loop, tick
from gossamer.mesh.engine.records cimport decode
from gossamer.mesh.engine.returning cimport returnings_destroy
from gossamer.mesh.engine.sharing cimport sharing_destroy
from gossamer.mesh.engine.subscriptions cimport subscription_end
from gossamer.mesh.engine.tracking cimport trackeds_destroy
from gossamer.mesh.engine.types cimport (
    CACHE_SETS,
    CALLS_DEEP,
    DOOR_BITS,
    READ_SIZE,
    SLACK,
    STASH_INLINE,
    Buffer,
    CacheSet,
    Command,
    Core,
    Link,
    pthread_mutex_t,
)
from gossamer.mesh.engine.watch cimport watch

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int EPOLL_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int start, int flags)
    int EFD_NONBLOCK
    int EFD_CLOEXEC

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* at, size_t size, int protection, int flags, int descriptor, long offset)
    int munmap(void* at, size_t size)
    int madvise(void* at, size_t size, int advice)
    int MADV_HUGEPAGE
    int PROT_READ
    int PROT_WRITE
    int MAP_PRIVATE
    int MAP_ANONYMOUS
    void* MAP_FAILED

cdef extern from *:
    int add_looker "__sync_fetch_and_add"(int32_t* at, int32_t value) noexcept nogil

cdef uint64_t hash_seed(object seed) except? 0:
    """Spread a small seed over 64 bits."""
    return <uint64_t>((int(seed) + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)


cdef class Handle:
    """A core and its two ends: commands in, records out."""

    def __cinit__(self, *, seed=None):
        cdef Core* core = <Core*>calloc(1, sizeof(Core))
        if core == NULL:
            raise MemoryError
        self.core = core
        pthread_mutex_init(&core.state_lock, NULL)
        pthread_mutex_init(&core.command_lock, NULL)
        pthread_mutex_init(&core.mail_lock, NULL)
        core.deterministic = seed is not None
        core.random = <uint64_t>(int.from_bytes(os.urandom(8), "little") if seed is None else hash_seed(seed)) | 1
        core.hash_seed = core.random * <uint64_t>0x9E3779B97F4A7C15
        core.next_link_id = 1
        core.next_account_id = 1
        core.link_mask = 255
        core.link_table = <Link**>calloc(256, sizeof(Link*))
        core.read_buffer = <char*>malloc(STASH_INLINE + READ_SIZE + SLACK)
        core.doorkeeper = <uint64_t*>calloc(DOOR_BITS // 64, 8)
        core.cache = <CacheSet*>mmap(NULL, CACHE_SETS * sizeof(CacheSet), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if core.link_table == NULL or core.read_buffer == NULL or core.doorkeeper == NULL \
                or core.cache == MAP_FAILED:
            raise MemoryError
        madvise(core.cache, CACHE_SETS * sizeof(CacheSet), MADV_HUGEPAGE)   # a wish: fewer address look-ups
        core.poll_descriptor = epoll_create1(EPOLL_CLOEXEC)
        core.command_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        core.event_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if core.poll_descriptor < 0 or core.command_descriptor < 0 or core.event_descriptor < 0:
            raise OSError("the engine could not get its descriptors: raise the limit of open files (ulimit -n)")
        watch(core, core.command_descriptor, NULL)
        self.wakeup_fd = core.event_descriptor

    def __dealloc__(self):
        self.release()

    cdef void release(self):
        cdef Core* core = self.core
        cdef uint32_t i
        if core == NULL:
            return
        self.core = NULL
        commands_run(core)
        links_destroy(core)
        for i in range(core.own_capacity):
            if core.own[i] != NULL:
                subscription_end(core, core.own[i])
        sharing_destroy(core)
        free(core.own)
        match_destroy(core)
        for i in range(core.permissions_capacity):
            if core.permissions[i] != NULL:
                permission_free(core.permissions[i])
        free(core.permissions)
        for i in range(core.listeners_capacity):
            if core.listeners[i] != NULL:
                if core.listeners[i].descriptor >= 0:
                    close(core.listeners[i].descriptor)
                free(core.listeners[i].info)
                free(core.listeners[i])
        free(core.listeners)
        for i in range(<uint32_t>(core.grave_plain.size // sizeof(void*))):
            free((<void**>core.grave_plain.data)[i])
        accounts_destroy(core)
        blocks_destroy(core)
        output_destroy(core)
        returnings_destroy(core)
        trackeds_destroy(core)
        origins_destroy(core)
        free(core.gateway_name)
        buffer_free(&core.routes)
        buffer_free(&core.inbounds)
        buffer_free(&core.outbounds)
        buffer_free(&core.returned)
        buffer_free(&core.mail)
        buffer_free(&core.mail_shared)
        buffer_free(&core.mail_spare)
        buffer_free(&core.scratch_terminals)
        buffer_free(&core.scratch_plain)
        buffer_free(&core.scratch_remote)
        buffer_free(&core.scratch_groups)
        buffer_free(&core.scratch_members)
        buffer_free(&core.scratch_shadows)
        buffer_free(&core.scratch_calls)
        buffer_free(&core.scratch_text)
        buffer_free(&core.line)
        buffer_free(&core.line_other)
        buffer_free(&core.shadow_line)
        buffer_free(&core.leaf_shadows)
        buffer_free(&core.leaf_subjects)
        buffer_free(&core.mapped)
        buffer_free(&core.raw)
        buffer_free(&core.packed)
        buffer_free(&core.unpacked)
        for i in range(CALLS_DEEP):
            buffer_free(&core.call_body[i])
        buffer_free(&core.grave_plain)
        free(core.commands)
        free(core.commands_taken)
        free(core.link_table)
        free(core.read_buffer)
        free(core.run_buffer)
        free(core.doorkeeper)
        munmap(core.cache, CACHE_SETS * sizeof(CacheSet))
        close(core.poll_descriptor)
        close(core.command_descriptor)
        close(core.event_descriptor)
        pthread_mutex_destroy(&core.state_lock)
        pthread_mutex_destroy(&core.command_lock)
        pthread_mutex_destroy(&core.mail_lock)
        free(core)

    cdef Core* alive(self) except NULL:
        if self.core == NULL:
            raise RuntimeError("the engine is destroyed")
        return self.core

    cdef int push(self, Command* command, bytes blob) except -1:
        """Queue the command with a copy of the blob; wake the engine for the first one in the queue."""
        cdef Core* core = self.alive()
        cdef uint64_t one = 1
        cdef uint32_t capacity
        cdef Command* grown
        cdef bint wake
        command.blob = NULL
        if blob is not None:
            command.blob = <char*>malloc(len(blob) + SLACK)
            if command.blob == NULL:
                raise MemoryError
            memcpy(command.blob, <char*>blob, len(blob))
        pthread_mutex_lock(&core.command_lock)
        if core.commands_count == core.commands_capacity:
            capacity = core.commands_capacity * 2 if core.commands_capacity else 256
            grown = <Command*>realloc(core.commands, capacity * sizeof(Command))
            if grown == NULL:
                pthread_mutex_unlock(&core.command_lock)
                free(command.blob)
                raise MemoryError
            core.commands = grown
            core.commands_capacity = capacity
        core.commands[core.commands_count] = command[0]
        core.commands_count += 1
        wake = core.commands_count == 1
        pthread_mutex_unlock(&core.command_lock)
        if wake:
            write(core.command_descriptor, &one, 8)
        return 0

    cdef void look(self) noexcept:
        """Get the state lock: the engine is between two ticks."""
        cdef Core* core = self.core
        with nogil:
            add_looker(&core.lookers, 1)
            pthread_mutex_lock(&core.state_lock)
            add_looker(&core.lookers, -1)

    cdef void leave(self) noexcept:
        """Give the state lock back."""
        pthread_mutex_unlock(&self.core.state_lock)

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self):
        cdef Core* core = self.alive()
        with nogil:
            run_loop(core)

    def stop(self):
        cdef Core* core = self.alive()
        cdef uint64_t one = 1
        core.stopping = 1
        write(core.command_descriptor, &one, 8)

    def step(self, int64_t now_ns):
        cdef Core* core = self.alive()
        cdef int64_t due
        if core.running:
            raise RuntimeError("step() and run() exclude each other")
        self.look()
        if core.now_ns == 0:
            core.wheel_time = now_ns // 32000000
        if now_ns > core.now_ns:
            core.now_ns = now_ns
        with nogil:
            tick(core)
        due = next_due(core)
        self.leave()
        if due == 0:
            return -1
        return max(0, due - core.now_ns)

    def drain(self):
        cdef Core* core = self.alive()
        cdef Buffer taken
        cdef uint64_t count
        read(core.event_descriptor, &count, 8)
        pthread_mutex_lock(&core.mail_lock)
        taken = core.mail_shared
        core.mail_shared = core.mail_spare
        core.mail_shared.size = 0
        memset(&core.mail_spare, 0, sizeof(Buffer))
        pthread_mutex_unlock(&core.mail_lock)
        try:
            return decode(&taken)
        finally:
            pthread_mutex_lock(&core.mail_lock)
            if core.mail_spare.data == NULL and taken.capacity <= 1 << 20:
                core.mail_spare = taken
                taken.data = NULL
            pthread_mutex_unlock(&core.mail_lock)
            free(taken.data)

    def destroy(self):
        if self.core != NULL and self.core.running:
            raise RuntimeError("stop() the engine and wait for run() to return before destroy()")
        self.release()

    cdef int simple(self, int op, uint64_t a, int64_t b=0) except -1:
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = op
        command.a = a
        command.b = b
        self.push(&command, None)
        return 0
