"""Images beside a row: a file in the folder of the data, as a data URL. It looks at no pixel.

Formats: those that both vendors' wires take (OpenAI "Images and vision", Anthropic "Vision",
2026-11): PNG, JPEG, GIF, WebP, told by their first bytes.
"""

from __future__ import annotations

import base64
from pathlib import Path

from stepdown.errors import DataError

_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"))


def image_url(named: object, folder: Path, most_mb: float, at: str) -> str:
    """Return an image as a data URL; one that is a data URL already stays as it is.

    Raises:
        DataError: it lies outside the folder, cannot be read, is too large, or is no image.
    """
    if not isinstance(named, str) or not named:
        raise DataError(f"{at}: expected the file of an image, got {named!r}.")
    if named.startswith("data:image/"):
        _check_size(len(named) * 3 / 4, most_mb, "an image", at)
        return named
    data = _read(named, folder, most_mb, at)
    kind = _kind(data)
    if kind is None:
        raise DataError(f"{at}: {named} is no image.", "PNG, JPEG, GIF and WebP can be read.")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _read(named: str, folder: Path, most_mb: float, at: str) -> bytes:
    path = (folder / named).resolve()
    if "://" in named or not path.is_relative_to(folder.resolve()):
        raise DataError(
            f"{at}: the image {named!r} does not lie in the folder of the data.",
            "Name a file in that folder: nothing is fetched, and nothing outside it is sent.",
        )
    try:
        _check_size(path.stat().st_size, most_mb, named, at)
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{at}: the image {named} cannot be read: {error.strerror}.") from None


def _check_size(size: float, most_mb: float, named: str, at: str) -> None:
    if size > most_mb * 1e6:
        raise DataError(
            f"{at}: {named} has {size / 1e6:.1f} MB, and an image may have {most_mb:g}.",
            "Make it smaller, or raise `max_image_mb` in [data].",
        )


def _kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)
