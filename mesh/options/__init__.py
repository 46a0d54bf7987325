"""Configuration: the language, the one table of options, flags, validation and reload (spec configuration)."""
