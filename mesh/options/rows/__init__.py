"""The rows of the option table, a room for each block or two. ``TOP`` are top-level options, ``BLOCKS`` the maps."""
