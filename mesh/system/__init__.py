"""The node on the system account: what it tells and answers there (spec system-and-monitoring sections 2 to 7)."""
