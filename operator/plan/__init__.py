"""Tenants as one declared file: what it says, how the store differs from it, and making it so
(spec operator-cli sections 10.2 and 10.4).

``reading`` makes a ``Declaration`` of a TOML file, ``planning`` compares it with a store, ``summary`` is the plan to
show, ``applying`` carries it out in an order in which nobody is locked out, ``exporting`` writes the file that a
store would be declared by.
"""
