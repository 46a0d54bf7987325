"""What was done to a store and by whom: an append-only log whose lines are chained by their hashes
(spec operator-cli section 10.7)."""
