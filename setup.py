"""Build glue: the import-shaped tree of links, the package list and the extension modules.

The three source folders install as ``gossamer.mesh``, ``gossamer.auth`` and ``gossamer.operator``. Cython, mypy and a
run without any install need a folder that is shaped like these names: ``build/tree`` is that folder, made of links.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
PARTS = ("mesh", "auth", "operator")
TREE = ROOT / "build" / "tree"

# GOSSAMER_SANITIZE=1 builds the engine with AddressSanitizer and UndefinedBehaviorSanitizer (make asan).
SANITIZE = os.environ.get("GOSSAMER_SANITIZE") == "1"

# What Cython's output always has.
QUIET = ("-Wno-unused-function", "-Wno-unused-variable", "-Wno-sign-compare")


def import_tree() -> str:
    """Make the tree of links shaped like the import names and return its path."""
    home = TREE / "gossamer"
    home.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        link = home / part
        if not link.is_symlink():
            link.symlink_to(os.path.relpath(ROOT / part, home), target_is_directory=True)
    return str(TREE)


def packages() -> list[str]:
    """Every folder below the three parts (``operator`` has no ``__init__.py`` and needs the namespace finder), and the
    ready meshes, which are data."""
    found = find_namespace_packages(
        str(ROOT),
        include=[name for part in PARTS for name in (part, f"{part}.*")],
        exclude=["*.__pycache__", "*.__pycache__.*"],
    )
    meshes = [f"topologies.{path.parent.name}" for path in sorted((ROOT / "topologies").glob("*/topology.toml"))]
    return [f"gossamer.{name}" for name in (*found, "topologies", *meshes)]


def extensions() -> list[Extension]:
    """One extension module for each ``.pyx`` file, under its full dotted name."""
    compile_args = ["-O3", "-fno-semantic-interposition", *QUIET]
    link_args = []
    if SANITIZE:
        flags = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
        compile_args = ["-O1", "-g", *flags, "-fno-sanitize-recover=undefined"]
        link_args = flags
    made = []
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.pyx")):
            source = path.relative_to(ROOT)
            name = "gossamer." + ".".join(source.with_suffix("").parts)
            made.append(Extension(name, [str(source)], extra_compile_args=compile_args, extra_link_args=link_args))
    return made


os.chdir(ROOT)
if not sys.platform.startswith("linux"):
    raise SystemExit("gossamer: the data plane needs Linux (epoll, eventfd); other systems are not supported yet")

setup(
    packages=packages(),
    package_dir={f"gossamer.{part}": part for part in (*PARTS, "topologies")},
    ext_modules=cythonize(
        extensions(),
        include_path=[import_tree()],
        build_dir="build/c-asan" if SANITIZE else "build/c",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
            "freethreading_compatible": False,
        },
    ),
)
