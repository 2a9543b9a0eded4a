"""`--json` is one document that every JSON reader accepts."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stepdown.adapters.render.envelope import envelope
from stepdown.core.report import Claim, Document


def read(content: bytes) -> dict[str, object]:
    """Parse strictly: NaN and Infinity, which are not JSON, are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    parsed: dict[str, object] = json.loads(content, parse_constant=refuse)
    return parsed


def test_an_envelope_has_four_keys_in_order_and_ends_its_line() -> None:
    content = envelope("audit", "0.1.0", {"steps": 7}, ["prices are old"])
    assert list(read(content)) == ["command", "version", "data", "warnings"]
    assert read(content)["data"] == {"steps": 7}
    assert read(content)["warnings"] == ["prices are old"]
    assert content.endswith(b"}\n")
    assert content.count(b"\n") == 1


def test_numbers_that_json_has_not_become_null() -> None:
    data = [math.nan, math.inf, -math.inf, np.float64("nan"), np.array([1.0, math.nan])]
    assert read(envelope("eval", "1", data, ()))["data"] == [None, None, None, None, [1.0, None]]


def test_values_of_ours_paths_and_numpy_numbers_are_written_plainly() -> None:
    data = {"claim": Claim(0.5, "score"), "path": Path("a/b"), "n": np.int64(3)}
    written = {"claim": {"value": 0.5, "unit": "score"}, "path": "a/b", "n": 3}
    assert read(envelope("eval", "1", data, ()))["data"] == written


def test_a_report_can_be_the_data(document: Document) -> None:
    data = read(envelope("report", "1", document, ()))["data"]
    assert isinstance(data, dict)
    assert data["title"] == document.title


def test_a_lone_surrogate_from_a_log_does_not_break_the_document() -> None:
    data = {"text \udc80": ["broken \ud83d"], "n": math.nan}
    assert read(envelope("audit", "1", data, ()))["data"] == {
        "text \N{REPLACEMENT CHARACTER}": ["broken \N{REPLACEMENT CHARACTER}"],
        "n": None,
    }


def test_a_value_without_a_json_form_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        envelope("audit", "1", object(), ())
