"""What ``--help`` and ``--help_tls`` print, from the option table."""

from gossamer.mesh.options.table import blocks, rows

# Group, then the flags of a line: the spellings are joined, the option's own words explain it.
_GROUPS: tuple[tuple[str, tuple[tuple[tuple[str, ...], str, str], ...]], ...] = (
    (
        "Server",
        (
            (("a", "addr", "net"), "<host>", ""),
            (("p", "port"), "<port>", ""),
            (("n", "name", "server_name"), "<server_name>", ""),
            (("P", "pid"), "<file>", ""),
            (("m", "http_port"), "<port>", ""),
            (("ms", "https_port"), "<port>", ""),
            (("c", "config"), "<file>", "Configuration file."),
            (("t",), "", "Test the configuration and exit."),
            (
                ("sl", "signal"),
                "<signal>[=<pid>]",
                "Send a signal to a running node (ldm, stop, quit, term, reopen, reload); "
                "<pid> is a process id or a file that holds one.",
            ),
            (("client_advertise",), "<string>", ""),
            (("ports_file_dir",), "<dir>", ""),
        ),
    ),
    (
        "Logging",
        (
            (("l", "log"), "<file>", ""),
            (("T", "logtime"), "", ""),
            (("logtime_utc",), "", ""),
            (("s", "syslog"), "", ""),
            (("r", "remote_syslog"), "<addr>", ""),
            (("D", "debug"), "", ""),
            (("V", "trace"), "", ""),
            (("VV",), "", "Log the protocol, the system account included."),
            (("DV",), "", "Debug and trace."),
            (("DVV",), "", "Debug and trace, the system account included."),
            (("log_size_limit",), "<limit>", ""),
            (("max_traced_msg_len",), "<len>", ""),
        ),
    ),
    ("JetStream", ((("js", "jetstream"), "", ""), (("sd", "store_dir"), "<dir>", ""))),
    (
        "Authorization",
        ((("user",), "<user>", ""), (("pass",), "<password>", ""), (("auth",), "<token>", "")),
    ),
    (
        "TLS",
        (
            (("tls",), "", ""),
            (("tlscert",), "<file>", ""),
            (("tlskey",), "<file>", ""),
            (("tlsverify",), "", ""),
            (("tlscacert",), "<file>", ""),
        ),
    ),
    (
        "Cluster",
        (
            (("routes",), "<url,url>", ""),
            (
                ("cluster", "cluster_listen"),
                "<url>",
                "Address for routes, and what they must say: nats://user:pass@host:port.",
            ),
            (("cluster_name",), "<string>", ""),
            (("no_advertise",), "", ""),
            (("cluster_advertise",), "<string>", ""),
            (("connect_retries",), "<number>", ""),
        ),
    ),
    ("Profiling", ((("profile",), "<port>", ""),)),
    (
        "Common",
        (
            (("h", "help"), "", "Show this message."),
            (("v", "version"), "", "Show the version."),
            (("help_tls",), "", "Show what can be said about TLS."),
        ),
    ),
)
_COLUMN = 38


def written(flag: str) -> str:
    """A flag with its dashes: one in front of a letter or two, two in front of a word."""
    return f"-{flag}" if len(flag) <= 2 or flag.isupper() else f"--{flag}"


def usage() -> str:
    """The text of ``--help``."""
    known = {flag: row for row in rows() for flag in row.flags}
    lines = ["", "Usage: nats-server [options]", ""]
    for title, flags in _GROUPS:
        lines.append(f"{title} Options:")
        for names, placeholder, text in flags:
            row = known.get(names[0])
            words = text or (row.doc if row is not None else "")
            if row is not None and row.waits_for is not None:
                words += " (not available yet)"
            head = ", ".join(written(name) for name in names)
            head = (
                f"    {head} {placeholder}".rstrip()
                if not written(names[0]).startswith("--")
                else f"        {head} {placeholder}".rstrip()
            )
            gap = " " * max(2, _COLUMN - len(head))
            lines.append(f"{head}{gap}{words}")
        lines.append("")
    return "\n".join(lines) + "\n"


def tls_text() -> str:
    """The text of ``--help_tls``."""
    lines = [
        "",
        "TLS configuration is specified in the tls section of a configuration file. It is not available yet.",
        "",
        "    tls {",
    ]
    for row in blocks()["tls"].rows:
        default = f" (default {row.default})" if row.default else ""
        lines.append(f"        {row.key + ':':34} # {row.type.name}: {row.doc}{default}")
    lines += ["    }", ""]
    return "\n".join(lines) + "\n"
