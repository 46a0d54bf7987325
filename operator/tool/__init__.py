"""Trying a mesh as one of its users: what ``gossamer tool`` does."""
