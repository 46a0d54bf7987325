"""Accounts as the node runs them: which exist, their numbers in the engine, limits and how many use them."""
