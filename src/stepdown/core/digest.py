"""Content digests: the same value gives the same name on every machine."""

import hashlib
from typing import Any

import msgspec


def digest_bytes(data: bytes | bytearray) -> str:
    """Return `sha256:` and the 64 hexadecimal digits of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the digest of a value that msgspec can encode: keys sorted."""
    return digest_bytes(msgspec.json.encode(value, order="sorted"))


def seed_from(data_digest: str) -> int:
    """Return a 63-bit seed made of a digest, so that nobody chooses a seed."""
    return int(data_digest.removeprefix("sha256:")[:16], 16) >> 1


def draw(seed: int, request_id: str) -> float:
    """Return the uniform draw in [0, 1) that belongs to this request, for mixing and audits."""
    raw = hashlib.sha256(f"{seed}:{request_id}".encode()).digest()[:8]
    return (int.from_bytes(raw, "big") >> 11) / float(1 << 53)
