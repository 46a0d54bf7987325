"""Builds the load generator into ``build/bench``: it belongs to the benchmark, not to the wheel."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "bench" / "load.pyx"
PLACE = ROOT / "build" / "bench"


def build() -> Path:
    """Compile ``load.pyx`` if it is newer than what was built; return the folder to import it from."""
    built = sorted(PLACE.glob("load.cpython-*.so"))
    if built and built[0].stat().st_mtime >= SOURCE.stat().st_mtime:
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
                Extension(
                    "load", ["bench/load.pyx"], extra_compile_args=["-O3", "-Wno-unused-function", "-Wno-sign-compare"]
                )
            ],
            build_dir=str(PLACE / "c"),
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
