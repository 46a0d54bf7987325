"""The store that nsc wrote: we list, validate and edit it (spec operator-cli checklist 6, 7, 29)."""

import json
import re
from pathlib import Path
from typing import Any

