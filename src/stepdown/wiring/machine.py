"""What of this machine rounds numbers: the type of CPU, its vector instructions, the libraries."""

from __future__ import annotations

import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stepdown.core.suite import Machine

CPU_INFO = Path("/proc/cpuinfo")
VECTORS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve")
LIBRARIES = ("numpy", "onnxruntime", "tokenizers", "xllamacpp")


@cache
def this_machine() -> Machine:
    """Return the machine that this process runs on."""
    flags = _flags()
    return Machine(
        cpu=platform.machine(),
        vectors=tuple(name for name in VECTORS if name in flags),
        libraries={name: said for name in LIBRARIES if (said := _version(name))},
    )


def _flags() -> frozenset[str]:
    """Return what the kernel says that the CPU can do; nothing where it does not say."""
    with suppress(OSError):
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            name, _, said = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(said.split())
    return frozenset()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
