"""A recording tells two steps that say the same apart by the id of their row."""

from __future__ import annotations

import json
from pathlib import Path

from stepdown.adapters.models.recorded import RecordedModel
from stepdown.core.request import Request


async def test_the_row_of_the_id_answers_first_and_any_row_of_the_text_otherwise(
    tmp_path: Path,
) -> None:
    path = tmp_path / "said.jsonl"
    lines = [{"id": "a", "t": "one"}, {"id": "b", "t": "two"}]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    model = RecordedModel(path, "t", "t", {"a": "yes", "b": "yes"}, len)

    async def said(request_id: str) -> str:
        return (await model.complete(Request(id=request_id, task="t", input="yes"))).text

    assert [await said(each) for each in ("a", "b", "live-1")] == ["one", "two", "two"]
