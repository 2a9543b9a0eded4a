"""The format of a file is found by its content, and what is found is what is there."""

import json
from pathlib import Path

import pytest

from stepdown.adapters.logs import detect
from stepdown.errors import DataError

PAIR = {"request": {"model": "m", "messages": []}, "response": {"choices": []}}
TABLE = {"model": "m", "input_tokens": 5, "output_tokens": 1}
LITELLM = {"id": "1", "call_type": "completion", "startTime": 1.0, "response_cost": 0.1}
OTEL = {"name": "chat m", "attributes": {"gen_ai.request.model": "m"}}


@pytest.mark.parametrize(
    ("row", "name"),
    [(PAIR, "OpenAI"), (TABLE, "Table"), (LITELLM, "LiteLLM"), (OTEL, "OpenTelemetry")],
)
def test_each_format_is_known_by_its_content(tmp_path: Path, row: object, name: str) -> None:
    path = tmp_path / "anything"
    path.write_text(json.dumps(row) + "\n")
    assert detect(path).name.startswith(name)


def test_a_broken_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"broken\n' + json.dumps(PAIR) + "\n")
    assert detect(path).name.startswith("OpenAI")


def test_text_that_speaks_of_another_format_does_not_mislead(tmp_path: Path) -> None:
    said = {"role": "user", "content": '"gen_ai.system": what is a resourceSpans?'}
    path = tmp_path / "log"
    path.write_text(json.dumps({"request": {"model": "m", "messages": [said]}}) + "\n")
    assert detect(path).name.startswith("OpenAI")


def test_a_csv_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("step,model,prompt_tokens,completion_tokens\na,m,1,2\n")
    assert detect(path).name.startswith("Table")


@pytest.mark.parametrize("content", ["hello\nworld\n", '{"a": 1}\n', "a,b\n1,2\n"])
def test_a_file_of_no_known_format_is_refused_with_the_known_ones(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "log"
    path.write_text(content)
    with pytest.raises(DataError, match="no known log format") as caught:
        detect(path)
    assert "OpenAI" in caught.value.hint


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="empty"):
        detect(tmp_path / "empty")
    with pytest.raises(DataError, match="cannot be read"):
        detect(tmp_path / "missing")


def test_a_damaged_zstd_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.zst").write_bytes(b"\x28\xb5\x2f\xfd rest")
    with pytest.raises(DataError, match="cannot be read"):
        detect(tmp_path / "log.zst")
