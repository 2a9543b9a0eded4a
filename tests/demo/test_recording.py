"""The recording of the language model: written, read, checked against a live one, restored."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest

from stepdown.core.request import Capabilities, Completion, Request
from stepdown.demo import recording
from stepdown.errors import DataError
from stepdown.wiring import eval_run, evaluating
from stepdown.wiring.workspace import Workspace

ABOUT = recording.About(
    recorded=True,
    date="2026-11-22",
    tier_digest="sha256:fake",
    model="fake",
    runtime="fake",
    machine="fake",
    n=160,
    tolerance=0.02,
)


class FakeModel:
    """Answers `praise` with a probability that a test sets."""

    digest = "sha256:fake"
    capabilities = Capabilities(labels=True)

    def __init__(self, sure: float = 0.7) -> None:
        self.sure = sure
        self.asked = 0

    async def complete(self, request: Request, *, timeout_s: float | None = None) -> Completion:
        self.asked += 1
        rest = (1 - self.sure) / (len(request.labels) - 1)
        probs = {label: self.sure if label == "praise" else rest for label in request.labels}
        return Completion(text="praise", label_probs=probs, latency_s=0.01, model="fake")

    async def aclose(self) -> None:
        """Nothing to let go of."""


def opened(folder: Path, model: FakeModel) -> Workspace:
    workspace = Workspace.open(folder)
    workspace.models._shared["llama:fake"] = model  # type: ignore[assignment]
    return workspace


def recorded(folder: Path, model: Any = None) -> list[recording.Said]:
    """Ask the fake for every row, as `make outcomes` does, and take the recording."""
    workspace = opened(folder, model or FakeModel())
    task = workspace.project.task("topic")
    asyncio.run(
        eval_run.evaluate(
            workspace, task, parts=evaluating.PARTS["all"], how=eval_run.How(tiers=["small"])
        )
    )
    said = recording.gather(workspace)
    workspace.runs.close()
    return said


def test_a_recording_is_read_as_it_was_written_and_equal_contents_give_equal_bytes(
    with_small: Path, tmp_path: Path
) -> None:
    said = recorded(with_small)
    assert len(said) == 160
    one, two = tmp_path / "1" / "x.gz", tmp_path / "2" / "x.gz"
    for path in (one, two):
        path.parent.mkdir()
        recording.write(path, ABOUT, said)
    assert recording.read(one) == (ABOUT, said)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    "content",
    [None, b"", b"plain", gzip.compress(b""), gzip.compress(b"{}\n"), gzip.compress(b"[")],
    ids=["missing", "empty", "no gzip", "nothing in it", "no about", "no json"],
)
def test_a_recording_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"The recording x\.gz cannot be read"):
        recording.read(tmp_path / "x.gz")


def test_a_torn_recording_is_refused(with_small: Path, tmp_path: Path) -> None:
    recording.write(tmp_path / "x.gz", ABOUT, recorded(with_small))
    whole = (tmp_path / "x.gz").read_bytes()
    (tmp_path / "x.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        recording.read(tmp_path / "x.gz")


def check(folder: Path, said: list[recording.Said], model: FakeModel) -> recording.Checked:
    workspace = opened(folder, model)
    try:
        return asyncio.run(recording.check(workspace, ABOUT, said, rows=20))
    finally:
        workspace.runs.close()


def test_a_live_model_that_agrees_passes_the_check(with_small: Path) -> None:
    said = recorded(with_small)
    live = FakeModel(0.71)
    found = check(with_small, said, live)
    assert (found.asked, found.same, live.asked) == (20, 20, 20)
    assert found.largest == pytest.approx(0.01)


def test_a_live_model_that_differs_beyond_the_tolerance_stops_the_demo(with_small: Path) -> None:
    said = recorded(with_small)
    with pytest.raises(DataError, match=r"differs from the recording on topic of r\d+: 0\.030"):
        check(with_small, said, FakeModel(0.73))


def test_restored_answers_are_not_asked_again(with_small: Path, tmp_path: Path) -> None:
    said = recorded(with_small)
    (with_small / ".stepdown").rename(tmp_path / "elsewhere")
    live = FakeModel()
    workspace = opened(with_small, live)
    assert recording.restore(workspace, said) == 160
    assert recording.restore(workspace, said) == 0
    task = workspace.project.task("topic")
    found = asyncio.run(eval_run.evaluate(workspace, task, how=eval_run.How(tiers=["small"])))
    workspace.runs.close()
    assert live.asked == 0
    assert found.runs[0].reused == 24


def test_answers_to_another_prompt_are_not_restored(with_small: Path, tmp_path: Path) -> None:
    said = recorded(with_small)
    (with_small / ".stepdown").rename(tmp_path / "elsewhere")
    path = with_small / "stepdown.toml"
    text = path.read_text(encoding="utf-8").replace("Message: {input}", "Text: {input}")
    path.write_text(text, encoding="utf-8")
    workspace = opened(with_small, FakeModel())
    assert recording.restore(workspace, said) == 0
    workspace.runs.close()
