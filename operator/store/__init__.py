"""Operators, accounts, users and keys on disk, laid out as nsc lays them out (spec operator-cli section 2)."""
