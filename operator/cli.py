"""The command ``gossamer``.

``serve``, ``check`` and ``up`` are handed their arguments raw before click is loaded: a node must start fast, and takes
nats-server's flags, which are not click's. Everything else is a click command, loaded when it is named.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

#: Sub-commands that parse for themselves: the module and the function ``(argv) -> exit code`` behind each.
DIRECT = {
    "serve": ("gossamer.mesh.app", "main"),
    "check": ("gossamer.mesh.app", "check_main"),
    "up": ("gossamer.operator.up", "main"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``gossamer ARGUMENTS`` and return the exit code (spec operator-cli section 10.3)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in DIRECT:
        return run_direct(arguments[0], arguments[1:])
    from gossamer.operator.commands.root import run

    return run(arguments)


def run_direct(name: str, arguments: list[str]) -> int:
    """Hand ``arguments`` to one of the sub-commands that parse for themselves."""
    module_name, function_name = DIRECT[name]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        print(f"[ERR ] gossamer {name} is not available yet", file=sys.stderr)
        return 1
    function: Callable[[list[str]], int] = getattr(module, function_name)
    return function(arguments)


if __name__ == "__main__":
    sys.exit(main())
