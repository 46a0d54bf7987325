"""The remote signing service: clients describe a claim, the service judges it by its policy, builds the bytes
itself and signs them with a key that never leaves it (spec operator-cli section 10.6)."""
