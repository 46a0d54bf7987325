"""S2 for tests, fuzzing and tools; the engine uses the same code without Python."""

def pack(data: bytes, level: int = 2) -> bytes:
    """One flush of the data: level 1 plain, 2 fast, 3 better, 4 best."""

def checksum(data: bytes, slow: bool = False) -> int:
    """The masked CRC-32C of a chunk; ``slow``: by table, whatever the machine has."""

class Reader:
    """A stream being read: ``feed`` bytes as they come, get the data that is whole."""

    #: Bytes of a chunk that is not whole yet.
    held: int

    def feed(self, data: bytes) -> bytes:
        """Raises ValueError for a broken stream."""
