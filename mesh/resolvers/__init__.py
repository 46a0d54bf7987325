"""Where a running node gets account JWTs from, and how nodes keep theirs equal (spec auth sections 22 and 23.1)."""
