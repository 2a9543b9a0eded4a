"""Samples with images: who sees them, who cannot, and a small head that does (drawn pictures)."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_project import LABELS, SIZE, data_url, picture, train_head, write_images
from tiny_project import envelope, stepdown

from stepdown.adapters.models.image import load_image_head, save_image_head
from stepdown.core.request import ImagePart, Message, Request, TextPart
from stepdown.errors import ConfigError, Unavailable, WeightsError


def shown(*urls: str) -> Request:
    parts = (TextPart("What is shown?"), *map(ImagePart, urls))
    said = (Message(role="user", content=parts),)
    return Request(id="1", task="shape", input="What is shown?", messages=said, labels=LABELS)


@pytest.fixture(scope="module")
def head_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "shapes.safetensors"
    train_head(path)
    return path


def test_pictures_are_scored_on_tiers_that_see_and_the_others_are_said_to_be_left_out(
    tmp_path: Path,
) -> None:
    folder = write_images(tmp_path / "p")
    done = stepdown("eval", "-p", folder, "--json")
    assert done.exit_code == 0, done.output
    tiers = {t["tier"]: t for t in envelope(done)["data"]["tasks"][0]["tiers"]}
    assert tiers["eyes"]["score"]["value"] > 0.85
    assert tiers["frontier"]["score"]["value"] == 1.0
    shown_text = " ".join(stepdown("eval", "-p", folder).output.split())
    assert "blind is left out: it reads no images" in shown_text


def test_a_tier_that_is_asked_for_and_cannot_see_is_counted_and_not_scored_0(
    tmp_path: Path,
) -> None:
    folder = write_images(tmp_path / "p")
    done = stepdown("eval", "-p", folder, "--tiers", "blind,eyes,frontier", "--json")
    tiers = {t["tier"]: t for t in envelope(done)["data"]["tasks"][0]["tiers"]}
    blind = tiers["blind"]
    assert blind["failures"] == {"incapable": blind["unscored"]}
    assert blind["score"]["value"] is None
    assert blind["usd_per_1k"]["value"] is None


def test_certify_keeps_pictures_from_the_blind(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "p", n=150)
    done = stepdown("certify", "-p", folder)
    assert done.exit_code in (0, 1), done.output
    assert "blind can answer none of the rows" in " ".join(done.output.split())


async def test_a_head_gives_a_distribution_over_its_labels(head_file: Path) -> None:
    head = load_image_head(head_file, LABELS, "shape")
    chance, right = random.Random(9), 0
    for i in range(60):
        label, kind = LABELS[i % 3], ("PNG", "JPEG", "WEBP", "GIF")[i % 4]
        done = await head.complete(shown(data_url(picture(label, chance, kind), kind.lower())))
        assert done.label_probs is not None
        assert sum(done.label_probs.values()) == pytest.approx(1.0)
        right += done.text == label
    assert right > 50
    assert head.digest.startswith("sha256:")


def bomb(side: int) -> bytes:
    """Return a small PNG that claims to be `side` x `side`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + tail

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        ((), "exactly one image"),
        ((data_url(picture("corner", random.Random(1))),) * 2, "exactly one image"),
        (("https://example.com/a.png",), "data URL"),
        (("data:image/png;base64,%%%",), "not base64"),
        ((data_url(b"no image at all"),), "cannot be read"),
        ((data_url(picture("corner", random.Random(1))[:200]),), "cannot be read"),
        ((data_url(bomb(60_000)),), "pixels|bomb|cannot be read"),
        ((data_url(bomb(9_000)),), "refused"),
    ],
)
async def test_what_is_no_harmless_image_is_refused(
    head_file: Path, urls: tuple[str, ...], said: str
) -> None:
    head = load_image_head(head_file, LABELS, "shape")
    with pytest.raises(Unavailable, match=said):
        await head.complete(shown(*urls))


async def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(head_file: Path) -> None:
    head = load_image_head(head_file, LABELS, "shape")
    with pytest.raises(Unavailable, match="more than 20 MB"):
        await head.complete(shown("data:image/png;base64," + "A" * 30_000_000))


def test_a_file_that_is_no_head_or_knows_other_labels_is_refused(
    tmp_path: Path, head_file: Path
) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no image head"):
        load_image_head(tmp_path / "x.safetensors", LABELS, "shape")
    with pytest.raises(WeightsError, match="no image head"):
        load_image_head(tmp_path / "missing.safetensors", LABELS, "shape")
    with pytest.raises(ConfigError, match="knows the labels"):
        load_image_head(head_file, ("a", "b"), "shape")
    wrong = np.zeros((3, 5), np.float32), np.zeros(3, np.float32)
    save_image_head(tmp_path / "w.safetensors", *wrong, LABELS, SIZE)
    with pytest.raises(WeightsError, match="shape"):
        load_image_head(tmp_path / "w.safetensors", LABELS, "shape")


def test_an_image_outside_the_folder_of_the_data_is_not_read(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "p")
    (tmp_path / "secret.png").write_bytes(picture("corner", random.Random(1)))
    text = (folder / "rows.jsonl").read_text().replace('"p1.png"', '"../secret.png"')
    (folder / "rows.jsonl").write_text(text)
    done = stepdown("eval", "-p", folder)
    assert done.exit_code == 2
    assert "folder of the data" in done.output
