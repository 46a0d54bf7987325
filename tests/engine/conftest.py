"""Makes this folder's own modules (``memory_node``, ``comparison``) importable: tests are no package here."""

import sys
from pathlib import Path

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
