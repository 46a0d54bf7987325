"""Auth callout: a service decides who may come in (spec auth section 25).

``scope`` says who is asked about, ``request`` makes the question's token, ``answer`` judges what comes back. All of it
is values; publishing and waiting is the node's (``gossamer.mesh.peers.callout``).
"""
