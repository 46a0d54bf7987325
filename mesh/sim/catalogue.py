"""All scenarios there are, by name."""

from gossamer.mesh.sim import federation as federation  # registers its own
from gossamer.mesh.sim import tenants as tenants  # registers its own
from gossamer.mesh.sim.scenarios import SCENARIOS as SCENARIOS
