"""The root page: links to the documents."""

from gossamer.mesh.version import NATS_VERSION, VERSION

_LINKS = (
    ("varz", "General"),
    ("connz", "Connections"),
    ("subsz", "Subscriptions"),
    ("routez", "Routes"),
    ("accountz", "Accounts"),
    ("accstatz", "Accounts in figures"),
    ("gatewayz", "Gateways"),
    ("leafz", "Leaf nodes"),
    ("healthz", "Health probe"),
    ("reasons", "Denials and refusals, and why"),
    ("metrics", "Prometheus metrics"),
)


def index(base_path: str) -> str:
    """HTML. The links are relative to the page, which stands at the base path itself."""
    last = base_path.rstrip("/").rpartition("/")[2]
    here = f"./{last}/" if last else "./"
    items = "\n".join(f'<li><a href="{here}{path}">{title}</a> <code>/{path}</code></li>' for path, title in _LINKS)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Gossamer {VERSION}</title></head>\n'
        f"<body>\n<h1>Gossamer {VERSION}</h1>\n<p>NATS {NATS_VERSION}</p>\n<ul>\n{items}\n</ul>\n</body>\n</html>\n"
    )
