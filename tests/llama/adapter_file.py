"""Write a LoRA adapter as GGUF with the standard library: RANDOM weights, nothing was learned.

Format: ggml docs/gguf.md (version 3), and llama.cpp's adapters (`general.type = "adapter"`,
`adapter.type = "lora"`, tensors NAME.lora_a and NAME.lora_b), read 2026-11.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

STRING, FLOAT32 = 8, 6  # types of metadata
F32 = 0  # type of a tensor
ALIGN = 32


def write_adapter(path: Path, tensors: dict[str, tuple[int, int]], *, alpha: float = 16.0) -> Path:
    """Write random low-rank matrices; `tensors` maps a name to its GGUF shape (columns, rows)."""
    drawn = random.Random(7)
    pairs = [
        _text("general.architecture", "llama"),
        _text("general.type", "adapter"),
        _text("adapter.type", "lora"),
        _string("adapter.lora.alpha") + struct.pack("<If", FLOAT32, alpha),
    ]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs)
    infos, body = b"", b""
    for name, (columns, rows) in tensors.items():
        infos += _string(name) + struct.pack("<IQQIQ", 2, columns, rows, F32, len(body))
        values = [drawn.gauss(0.0, 0.3) for _ in range(columns * rows)]
        body += _padded(struct.pack(f"<{len(values)}f", *values))
    path.write_bytes(_padded(head + infos) + body)
    return path


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _text(key: str, value: str) -> bytes:
    return _string(key) + struct.pack("<I", STRING) + _string(value)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGN)
