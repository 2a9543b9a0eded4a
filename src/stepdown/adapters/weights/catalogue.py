"""What is known about each model file: where it comes from, its digest, licence and size.

The data is in `catalogue.toml`; this module only reads and checks it.
"""

import re
from difflib import get_close_matches
from functools import cache
from importlib.resources import files as package_files

import msgspec
from msgspec import Struct

from stepdown.errors import WeightsError

_HEX = re.compile(r"[0-9a-f]{64}")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class WeightFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One file inside a package, the name it gets in the cache, and its digest."""

    member: str
    save_as: str
    sha256: str
    size_bytes: int

    def __post_init__(self) -> None:
        """Refuse names that could leave the cache directory."""
        _require(_PLAIN_NAME, self.save_as, "a plain file name")
        _require(_HEX, self.sha256, "64 hexadecimal digits")


class Packaged(Struct, frozen=True, forbid_unknown_fields=True):
    """Model files that a package on the index carries; `main` is the one that callers load."""

    name: str
    package: str
    version: str
    sha256: str
    size_bytes: int
    licence: str
    source: str
    main: str
    files: tuple[WeightFile, ...]

    def __post_init__(self) -> None:
        """Refuse what could smuggle an option to pip, and a main file that is not listed."""
        _require(_PLAIN_NAME, self.name, "a plain name")
        _require(_PACKAGE, self.package, "a package name")
        _require(_PACKAGE, self.version, "a version")
        _require(_HEX, self.sha256, "64 hexadecimal digits")
        if self.main not in {file.save_as for file in self.files}:
            raise ValueError(f"main file {self.main!r} is not among the files of {self.name!r}")


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes and times beyond which a download is broken off."""

    download_timeout_s: float
    hub_file_bytes: int


class Catalogue(Struct, frozen=True, forbid_unknown_fields=True):
    """All the model files that have a name."""

    limits: Limits
    weights: tuple[Packaged, ...]

    def find(self, name: str) -> Packaged:
        """Return the entry called `name`.

        Raises:
            WeightsError: there is none; says the nearest known name.
        """
        known = {entry.name: entry for entry in self.weights}
        if name in known:
            return known[name]
        near = get_close_matches(name, known, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        raise WeightsError(
            f"No model files are known under the name {name!r}.",
            f"{guess}Known: {', '.join(sorted(known))}; or give path:FILE or "
            "'hf:ORG/REPO/FILE@REVISION sha256=DIGEST'.",
        )


@cache
def load_catalogue() -> Catalogue:
    """Read the catalogue that ships with the package."""
    raw = package_files("stepdown.adapters.weights").joinpath("catalogue.toml").read_bytes()
    return msgspec.toml.decode(raw, type=Catalogue)


def _require(pattern: re.Pattern[str], value: str, what: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"expected {what}, got {value!r}")
