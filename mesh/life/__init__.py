"""What a node does as a whole: listening, taking the engine's events, reloading, leaving."""
