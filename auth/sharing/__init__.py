"""What accounts share, decided: exports and imports as values, who may import what, and why not (spec auth 17).

``values`` are made from a configuration and from claims alike; ``authorisation`` decides one import; ``resolution``
holds all accounts and says, change by change, which imports are in force.
"""
