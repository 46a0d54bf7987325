"""Leaf nodes: those that dial us, and the hubs that we dial (spec leafnodes)."""
