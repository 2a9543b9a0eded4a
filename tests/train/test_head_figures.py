"""The figures of a head on banking77 with the encoder that ships (slow, needs the data)."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from stepdown.adapters.encoders.static import load_static
from stepdown.stats.calibrate import auroc, ece
from stepdown.train import Expert, fit_head, load_head, save_head

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("STEPDOWN_DATA", ROOT.parent / "shared" / "data")) / "banking77"


def read(name: str) -> tuple[list[str], list[str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row["text"] for row in rows], [row["category"] for row in rows]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no banking77 under STEPDOWN_DATA")
def test_the_shipped_head_on_static_vectors_reaches_its_figures(tmp_path: Path) -> None:
    encoder = load_static()
    head = fit_head(*read("train.csv"), encoder, task="banking77", name="static")
    path = save_head(head, tmp_path)
    texts, labels = read("test.csv")
    said = Expert(load_head(path, head.digest), encoder).predict(texts)
    right = np.array([p.label == label for p, label in zip(said, labels, strict=True)], dtype=float)
    sure = np.array([max(p.label_probs.values()) for p in said])
    assert right.mean() >= 0.905
    assert (ece(sure, right) or 1.0) <= 0.03
    assert (auroc(sure, right) or 0.0) >= 0.88
    assert path.stat().st_size < 5e6
