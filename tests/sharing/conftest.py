"""Servers in which accounts share, of both kinds, in both modes; this folder's own modules made importable."""

import sys
from pathlib import Path

import pytest

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from shapes import Place  # noqa: E402 (it stands in this folder)


@pytest.fixture(params=["config", "operator"])
def mode(request):
    """How accounts are known: by a configuration, or by JWTs."""
    return request.param


@pytest.fixture
def place(shared_server, dial, mode):
    """``place(shape)``: a server with these accounts, shared with other tests of the same shape."""
    return lambda shape: Place(shared_server(config=text_of(shape, mode)), shape, mode, dial)


def text_of(shape, mode):
    """The configuration of a shape, signed only once."""
    known = shape.__dict__.setdefault("texts", {})
    if mode not in known:
        known[mode] = shape.text(mode)
    return known[mode]
