"""Reaching a live mesh over its system account: accounts pushed, pulled and removed, and what the servers really have.

Everything here talks NATS (or HTTP, for an account server) as a client; nothing is imported from the node.
"""
