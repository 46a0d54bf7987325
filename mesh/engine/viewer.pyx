# cython: language_level=3
"""Looking inside: plain numbers are copied out between two ticks, and Python objects are made of them afterwards, so
that the engine waits for a memory copy and not for Python.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from gossamer.mesh.engine.accounts cimport account_by_id
from gossamer.mesh.engine.handle cimport Handle
from gossamer.mesh.engine.inspection cimport (
    LinkView,
    gateway_details,
    link_statistics,
    subscription_details,
    view_gateway,
    view_link,
    view_subscription,
    view_terminal,
)
from gossamer.mesh.engine.links cimport link_find
from gossamer.mesh.engine.memory cimport buffer_add, buffer_free
from gossamer.mesh.engine.poller cimport monotonic_ns
from gossamer.mesh.engine.subject cimport tokenize
from gossamer.mesh.engine.trie cimport trie_match
from gossamer.mesh.engine.types cimport KIND_GATEWAY, MAX_TOKENS, Account, Buffer, Core, Link, Subscription, Terminal

from gossamer.mesh.engine.views import AccountStatistics, LinkStatistics, SubscriptionDetail, Totals  # no-cython-lint


cdef class Viewer(Handle):
    """What the core holds, for monitoring."""

    def totals(self):
        cdef Core* core = self.alive()
        cdef uint64_t in_messages = 0, out_messages = 0, in_bytes = 0, out_bytes = 0
        cdef uint32_t i
        cdef Account* account
        self.look()
        for i in range(core.accounts_count):
            account = core.accounts[i]
            if account != NULL:
                in_messages += account.in_messages
                out_messages += account.out_messages
                in_bytes += account.in_bytes
                out_bytes += account.out_bytes
        values = (
            in_messages, out_messages, in_bytes, out_bytes, core.link_count, core.subscriptions,
            (core.slow_consumers[0], core.slow_consumers[1], core.slow_consumers[2], core.slow_consumers[3],
             core.slow_consumers[4]),
            core.stalled_clients, core.backlog_total, core.mail_shared.size, core.mailbox_dropped,
            core.cache_entries, core.cache_hits, core.cache_misses, core.now_ns if not core.running else monotonic_ns(),
        )
        self.leave()
        return Totals(*values)

    def links(self):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef LinkView view
        cdef Link* link
        cdef size_t i
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            link = core.all_links
            while link != NULL:
                view_link(link, &view)
                buffer_add(&views, &view, sizeof(view))
                link = link.all_next
        self.leave()
        try:
            return [link_statistics(&(<LinkView*>views.data)[i]) for i in range(views.size // sizeof(view))]
        finally:
            buffer_free(&views)

    def link(self, uint64_t link):
        cdef Core* core = self.alive()
        cdef LinkView view
        cdef Link* found
        self.look()
        found = link_find(core, link)
        if found != NULL:
            view_link(found, &view)
        self.leave()
        return None if found == NULL else link_statistics(&view)

    def accounts(self):
        cdef Core* core = self.alive()
        cdef uint32_t i
        cdef Account* account
        cdef list found = []
        self.look()
        for i in range(core.accounts_count):
            account = core.accounts[i]
            if account != NULL:
                found.append((
                    account.id, PyBytes_FromStringAndSize(account.name, account.name_size), account.in_messages,
                    account.out_messages, account.in_bytes, account.out_bytes, account.local_subscriptions,
                    account.remote_subscriptions, account.slow_consumers,
                ))
        self.leave()
        return [AccountStatistics(*one) for one in found]

    def subscriptions(self, *, uint64_t link=0, uint32_t account=0, int64_t limit=1_000_000):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Link* of_link
        cdef Subscription* one
        cdef Terminal* terminal
        cdef uint32_t i
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            if link:
                of_link = link_find(core, link)
                one = of_link.subscriptions if of_link != NULL else NULL
                while one != NULL and limit > 0:
                    view_subscription(&views, one)
                    limit -= 1
                    one = one.next
            else:
                for i in range(core.accounts_count):
                    if core.accounts[i] == NULL or (account and account != i):
                        continue
                    terminal = core.accounts[i].terminals
                    while terminal != NULL and limit > 0:
                        view_terminal(&views, terminal, &limit)
                        terminal = terminal.next
        self.leave()
        try:
            return subscription_details(&views)
        finally:
            buffer_free(&views)

    def matches(self, uint32_t account, bytes subject):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Buffer terminals
        cdef Account* found
        cdef uint32_t starts[MAX_TOKENS]
        cdef uint32_t tokens = tokenize(subject, len(subject), starts)
        cdef char* text = subject
        cdef uint32_t i
        cdef int64_t room = 1_000_000
        memset(&views, 0, sizeof(views))
        memset(&terminals, 0, sizeof(terminals))
        if tokens == 0:
            return []
        self.look()
        with nogil:
            found = account_by_id(core, account)
            if found != NULL:
                trie_match(found, text, starts, tokens, &terminals)
                for i in range(<uint32_t>(terminals.size // sizeof(void*))):
                    view_terminal(&views, (<Terminal**>terminals.data)[i], &room)
        self.leave()
        try:
            return subscription_details(&views)
        finally:
            buffer_free(&views)
            buffer_free(&terminals)

    def gateway_accounts(self, uint64_t link):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Link* found
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            found = link_find(core, link)
            if found != NULL and found.kind == KIND_GATEWAY and found.route != NULL:
                view_gateway(core, found, &views)
        self.leave()
        try:
            return gateway_details(&views)
        finally:
            buffer_free(&views)
