"""Payloads as a compressor meets them in real life: JSON records of many devices, always the same ones."""

import json
import random


def json_text(length: int) -> bytes:
    """``length`` bytes of records; every call gives the same."""
    chance = random.Random(2026)
    parts: list[bytes] = []
    size = 0
    while size < length:
        record = {
            "device": f"sensor-{chance.randrange(5000):04d}",
            "site": chance.choice(("north", "south", "harbour", "depot", "mill")),
            "at": 1_760_000_000_000 + chance.randrange(10**9),
            "temperature": round(chance.gauss(21, 4), 2),
            "pressure": round(chance.gauss(1013, 9), 1),
            "state": chance.choice(("ok", "ok", "ok", "warning", "service")),
            "trace": f"{chance.getrandbits(64):016x}",
        }
        parts.append(json.dumps(record).encode() + b"\n")
        size += len(parts[-1])
    return b"".join(parts)[:length]
