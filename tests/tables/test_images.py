"""Images beside a row become data URLs; nothing is fetched, and nothing outside is read."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from stepdown.adapters.tables.images import image_url
from stepdown.errors import DataError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.png").write_bytes(PNG)
    (tmp_path / "data" / "a.txt").write_text("not an image")
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "data" / "link.png").symlink_to(tmp_path / "secret.png")
    return tmp_path / "data"


def test_a_file_becomes_a_data_url_and_a_data_url_stays(folder: Path) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert image_url("a.png", folder, 1.0, "x") == url
    assert image_url(url, folder, 1.0, "x") == url


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\xff\xd8\xff", "jpeg"), (b"GIF89a", "gif"), (b"RIFF0000WEBP", "webp")],
)
def test_the_kind_is_told_by_the_first_bytes(folder: Path, start: bytes, kind: str) -> None:
    (folder / "b.png").write_bytes(start + bytes(9))
    assert image_url("b.png", folder, 1.0, "x").startswith(f"data:image/{kind};base64,")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("../secret.png", "does not lie in the folder"),
        ("/etc/passwd", "does not lie in the folder"),
        ("link.png", "does not lie in the folder"),
        ("https://example.com/a.png", "does not lie in the folder"),
        ("missing.png", "cannot be read"),
        ("a.txt", "is no image"),
        (3, "expected the file of an image"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_line(
    folder: Path, named: object, said: str
) -> None:
    with pytest.raises(DataError, match=f"rows, line 3: .*{said}"):
        image_url(named, folder, 1.0, "rows, line 3")


def test_an_image_that_is_too_large_is_refused_before_it_is_read(folder: Path) -> None:
    with pytest.raises(DataError, match="may have 1e-05"):
        image_url("a.png", folder, 1e-5, "x")
