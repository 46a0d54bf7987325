"""The data plane: links, parser, interest, permissions and delivery, compiled, in a thread of its own.

``core.pyi`` is the whole seam to the control plane; ``events.py`` is what comes back over it.
"""
