"""A small image classifier in this process: a linear head over the pixels of a shrunken picture.

The file is safetensors: `weights` (labels, 3 * size * size) and `bias` (labels,), float32; its
metadata hold `labels` (a JSON list), `size` and `recipe`. It reads data URLs and fetches nothing.
It suits pictures that differ in colour and layout; it knows no text and no fine detail.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stepdown.core.digest import digest_bytes
from stepdown.core.request import Capabilities, Chunk, Completion, ImagePart, Request, Usage
from stepdown.errors import ConfigError, Unavailable, WeightsError

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

RECIPE = "rgb-bilinear-centred/1"
"""Changes when the features change; a file of another recipe is refused."""
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")  # those that the vendors' wires take
MOST_BYTES = 20_000_000  # of one image, as OpenAI's "Images and vision" limits a request (2026-11)
MOST_PIXELS = 50_000_000  # a scan of A4 at 600 dpi has 35 million; a bomb has billions
MOST_SIDE = 128  # of the shrunken picture: more is no small head
NO_TOKENS = Usage(input_tokens=0, output_tokens=0)


class ImageHead:
    """Answer with the most probable label of the one image in a request."""

    def __init__(
        self,
        weights: NDArray[float32],
        bias: NDArray[float32],
        labels: Sequence[str],
        size: int,
        digest: str,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Wrap the tables; use `load_image_head` to read them from a file."""
        self._weights, self._bias = weights, bias
        self.labels, self._size, self._digest = tuple(labels), size, digest
        self._clock = clock

    @property
    def digest(self) -> str:
        """Digest of the file."""
        return self._digest

    @property
    def capabilities(self) -> Capabilities:
        """It sees, and chooses among labels."""
        return Capabilities(vision=True, labels=True, polish=False)

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        """Choose a label.

        Raises:
            Unavailable: not exactly one image, or one that cannot be read or is too large.
        """
        return await asyncio.to_thread(self._answer, request)

    def _answer(self, request: Request) -> Completion:
        import numpy as np

        start = self._clock()
        logits = self._weights @ features(image_bytes(_only_image(request)), self._size)
        logits = logits + self._bias
        raised = np.exp(logits - logits.max())
        shares = (raised / raised.sum()).astype(float).tolist()
        probabilities = dict(zip(self.labels, shares, strict=True))
        return Completion(
            text=max(probabilities, key=probabilities.__getitem__),
            label_probs=probabilities,
            usage=NO_TOKENS,
            latency_s=self._clock() - start,
            model=RECIPE,
        )

    async def stream(
        self, request: Request, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Chunk]:
        """Yield the answer as one chunk."""
        done = await self.complete(request, timeout_s=timeout_s)
        yield Chunk(text=done.text, completion=done)

    async def aclose(self) -> None:
        """Nothing to let go of."""


def features(data: bytes, size: int) -> NDArray[float32]:
    """Return the pixels of an image shrunken to `size` x `size`, -1..1, shape (3 * size * size,).

    Raises:
        Unavailable: it is no image of the known formats, is cut, or has too many pixels.
    """
    import numpy as np

    pixels = np.asarray(_shrunken(data, size), dtype=np.float32)
    found: NDArray[float32] = (pixels / 127.5 - 1.0).reshape(-1)
    return found


def load_image_head(path: Path, labels: Sequence[str], task: str) -> ImageHead:
    """Open the classifier in a file; `labels` are those of the task that it is to answer.

    Raises:
        WeightsError: there is no such file, or it is no image head.
        ConfigError: it knows other labels than the task.
    """
    try:
        raw = path.read_bytes()
        told, tables = _read(raw)
        size, known = int(told["size"]), msgspec.json.decode(told["labels"], type=list[str])
        head = ImageHead(tables["weights"], tables["bias"], known, size, digest_bytes(raw))
        _check(head, tables, told, size)
    except (OSError, KeyError, ValueError, msgspec.MsgspecError) as error:
        why = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{path.name} is no image head that can be read: {why}.",
            "See docs/configuration.md for what the file holds.",
        ) from None
    if sorted(head.labels) != sorted(labels):
        raise ConfigError(
            f"tasks.{task}: {path.name} knows the labels {', '.join(sorted(head.labels))}, the "
            f"task has {', '.join(sorted(labels))}.",
            "Use a head that was trained on the labels of this task.",
        )
    return head


def save_image_head(
    path: Path, weights: NDArray[float32], bias: NDArray[float32], labels: Sequence[str], size: int
) -> None:
    """Write a classifier as `load_image_head` reads it."""
    import numpy as np
    from safetensors.numpy import save_file

    # The file holds bytes in the order of rows, whatever the order in memory.
    tables = {"weights": np.ascontiguousarray(weights), "bias": np.ascontiguousarray(bias)}
    told = {
        "labels": msgspec.json.encode(list(labels)).decode(),
        "size": str(size),
        "recipe": RECIPE,
    }
    save_file(tables, path, metadata=told)


def image_bytes(url: str) -> bytes:
    """Return the bytes in a data URL.

    Raises:
        Unavailable: it is none, or is larger than the limit; nothing is fetched.
    """
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise Unavailable(
            f"An image must come as a base64 data URL, got {url[:40]!r}.", "Nothing is fetched."
        )
    if len(data) > MOST_BYTES * 4 / 3 + 4:
        raise Unavailable(f"An image has more than {MOST_BYTES // 1_000_000} MB.", "Shrink it.")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Unavailable("The data URL of an image is not base64.") from None


def _only_image(request: Request) -> str:
    parts = [
        part for m in request.messages for part in m.content or () if not isinstance(part, str)
    ]
    images = [part.url for part in parts if isinstance(part, ImagePart)]
    if len(images) != 1:
        raise Unavailable(
            f"An image head needs exactly one image, and the request has {len(images)}.",
            "Use a tier that reads text, or send one image.",
        )
    return images[0]


def _shrunken(data: bytes, size: int) -> Any:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise Unavailable(
            "Images need Pillow, which is not installed.",
            "Install it with: pip install 'stepdown[image]'.",
        ) from None
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise Unavailable(
                    f"An image of {width} x {height} pixels is refused: {MOST_PIXELS:,} at most.",
                    "Shrink it; a small file of so many pixels may be made to exhaust memory.",
                )
            image.draft("RGB", (size * 2, size * 2))
            return image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise Unavailable(
            f"An image cannot be read: {str(error)[:120]}.", f"{', '.join(FORMATS)} can."
        ) from None


def _read(raw: bytes) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return the metadata and the tables of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    length = int.from_bytes(raw[:8], "little")
    try:
        tables = load(raw)
    except SafetensorError as error:
        raise ValueError(str(error)) from None
    head = msgspec.json.decode(raw[8 : 8 + length], type=dict[str, Any])
    return head.get("__metadata__", {}), tables


def _check(head: ImageHead, tables: Mapping[str, Any], told: Mapping[str, str], size: int) -> None:
    import numpy as np

    if told.get("recipe") != RECIPE:
        raise ValueError(f"its recipe is {told.get('recipe')!r}, and {RECIPE!r} is read")
    if not 1 <= size <= MOST_SIDE:
        raise ValueError(f"its size is {size}; 1 to {MOST_SIDE} can be read")
    shape = (len(head.labels), 3 * size * size)
    if tables["weights"].shape != shape or tables["bias"].shape != shape[:1] or shape[0] < 2:
        raise ValueError(f"its weights have the shape {tables['weights'].shape}, not {shape}")
    if not all(np.isfinite(tables[name]).all() for name in ("weights", "bias")):
        raise ValueError("its weights are not all finite")
