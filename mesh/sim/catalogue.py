"""All scenarios there are, by name."""

from gossamer.mesh.sim import federation as federation  # registers its own, as the others
from gossamer.mesh.sim import large as large
from gossamer.mesh.sim import tenants as tenants
from gossamer.mesh.sim.scenarios import SCENARIOS as SCENARIOS
