# cython: language_level=3
"""The engine's state as C structs, and who owns what.

Everything hangs off one ``Core``, which only the engine's thread touches while it holds ``state_lock`` (a tick). A
``Link`` owns its stash, its output chunks and its subscriptions. A ``Subscription`` is owned by its link (or by the
core, for the control plane's own) and referenced from the account's trie and from match entries. Nothing is freed
inside a tick: freed things go to a graveyard that is emptied at the tick's end, so that a delivery that closes a link
or ends a subscription half-way may go on reading.

Text lengths are uint32. ``_ns`` times are on the engine's clock. Allocations that are copied in 32-byte steps have
``SLACK`` bytes behind their end.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass

cdef enum:
    SLACK = 64
    CHUNK_CLASSES = 5
    BLOCK_STEP = 16
    BLOCK_CLASSES = 33          # blocks of up to 512 bytes
    READ_SIZE = 524288
    STASH_INLINE = 65536        # a longer remainder is parsed where it lies
    BIG_MESSAGE = 32768         # a longer incomplete message gets a buffer of exactly its size
    FLUSH_BYTES = 4194304       # a fan-out is flushed in pieces of about this size
    FLUSH_LINKS = 256           # a last message's fan-out is flushed after so many receivers
    TURN_BYTES = 8388608        # delivered for one link in one turn before others have theirs
    RUN_RECEIVERS = 8           # from so many on, deliveries of RUN_BYTES to one sid are composed once
    RUN_BYTES = 256
    RUN_ROOM = 1048576
    SHARE_RECEIVERS = 4         # from so many receivers on, a payload of SHARE_BYTES is not copied for each
    SHARE_BYTES = 8192          # below it, copying a payload that is in the cache costs less than a slice
    CACHE_SETS = 65536
    CACHE_SET_WORDS = 1024      # a bit for each set
    CACHE_WAYS = 4
    DOOR_BITS = 1048576         # of the doorkeeper's Bloom filter
    DOOR_KEYS = 262144          # it is emptied after so many
    GENERATIONS = 64
    WHEEL_SLOTS = 2048
    WHEEL_NS = 32000000
    VERDICTS = 4
    MAX_TOKENS = 2052           # a subject of max_control_line bytes cannot have more
    DENIED_PER_SECOND = 100
    SOFT_STALL_BYTES = 2097152  # a receiver that drains, but holds so much, slows its producers
    SOFT_RELEASE_BYTES = 524288
    SOFT_STALL_NS = 20000000
    HARD_STALL_NS = 10000000
    FREE_CHUNK_BYTES = 16777216     # kept per class for the next tick
    ORIGIN_BUCKETS = 256
    RETURNING_NS = 2000000000       # how long an answer to a mapped reply is awaited, and how new interest is
    TRACKED_SIZE = 28               # _R_.xxxxxx.yyyyyy.ssssssss.T: the reply of a sampled request

cdef enum:                          # why it matters to which client a reply is given
    NOTE_MAPPED = 1                 # a gateway mapped it
    NOTE_TRACKED = 2                # another server wants to know how long the answer took

cdef enum:
    KIND_CLIENT = 0
    KIND_ROUTE = 1
    KIND_GATEWAY = 2
    KIND_SYSTEM = 3
    KIND_LEAF = 4
    KINDS = 5

cdef enum:  # what a subscription's messages are given to
    RECEIVER_LINK = 0
    RECEIVER_MAILBOX = 1
    RECEIVER_SERVICE = 2        # a service import: messages become requests in another account
    RECEIVER_SHADOW = 3         # interest in another account for a subscription that a stream import feeds
    RECEIVER_ANSWERS = 4        # an exporting account's replies to requests: looked up among those pending
    RECEIVER_NOBODY = 5         # there only so that leaf nodes are told of it
    RECEIVER_SINK = 6           # room for stream sinks

cdef enum:                      # where a subscription's interest comes from, and so who is told of it
    HERE = 0                    # this node's
    BY_ROUTE = 1                # another node's of the cluster
    UNTOLD = 2                  # this node's, and its own affair: only leaf nodes are told
    BY_LEAF = 3                 # of a leaf node whose hub we are
    BY_HUB = 4                  # of our hub
    BY_GATEWAY = 5              # of another cluster
    KINDS_OF_INTEREST = 6

cdef enum:                      # to which servers a message goes, by where it came from (leafnodes section 9.1)
    TO_ROUTES = 1 << 1          # bits by the names above
    TO_LEAFS = 1 << 3
    TO_HUBS = 1 << 4
    TO_GATEWAYS = 1 << 5
    TO_ALL = TO_ROUTES | TO_LEAFS | TO_HUBS | TO_GATEWAYS

cdef enum:                      # what is known of an account on an outbound gateway (gateways section 7.3)
    GATEWAY_OPTIMISTIC = 0
    GATEWAY_NONE = 1            # A-
    GATEWAY_TRANSITIONING = 2
    GATEWAY_INTEREST_ONLY = 3

cdef enum:  # where a link stands
    STATE_NEW = 0               # nothing judged yet
    STATE_PARKED = 1            # the control plane has it
    STATE_OPEN = 2
    STATE_AWAIT_INFO = 3        # server peer: CONNECT done or not needed, its INFO is awaited
    STATE_CLOSING = 4           # logically closed: what is queued goes out, nothing is parsed
    STATE_LINGER = 5            # our side is shut down; the peer's bytes are read and thrown away
    STATE_DEAD = 6

cdef enum:  # flags that take a delivery off the short path
    SPECIAL_CLOSING = 1
    SPECIAL_NO_ECHO = 2
    SPECIAL_NO_HEADERS = 4
    SPECIAL_RESPONSES = 8
    SPECIAL_BACKLOG = 16
    SPECIAL_TRACE = 32

cdef enum:  # what an entry has beyond receivers
    ENTRY_MAPPED = 1
    ENTRY_SHADOWS = 2
    ENTRY_CALLS = 4
    ENTRY_ANSWERS = 8           # may be a reply to a request through an import
    ENTRY_GATEWAYS = 16         # other clusters are among the receivers

cdef enum:  # parts of a program, as in kinds.py
    PART_LITERAL = 0
    PART_WILDCARD = 1
    PART_PARTITION = 2
    PART_RANDOM = 3
    PART_SPLIT = 4
    PART_SPLIT_FROM_LEFT = 5
    PART_SPLIT_FROM_RIGHT = 6
    PART_SLICE_FROM_LEFT = 7
    PART_SLICE_FROM_RIGHT = 8
    PART_LEFT = 9
    PART_RIGHT = 10
    PART_TAIL = 11

cdef enum:
    RESPONSE_SINGLETON = 0
    RESPONSE_STREAM = 1
    RESPONSE_CHUNKED = 2

cdef enum:
    CALLS_DEEP = 16             # imports of imports a message may pass
    PENDING_MAX = 1048576       # requests through imports that wait for an answer; beyond it the import's oldest goes

cdef enum:
    ACTION_PUBLISH = 0
    ACTION_REPLY = 1
    ACTION_SUBSCRIBE = 2

cdef enum:
    CLIENT_CLOSED = 1
    AUTHENTICATION_TIMEOUT = 2
    AUTHENTICATION_VIOLATION = 3
    SLOW_CONSUMER_PENDING_BYTES = 5
    SLOW_CONSUMER_WRITE_DEADLINE = 6
    WRITE_ERROR = 7
    READ_ERROR = 8
    PARSE_ERROR = 9
    STALE_CONNECTION = 10
    PROTOCOL_VIOLATION = 11
    MAX_CONNECTIONS_EXCEEDED = 14
    MAX_PAYLOAD_EXCEEDED = 16
    MAX_CONTROL_LINE_EXCEEDED = 17
    MAX_SUBSCRIPTIONS_EXCEEDED = 18
    SERVER_SHUTDOWN = 21

cdef enum:  # records in the mailbox, decoded in core.pyx
    EVENT_OPENED = 1
    EVENT_HELLO = 2
    EVENT_PEER_INFO = 3
    EVENT_PEER_ERROR = 4
    EVENT_PONG = 5
    EVENT_CLOSED = 6
    EVENT_DENIED = 7
    EVENT_MESSAGE = 8
    EVENT_OUTPUT = 9
    EVENT_TRACE = 10
    EVENT_ACCOUNT_SEEN = 11
    EVENT_LATENCY = 12
    EVENT_SERVED = 13

cdef struct Core
cdef struct Link
cdef struct Account
cdef struct Subscription
cdef struct Terminal
cdef struct Group
cdef struct Entry
cdef struct Import
cdef struct Mapping
cdef struct Message
cdef struct Pending
cdef struct Extra

cdef struct Buffer:             # a growable run of bytes
    char* data
    size_t size
    size_t capacity

cdef struct Chunk:              # output bytes a link owns; the data follows the struct
    Chunk* next
    uint32_t start
    uint32_t end
    uint32_t capacity
    uint32_t size_class         # CHUNK_CLASSES: not from a free list
    uint8_t packed              # goes out as it is, also on a link that compresses

cdef struct Unpacker:           # an S2 stream being read: what of a chunk is here
    Buffer held
    uint8_t begun               # the identifier was met

cdef struct Pattern:            # an entry of a permission list
    char* subject
    uint32_t subject_size
    char* queue
    uint32_t queue_size
    uint8_t wildcard

cdef struct PatternList:
    Pattern* entries
    uint32_t count
    uint8_t present             # an absent list is not an empty one

cdef struct Permission:
    uint32_t id
    uint32_t links              # that use it
    uint8_t removed
    PatternList publish_allow
    PatternList publish_deny
    PatternList subscribe_allow
    PatternList subscribe_deny
    int64_t response_max        # 0: no allow_responses
    int64_t response_ttl_ns

cdef struct Reply:              # a reply subject a link may publish to
    Reply* next
    uint64_t hash
    int64_t expires_ns
    int64_t left                # < 0: unlimited
    uint32_t size

cdef struct Replies:
    Reply** buckets
    uint32_t mask
    uint32_t count
    uint32_t added              # since the last prune
    int64_t pruned_ns

cdef struct Listener:
    uint32_t id
    int descriptor
    uint8_t kind
    uint8_t has_nonce
    uint8_t info_first          # an INFO may come before CONNECT
    int64_t auth_timeout_ns
    char* info                  # pieces: type byte, uint32 size, bytes
    uint32_t info_size
    int64_t paused_until_ns     # after accept failed for want of descriptors

cdef struct Origin:             # a leaf cluster's name, which follows the struct
    Origin* next
    uint32_t number
    uint32_t size

cdef struct Refused:            # a subject a gateway does not want, in optimistic mode; its text follows the struct
    Refused* next
    uint64_t hash
    uint32_t size

cdef struct GatewayAccount:     # what an outbound gateway wants of an account
    Account* account
    uint8_t mode
    Subscription* everything    # stands for all plain interest in optimistic mode; NULL: nothing is sent
    Refused** refused           # buckets, but for what stands here
    uint32_t refused_mask
    uint32_t refused_count
    GatewayAccount* next

cdef struct RouteState:         # what only a joined server link has
    uint8_t joined
    uint8_t pooled
    uint8_t headers
    uint8_t leaf_origin
    uint8_t leaf_origin_unsubscribe
    uint8_t spoke               # leaf: the peer is our hub
    uint8_t isolated            # leaf: is not told of other leafs
    uint8_t outbound            # gateway: we solicited it, messages go there
    uint8_t optimistic          # gateway: wants everything until it says no
    uint32_t origin             # leaf: number of the peer's cluster
    int32_t node
    int32_t pool_index
    Account* dedicated          # a leaf's account is, too: lines do not name it
    Account* last_account       # of the last RMSG, with its name's text in the account
    uint64_t sent               # sequence of the message that last went there
    char peer_hash[8]           # six characters: route: of its server id, gateway: of its cluster's name
    char* remote_account        # leaf: what the account is called there
    uint32_t remote_account_size
    GatewayAccount** gateway_accounts   # buckets
    uint32_t gateway_accounts_mask
    uint32_t gateway_accounts_count
    Group** picked              # scratch: queue groups chosen for the message being sent
    uint32_t picked_count
    uint32_t picked_capacity

cdef struct Link:
    # Read on every delivery: kept together at the front.
    uint8_t special             # SPECIAL_ flags
    uint8_t kind
    uint8_t state
    uint8_t dirty
    uint32_t last_slot          # match cache slot of the last published subject
    Account* account
    Chunk* out_head
    Chunk* out_tail
    uint64_t pending            # output bytes not yet written
    uint64_t in_messages
    uint64_t out_messages
    uint64_t in_bytes
    uint64_t out_bytes
    Link* dirty_next
    uint64_t mark               # sequence of the message that last chose this link
    Permission* permission
    # Input.
    char* stash                 # received and not yet parsed
    uint32_t stash_size
    uint32_t stash_capacity
    char* big                   # a long message being received
    uint32_t big_size
    uint32_t big_need
    # Output.
    uint8_t out_class           # class of the next chunk
    uint8_t blocked             # the socket takes no more: wait for EPOLLOUT
    uint8_t soft_stall_off      # it does not drain: producers are not slowed for it before the hard limit
    uint8_t sharing             # holds slices into the read buffer
    iovec* slices
    uint32_t slices_count
    uint32_t slices_capacity
    Chunk* sliced_chunk         # slices cover the chunks up to here
    uint32_t sliced_end
    uint64_t backlog            # its part of core.backlog_total
    int64_t blocked_since_ns
    uint64_t written_total
    uint64_t stall_mark         # written_total of the receiver when this link began to wait for it
    # Life.
    uint64_t id
    int descriptor
    uint8_t verbose
    uint8_t pedantic
    uint8_t echo
    uint8_t headers
    uint8_t no_responders
    uint8_t connect_seen
    uint8_t judged_connect      # the pending verdict is about a CONNECT
    uint8_t first_pong
    uint8_t info_sent           # what it was admitted as: told once
    uint8_t returning           # NOTE_ flags of the replies it was given
    uint8_t resume_state        # of a parked server link
    uint8_t readable
    uint8_t ready               # in the ready queue
    uint8_t end_of_file
    uint8_t hang_up             # the peer has ended its side: read until the end shows
    uint8_t stalled
    uint8_t reason
    uint8_t flush_on_close
    uint8_t memory
    uint8_t has_nonce
    uint8_t counted             # in core.clients
    uint8_t ping_pending        # RTT of an outstanding PING is measured
    uint8_t more                # parsing stopped before the input did
    uint8_t stash_ready         # the stash may hold whole operations
    uint8_t pack_level          # compress what is written so hard; 0: not at all
    uint8_t held                # memory link: acts as if its socket took no more
    uint16_t port
    Listener* listener
    Link* ready_next
    Link* stall_next
    int64_t stall_until_ns
    Link* stalled_by
    uint32_t stalls
    int64_t max_payload         # effective, for this link
    int64_t max_subscriptions   # -1: the server's
    Unpacker* unpacker          # what is read is compressed
    Subscription* subscriptions
    uint32_t subscription_count
    Pending* asked              # its requests through imports that wait
    Subscription** sid_table    # NULL while there are few
    uint32_t sid_mask
    Replies* replies
    RouteState* route
    char* info_after_pong
    uint32_t info_after_pong_size
    char nonce[16]
    # Timers.
    Link* wheel_next
    Link* wheel_previous
    int32_t wheel_slot          # -1: in none
    uint8_t pings_out
    int64_t ping_at_ns
    int64_t ping_sent_ns
    int64_t auth_until_ns
    int64_t expire_at_ns
    int64_t linger_until_ns
    int64_t rtt_ns
    int64_t last_activity_ns    # any bytes
    int64_t last_data_ns        # data or PING: what makes a ping unnecessary
    int64_t rtt_measured_ns
    char* expire_error
    uint8_t expire_reason
    char* error_sent
    char* described             # what shared requests say of it: JSON before and after the RTT's number
    uint32_t described_front
    uint32_t described_size
    # Tables.
    Link* id_next
    Link* all_next
    Link* all_previous
    Link* doom_next
    uint8_t doomed              # in core.doomed
    Link* grave_next

cdef struct Subscription:
    Link* link                  # NULL: the control plane's own
    uint8_t receiver
    uint8_t closed
    uint8_t remote              # HERE, BY_ROUTE, ...
    uint8_t everything          # a gateway's in optimistic mode
    uint16_t sid_size           # for links: of " sid", blank included
    uint32_t weight
    uint32_t origin             # number of the leaf cluster it is from; 0: no leaf's
    int64_t made_ns
    uint64_t delivered
    uint64_t max
    Account* account
    Terminal* terminal
    Group* group                # NULL: plain
    uint32_t position           # in the terminal's or group's array
    uint32_t sid_hash
    uint64_t handle             # of the control plane's own
    Subscription* previous
    Subscription* next
    Subscription* sid_next
    Import* target              # of a service import or a shadow
    Subscription* shadow_of
    Subscription* shadows       # of this one, in other accounts
    Subscription* shadow_next

cdef struct TrieNode:
    TrieNode* parent
    TrieNode* star
    TrieNode* tail
    Terminal* terminal
    uint64_t hash               # of a literal token
    uint32_t id
    uint32_t children           # literal ones
    uint32_t token_size         # the token follows the struct

cdef struct Terminal:           # a subject with subscriptions; its text follows the struct
    TrieNode* node
    Terminal* previous
    Terminal* next
    Subscription** plain
    Subscription* only          # where plain points while there is one
    uint32_t plain_count
    uint32_t plain_capacity
    uint32_t local_plain        # this node's: what is announced to routes
    uint32_t leaf_plain         # of leaf nodes below
    uint32_t cluster_plain      # both and what routes announced: what gateways are told
    Group* groups
    uint32_t subject_size

cdef struct Group:              # a queue group on one subject; its name follows the struct
    Group* next
    Terminal* terminal
    Subscription** members
    Subscription* only          # where members points while there is one
    uint32_t count
    uint32_t capacity
    uint32_t local_members
    uint32_t leaf_members
    uint32_t cluster_members
    uint32_t name_size

cdef struct Account:
    uint32_t id
    uint32_t name_size
    char* name
    uint32_t pool_hash          # FNV-1a of the name
    uint8_t dedicated
    uint8_t removed
    uint8_t placeholder
    uint8_t system              # $NRG. may be published to
    uint32_t links
    TrieNode* root
    uint64_t* slots             # of literal nodes: address and some of the hash
    uint64_t seed               # of the hashes
    uint32_t slot_mask
    uint32_t node_count
    uint32_t next_node_id
    Terminal* terminals
    Terminal* terminals_last
    uint32_t generation         # bumped by changes that touch entries unknown
    uint32_t generations[GENERATIONS]   # the same, by the first token's hash
    uint64_t in_messages
    uint64_t out_messages
    uint64_t in_bytes
    uint64_t out_bytes
    uint32_t local_subscriptions
    uint32_t remote_subscriptions
    uint64_t slow_consumers
    Link** routes               # where interest is announced
    uint32_t routes_count
    uint32_t routes_capacity
    Link** leafs                # leaf links of the account, in both roles
    uint32_t leafs_count
    uint32_t leafs_capacity
    int64_t subscribed_ns       # when somebody here last subscribed
    Account* name_next
    char* quoted                # the name in JSON
    uint32_t quoted_size
    Mapping* mappings           # literal sources first
    Import* streams             # stream imports of this account
    Import* imports             # all of them
    Subscription* answers       # interest in the answers to requests through imports from it; NULL: none asked yet
    char answer_prefix[16]      # "_R_.xxxxxx.>"

cdef struct MatchGroup:
    Group* name_of              # a group that carries the name
    Subscription** members      # local ones, other nodes', leaf nodes', other clusters'
    uint32_t local_count
    uint32_t near_count         # the first two
    uint32_t own_count          # the first three
    uint32_t count
    uint64_t weight             # of the near ones

cdef struct Part:
    uint32_t kind
    uint32_t text_size
    char* text
    int64_t* numbers
    uint32_t numbers_count

cdef struct Program:            # makes a subject from a literal one that matches its source; one block of memory
    uint32_t count              # 0: the message is dropped
    uint8_t by_chance           # another result each time
    int32_t tail                # the source's token that is ``>``; -1: none
    uint32_t stars_count
    uint32_t* stars             # which tokens of the source are ``*``
    Part* parts

cdef struct MapTarget:
    uint32_t until              # a pick in 0 .. 99 below this falls here
    Program* program

cdef struct Mapping:
    Mapping* next
    Subscription* told          # makes the source known to leaf nodes
    char* source
    uint32_t source_size
    uint8_t literal
    uint32_t count
    MapTarget* targets

cdef struct Import:             # of one account from another
    uint32_t id
    uint8_t service             # else a stream
    uint8_t removed
    uint8_t share
    uint8_t response
    int32_t sampling            # -1 none, 0 by headers, else percent
    int64_t threshold_ns
    Account* account            # the importer
    Account* exporter
    char* local                 # pattern in the importer
    uint32_t local_size
    char* subject               # stream: pattern in the exporter
    uint32_t subject_size
    Program* program            # service: local to exporter's; stream: exporter's to local
    Subscription* subscription  # service: its place in the importer's trie
    Import* next                # in account.imports
    Import* stream_next
    Pending* oldest             # requests that wait, by last activity
    Pending* newest
    Import* busy_next           # in core.busy while requests wait
    uint8_t busy
    Buffer info                 # the header block of the last request without headers of its own, for
    uint64_t info_link          # this link at
    int64_t info_rtt_ns         # this RTT, and with
    uint64_t info_descriptions  # core.descriptions being this
    uint64_t stamp              # of the entry being built, which has its text at ``text``
    uint32_t text
    uint32_t text_size

cdef struct Pending:            # a request through an import that may be answered; its texts follow the struct
    Pending* next
    Pending* older
    Pending* newer
    Import* of
    Account* account            # in which the answer is published
    Account* to                 # in which the requestor waits
    uint64_t hash
    int64_t active_ns
    int64_t started_ns
    uint64_t requestor
    int64_t requestor_rtt_ns
    Link* link                  # the requestor, while it is there
    Pending* link_previous
    Pending* link_next
    uint8_t sampled
    uint32_t name_size          # _R_.xxxxxx.yyyyyy, or TRACKED_SIZE
    uint32_t reply_size         # the requestor's
    uint32_t headers_size       # those that triggered the sample

cdef struct ShadowMatch:        # a subscription in another account, and what the subject is called there
    Subscription* shadow
    char* subject
    uint32_t subject_size

cdef struct LeafShadow:
    Subscription* of
    uint32_t subject            # where it stands in core.leaf_subjects
    uint32_t subject_size

cdef struct CallMatch:
    Import* of
    char* subject               # in the exporter
    uint32_t subject_size
    uint32_t slot               # where its entry was last time

cdef struct MapMatch:
    uint32_t until
    uint8_t keep                # the subject stays
    uint8_t drop
    Program* program            # by chance; NULL: the subject is below
    char* subject
    uint32_t subject_size
    uint32_t slot

cdef struct Extra:              # one block of memory, texts included
    ShadowMatch* shadows
    uint32_t shadow_count
    CallMatch* calls
    uint32_t call_count
    MapMatch* maps
    uint32_t map_count

cdef struct CacheSet:           # one cache line: the tags are compared before an entry is touched
    uint32_t tag[CACHE_WAYS]
    Entry* entry[CACHE_WAYS]
    uint64_t unused[2]

cdef struct Entry:              # who gets a subject; the subject's text follows the struct's arrays
    # What every message reads: one cache line.
    Account* account
    uint64_t hash
    char* subject
    Subscription** plain
    uint32_t generation
    uint32_t slot_generation
    uint32_t slot
    uint32_t subject_size
    uint32_t plain_count
    uint32_t remote_count
    uint32_t group_count
    uint8_t invalid
    uint8_t reserved            # a publish prefix no client may use
    uint8_t unmatched           # an empty token: nothing matches
    uint8_t special             # ENTRY_ flags
    # The rest.
    uint8_t verdict_next
    uint32_t verdict_permission[VERDICTS]
    uint8_t verdict[VERDICTS]
    Subscription** remote
    MatchGroup* groups
    Extra* extra                # what the flags in ``special`` stand for; NULL: none
    Entry* grave_next

cdef struct Message:            # a message on its way, as views into the read buffer
    Link* source                # NULL: the control plane
    Account* account
    char* subject
    uint32_t subject_size
    char* reply
    uint32_t reply_size
    uint32_t header_size        # 0: none
    uint32_t total_size         # headers and payload
    char* body                  # total_size bytes and CR LF
    char* front                 # the headers, where they do not stand before the payload; then body is the payload
    uint32_t front_size         # 0: they do, or there are none
    uint8_t apart               # it has a front, or had one: the line is only put together when somebody needs it
    char* head                  # "MSG subject" or "HMSG subject"
    uint32_t head_size
    char* tail                  # " [reply] [header size] size CR LF"
    uint32_t tail_size
    uint8_t joined              # tail and body are one run of bytes
    uint8_t audience            # TO_ flags
    uint8_t named               # only the groups in ``queues`` are served
    uint8_t fresh               # did who waits for the answer subscribe just now? 0: not looked yet, 1 yes, 2 no
    uint32_t origin             # number of the leaf cluster it came from; 0: none
    char* queues                # from a server: the names in the line
    uint32_t queues_size
    char* wire_subject          # what other servers are told in place of what is shown; NULL: the same
    uint32_t wire_subject_size
    uint32_t wire_reply_size    # the reply goes on behind what is shown of it
    char* mapped_reply          # the reply as a gateway mapped it; ``reply`` is what clients see
    uint32_t mapped_reply_size  # 0: it is not mapped
    uint8_t noted               # NOTE_ flags of its reply
    uint8_t share               # receivers may hold the body by reference
    char* run                   # the whole delivery, composed once for receivers of one sid; NULL: none
    uint32_t run_size
    Subscription* run_sid       # whose sid that is
    uint8_t last                # nothing else of its link is waiting to be parsed
    uint32_t delivered
    Message* asked_by           # the message that an import turned into this one
    Import* via

cdef struct Command:
    uint32_t op
    uint64_t a
    int64_t b
    int64_t c
    int64_t d
    int64_t e
    int64_t f
    void* pointer
    char* blob
    uint32_t size[3]

cdef struct Mail:               # a record for the control plane; the texts follow, padded to eight bytes
    uint32_t kind
    uint32_t size[4]
    uint32_t unused
    int64_t number[10]

cdef struct Patience:           # with links of a kind
    int64_t ping_interval_ns
    int64_t ping_max            # so many may be unanswered
    int64_t write_deadline_ns   # so long it may take nothing of what it is sent
    int64_t retry_writes        # it stays while it takes anything

cdef struct Configuration:
    Patience patience[KINDS]
    int64_t max_connections
    int64_t max_control_line
    int64_t max_payload
    int64_t max_pending
    int64_t max_subscriptions
    int64_t max_subscription_tokens
    int64_t pending_budget
    int64_t mailbox_limit
    int64_t route_pool_size
    int64_t fast_producer_stall
    int64_t placeholder_accounts
    int64_t literal_wildcards
    int64_t trace

cdef struct Returning:          # a reply that a gateway mapped, and was given to a client; both texts follow the struct
    Returning* next
    Returning* newer
    uint64_t link
    uint64_t hash
    int64_t until_ns
    uint32_t size
    uint32_t mapped_size

cdef struct Tracked:            # a reply given to a client, of a request that another server samples
    Tracked* next
    Tracked* older
    Tracked* newer
    uint64_t link
    uint64_t hash
    int64_t given_ns
    char name[TRACKED_SIZE]

cdef struct Core:
    Configuration configuration
    int64_t now_ns
    uint64_t random
    uint8_t deterministic
    uint8_t running
    uint8_t stopping
    int poll_descriptor
    int command_descriptor      # Python wakes the engine
    int event_descriptor        # the engine wakes Python
    # Shared with Python's thread.
    pthread_mutex_t state_lock
    pthread_mutex_t command_lock
    pthread_mutex_t mail_lock
    int32_t lookers             # threads that wait for state_lock
    uint64_t next_link_id
    uint32_t next_account_id
    Command* commands
    uint32_t commands_count
    uint32_t commands_capacity
    Command* commands_taken
    uint32_t commands_taken_capacity
    Buffer mail_shared
    # The engine's own.
    Buffer mail
    Buffer mail_spare
    Link** link_table
    uint32_t link_mask
    uint32_t link_count
    Link* all_links
    Buffer routes               # links to other nodes that have joined
    Buffer inbounds             # gateways that are told of interest
    Buffer outbounds            # gateways that messages go to
    char* gateway_name
    uint32_t gateway_name_size
    char gateway_prefix[24]     # _GR_.cccccc.ssssss. of this node
    uint8_t has_gateways
    Returning** returnings
    Returning* oldest_returning
    Returning* newest_returning
    uint32_t returnings_count
    char latency_suffix[16]     # .ssssssss.T of this node; empty: it measures nothing together with others
    Tracked** trackeds
    Tracked* oldest_tracked
    Tracked* newest_tracked
    uint32_t trackeds_count
    Buffer returned             # a subject on its way back
    Buffer origins              # leaf clusters, by number from 1
    Origin* origin_buckets[ORIGIN_BUCKETS]
    int64_t clients
    Account** accounts
    uint32_t accounts_count
    uint32_t accounts_capacity
    Account** account_names
    Buffer husks                # removed accounts that match entries may still point at
    uint32_t account_names_mask
    Listener** listeners
    uint32_t listeners_capacity
    uint32_t listeners_paused
    Permission** permissions
    uint32_t permissions_capacity
    Subscription** own
    uint32_t own_capacity
    CacheSet* cache
    uint64_t cache_filled[CACHE_SET_WORDS]   # a bit for each set that ever had an entry
    uint64_t hash_seed
    uint64_t* doorkeeper
    uint32_t door_keys
    Buffer scratch_terminals    # vectors of pointers while an entry is built
    Buffer scratch_plain
    Buffer scratch_remote
    Buffer scratch_groups
    Buffer scratch_members
    Buffer scratch_shadows
    Buffer scratch_calls
    Buffer scratch_text
    Buffer line                 # scratch for composed lines
    Buffer shadow_line
    Buffer leaf_shadows         # LeafShadow: leaf nodes that stream imports feed with the message being delivered
    Buffer leaf_subjects        # what the subject is called there
    Buffer raw                  # output on its way to be compressed
    Buffer packed
    Buffer unpacked
    Buffer call_body[CALLS_DEEP]    # headers and payload of a request, one for each import passed
    Buffer mapped
    Import** imports
    uint32_t imports_capacity
    Pending** pendings
    uint32_t pendings_mask
    uint32_t pendings_count
    uint64_t descriptions       # how often a link was described
    uint64_t build              # number of the entry being built
    Import* busy                # imports with requests that wait
    int64_t pendings_due_ns
    Buffer line_other
    Chunk* free_chunks[CHUNK_CLASSES]
    uint32_t free_counts[CHUNK_CLASSES]
    Link* dirty_first
    Link* dirty_last
    uint32_t dirty_count
    uint64_t unflushed
    uint64_t turn_delivered
    uint8_t sharing             # some link holds slices
    char* run_buffer            # deliveries composed since the last flush of everything
    uint32_t run_used
    uint8_t stall_source        # a receiver of this turn is backlogged
    Link* stall_receiver
    Link* ready_first
    Link* ready_last
    Link* stalled
    char* read_buffer
    uint64_t message_sequence
    Link* doomed                # closed logically, not yet taken apart
    Link* grave_links
    Buffer grave_blocks
    Buffer grave_plain          # other freed memory
    void* free_blocks[BLOCK_CLASSES]
    void* block_chunks          # the last one; each begins with the one before
    char* block_next
    char* block_end
    uint32_t block_chunk_size
    Entry* grave_entries
    Link* wheel[WHEEL_SLOTS]
    int64_t wheel_time
    uint32_t wheel_count
    uint64_t backlog_total
    uint64_t own_subscription
    int64_t denied_second
    uint32_t denied_in_second
    uint32_t denied_skipped
    int64_t seen_second         # the same for accounts nobody knows
    uint32_t seen_in_second
    # Totals.
    uint64_t in_messages
    uint64_t out_messages
    uint64_t in_bytes
    uint64_t out_bytes
    uint64_t subscriptions
    uint64_t slow_consumers[5]
    uint64_t stalled_clients
    uint64_t mailbox_dropped
    uint64_t calls_dropped      # too deep, or their memory was not to be had
    uint64_t cache_entries
    uint64_t cache_hits
    uint64_t cache_misses
