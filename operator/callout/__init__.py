"""A token exchange that runs: fetching keys, answering servers over a NATS connection."""
