# cython: language_level=3
from gossamer.mesh.engine.types cimport Core

cdef enum:
    COMMAND_CONFIGURE = 1
    COMMAND_LISTEN = 2
    COMMAND_SET_INFO = 3
    COMMAND_CLOSE_LISTENER = 4
    COMMAND_ADOPT = 5
    COMMAND_FEED = 6
    COMMAND_HOLD = 7
    COMMAND_ADMIT = 8
    COMMAND_CHANGE = 9
    COMMAND_SEND = 10
    COMMAND_CLOSE = 11
    COMMAND_EXPIRE = 12
    COMMAND_PING = 13
    COMMAND_RESUME = 14
    COMMAND_ADMIT_ROUTE = 15
    COMMAND_JOIN_ROUTE = 16
    COMMAND_ACCOUNT = 17
    COMMAND_REMOVE_ACCOUNT = 18
    COMMAND_PERMISSION = 19
    COMMAND_REMOVE_PERMISSION = 20
    COMMAND_SUBSCRIBE = 21
    COMMAND_UNSUBSCRIBE = 22
    COMMAND_PUBLISH = 23
    COMMAND_MAPPING = 24
    COMMAND_IMPORT = 25
    COMMAND_REMOVE_IMPORT = 26
    COMMAND_DESCRIBE = 27
    COMMAND_COMPRESS = 28

cdef enum:
    ADMIT_VERBOSE = 1
    ADMIT_PEDANTIC = 2
    ADMIT_ECHO = 4
    ADMIT_HEADERS = 8
    ADMIT_NO_RESPONDERS = 16
    ADMIT_RESET = 32

cdef enum:
    CHANGE_KEEP = -2            # a limit that stays as it is

cdef enum:
    ROUTE_HEADERS = 1
    ROUTE_LEAF_ORIGIN = 2
    ROUTE_LEAF_ORIGIN_UNSUBSCRIBE = 4
    ROUTE_POOLED = 8

cdef enum:
    IMPORT_SERVICE = 1
    IMPORT_SHARE = 2            # the response type stands from bit 8 on

cdef enum:
    ACCOUNT_DEDICATED = 1
    ACCOUNT_SYSTEM = 2

cdef void commands_run(Core* core) noexcept nogil
