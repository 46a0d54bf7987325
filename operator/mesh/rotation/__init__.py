"""Keys replaced while the mesh runs: step by step, each step written down, nothing removed before all servers can do
without it (spec operator-cli section 10.8)."""
