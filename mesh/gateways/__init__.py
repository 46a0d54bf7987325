"""Links to other clusters: the control plane of gateways (spec gateways)."""
