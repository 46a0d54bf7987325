"""The node as documents: nats-server's monitoring endpoints, and Prometheus metrics (spec system-and-monitoring).

One function makes one document from the node; ``site.py`` serves them over HTTP.
"""
