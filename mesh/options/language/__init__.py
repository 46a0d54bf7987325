"""The configuration language of nats-server: text to a tree of values with positions (spec configuration section 2)."""
