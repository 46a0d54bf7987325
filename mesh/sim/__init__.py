"""Whole meshes in one process, in virtual time, broken on purpose: everything that happens follows from one seed.

The nodes are ``gossamer.mesh.node.Node`` with the compiled engine driven by ``step``; only what a node is handed from
outside is replaced: the event loop and its clock (``loop``, ``clock``), chance, the disk, and the network (``network``,
``wire``). A scenario (``scenarios``) is a short coroutine that builds a mesh (``mesh``), hurts it and says when it must
be whole; ``ledger`` judges every message, ``checks`` the interest of the nodes in each other.

``python -m gossamer.mesh.sim`` sweeps seeds; a failing one prints the command that replays it.
"""
