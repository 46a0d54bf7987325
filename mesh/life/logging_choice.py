"""Which destination a log gets: file, then syslog, then standard error (spec configuration section 4.3)."""

from gossamer.mesh.life.run_files import FileTrouble
from gossamer.mesh.logs.file import LogFile
from gossamer.mesh.logs.log import Destination, Log, StandardError
from gossamer.mesh.logs.syslog import Syslog
from gossamer.mesh.options.options import LoggingOptions
from gossamer.mesh.world import World


def open_destination(options: LoggingOptions, world: World) -> Destination:
    """Raises FileTrouble when the file or the syslog cannot be opened."""
    if options.log_file:
        try:
            return LogFile(
                world.disk,
                world.clock,
                options.log_file,
                limit_bytes=options.log_size_limit,
                keep=options.log_max_num,
            )
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise FileTrouble(f"error opening file: {options.log_file}: {reason}; choose another with -l") from error
    if options.remote_syslog or options.syslog:
        try:
            return Syslog(options.remote_syslog)
        except (OSError, ValueError) as error:
            raise FileTrouble(f"error connecting to syslog: {error}; leave it out, or start syslog") from error
    return StandardError()


def make_log(options: LoggingOptions, world: World, pid: int) -> Log:
    """The log of a process. Raises FileTrouble."""
    return Log(
        world.clock,
        open_destination(options, world),
        pid=pid,
        debugging=options.debug,
        tracing=options.trace or options.trace_verbose or options.trace_headers,
        stamps=options.logtime,
        utc=options.logtime_utc,
    )


def change_log(log: Log, before: LoggingOptions, now: LoggingOptions, world: World) -> None:
    """Follow a reload. Raises FileTrouble, having changed nothing."""
    places = ("log_file", "syslog", "remote_syslog", "log_size_limit", "log_max_num")
    if any(getattr(before, name) != getattr(now, name) for name in places):
        log.redirect(open_destination(now, world))
    log.configure(
        debugging=now.debug,
        tracing=now.trace or now.trace_verbose or now.trace_headers,
        stamps=now.logtime,
        utc=now.logtime_utc,
    )
