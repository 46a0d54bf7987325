"""What the node tells its operator: lines in nats-server's format (spec client-protocol section 26.2)."""
