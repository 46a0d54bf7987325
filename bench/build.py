"""Builds the load generator into ``build/bench``: it belongs to the benchmark, not to the wheel."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
PLACE = ROOT / "build" / "bench"
MODULES = ("connections", "traffic", "load")
FLAGS = ["-O3", "-Wno-unused-function", "-Wno-sign-compare"]


def build() -> Path:
    """Compile the modules if a source is newer than what was built; return the folder to import them from."""
    sources = [path for kind in ("*.pyx", "*.pxd", "*.h") for path in BENCH.glob(kind)]
    built = [path for name in MODULES for path in PLACE.glob(f"{name}.cpython-*.so")]
    newest = max(source.stat().st_mtime for source in sources)
    if len(built) >= len(MODULES) and min(path.stat().st_mtime for path in built) >= newest:
        return PLACE
    # Imported here: a run with a generator that is built needs neither.
    from Cython.Build import cythonize
    from setuptools import Extension, setup

    PLACE.mkdir(parents=True, exist_ok=True)
    back = Path.cwd()
    os.chdir(ROOT)
    try:
        modules = cythonize(  # type: ignore[no-untyped-call]
            [
                Extension(name, [f"bench/{name}.pyx"], include_dirs=[str(BENCH)], extra_compile_args=FLAGS)
                for name in MODULES
            ],
            build_dir=str(PLACE / "c"),
            include_path=[str(BENCH)],
            quiet=True,
        )
        arguments = ["--quiet", "build_ext", "--force", "--build-lib", str(PLACE), "--build-temp", str(PLACE / "o")]
        setup(name="bench-load", script_args=arguments, ext_modules=modules, packages=[], py_modules=[])
    finally:
        os.chdir(back)
    return PLACE


if __name__ == "__main__":
    build()
    print("built", file=sys.stderr)
