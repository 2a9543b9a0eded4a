"""A project whose samples are pictures: drawn here, so SYNTHETIC, and a head trained on some.

A picture shows one large shape on a noisy ground: a bar across, a bar upright, or a corner block.
"""

from __future__ import annotations

import base64
import json
import random
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from sklearn.linear_model import LogisticRegression

from stepdown.adapters.models.image import features, save_image_head

LABELS = ("across", "upright", "corner")
SIZE = 12
TOML = """\
[project]
name = "pictures"
baseline = "frontier"

[data]
path = "rows.jsonl"
images = "picture"
shares = { train = 0.1, tune = 0.5, certify = 0.4 }

[tiers.blind]
model = "openai:text-only"
base_url = "http://127.0.0.1:9/v1"
vision = false
price = { input_usd_per_mtok = 0.1, output_usd_per_mtok = 0.1 }

[tiers.eyes]
model = "image:shapes.safetensors"
price = { usd_per_hour = 0.085 }

[tiers.frontier]
model = "recorded:frontier.jsonl"
price = { input_usd_per_mtok = 4.0, output_usd_per_mtok = 20.0 }

[tasks.shape]
kind = "classify"
labels = ["across", "upright", "corner"]
tiers = ["blind", "eyes", "frontier"]
promise = { max_loss = 0.1, delta = 0.2 }
"""


def picture(label: str, chance: random.Random, kind: str = "PNG") -> bytes:
    """Draw one picture."""
    ground = np.random.default_rng(chance.randrange(2**32)).integers(0, 90, (64, 64, 3))
    image = Image.fromarray(ground.astype(np.uint8), "RGB")
    draw, at = ImageDraw.Draw(image), chance.randrange(20, 36)
    colour = tuple(chance.randrange(150, 256) for _ in range(3))
    boxes = {
        "across": (2, at, 61, at + 10),
        "upright": (at, 2, at + 10, 61),
        "corner": (0, 0, at, at),
    }
    draw.rectangle(boxes[label], fill=colour)
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


def train_head(path: Path, n: int = 150) -> None:
    """Fit a linear head on drawn pictures and write it."""
    chance = random.Random(1)
    labels = [LABELS[i % 3] for i in range(n)]
    pixels = np.stack([features(picture(label, chance), SIZE) for label in labels])
    fitted = LogisticRegression(C=0.1, max_iter=500).fit(pixels, labels)
    weights, bias = fitted.coef_.astype(np.float32), fitted.intercept_.astype(np.float32)
    save_image_head(path, weights, bias, [str(c) for c in fitted.classes_], SIZE)


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def write_images(folder: Path, n: int = 90) -> Path:
    """Write the project; every second picture is a file, the others stand in the row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stepdown.toml").write_text(TOML, encoding="utf-8")
    train_head(folder / "shapes.safetensors")
    chance, rows, recorded = random.Random(2), [], []
    for i in range(n):
        label = LABELS[i % 3]
        data = picture(label, chance)
        shown = data_url(data)
        if i % 2:
            (folder / f"p{i}.png").write_bytes(data)
            shown = f"p{i}.png"
        row = {"id": f"p{i}", "text": "What is shown?", "picture": shown, "shape": label}
        rows.append(row)
        recorded.append({"id": f"p{i}", "shape": label})
    for name, lines in (("rows", rows), ("frontier", recorded)):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder
