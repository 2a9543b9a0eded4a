"""The table read in whole columns is the table read row by row, and says the same errors."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepdown.adapters.tables.outcome_files import read_outcomes, write_outcomes
from stepdown.adapters.tables.outcome_panel import read_pair_panel, read_panel
from stepdown.adapters.tables.paired_files import read_pair
from stepdown.core.outcome import Outcome
from stepdown.core.replay_array import Panel, panel
from stepdown.errors import DataError

SHARED = Path(os.environ.get("STEPDOWN_DATA", Path(__file__).parents[2] / "../shared/data"))
needs_data = pytest.mark.skipif(
    not (SHARED / "outcomes").exists(), reason="needs shared data (set STEPDOWN_DATA)"
)
ENDINGS = ("parquet", "csv", "jsonl")
FRACTION = st.none() | st.sampled_from((0.0, 0.25, 1.0)) | st.floats(0, 1)
WORD = st.none() | st.sampled_from(("yes", "Yes.", "no", "5", "5.0", "nö\n,\"'"))
TIERS = ("small", "big", "small>big", "?vote", "m-4.1", "m-4.1.confidence")


def assert_equal(found: Panel, wanted: Panel) -> None:
    for name in Panel.__struct_fields__:
        one, other = getattr(found, name), getattr(wanted, name)
        if not isinstance(other, dict):
            assert tuple(one) == tuple(other), name
            continue
        assert list(one) == list(other), name
        for key, column in other.items():
            if isinstance(column, np.ndarray):
                assert one[key].dtype == column.dtype, (name, key)
                np.testing.assert_array_equal(one[key], column, err_msg=f"{name} {key}")
            else:
                assert one[key] == column, (name, key)


@st.composite
def outcomes(draw: st.DrawFn) -> list[Outcome]:
    """Long tables: in any order, with missing tiers, unknown cells, failures, bought signals."""
    pairs = st.tuples(st.sampled_from(("q1", "q2", "q3", "007")), st.sampled_from(TIERS))
    return [
        Outcome(
            query_id=query,
            tier=tier,
            score=draw(FRACTION),
            cost_usd=draw(FRACTION),
            latency_s=draw(FRACTION),
            signals={k: v for k, v in draw(SIGNALS).items() if v is not None},
            answer=draw(WORD),
            group=draw(WORD),
            prompt=draw(WORD),
            segment=draw(WORD),
            truth=draw(WORD),
            failure=draw(st.sampled_from((None, None, "truncated", "unavailable"))),
        )
        for query, tier in draw(st.lists(pairs, unique=True, max_size=12))
    ]


SIGNALS = st.dictionaries(st.sampled_from(("confidence", "value", "1.confidence")), FRACTION)
ANY_FILE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("ending", ENDINGS)
@ANY_FILE
@given(table=outcomes())
def test_columns_and_rows_give_the_same_panel(
    tmp_path: Path, ending: str, table: list[Outcome]
) -> None:
    path = tmp_path / f"o.{ending}"
    write_outcomes(path, table)
    assert_equal(read_panel(path), panel(read_outcomes(path)))


CELL = st.none() | st.sampled_from(
    ("", "q", "0.5", " 1 ", "nan", "inf", "-1", "2", "1e400", "x", "a\nb", '"')
)
HEADS = ("query_id", "tier", "score", "cost_usd", "signal.x", "answer", "scores")


def told(read: Any, path: Path) -> str | Panel:
    try:
        found = read(path)
    except DataError as error:
        return str(error)
    return found if isinstance(found, Panel) else panel(found)


def assert_same_outcome(path: Path) -> None:
    wanted, found = told(read_outcomes, path), told(read_panel, path)
    if isinstance(wanted, Panel) and isinstance(found, Panel):
        assert_equal(found, wanted)
    else:
        assert found == wanted


@ANY_FILE
@given(
    heads=st.lists(st.sampled_from(HEADS), min_size=2, max_size=6),
    rows=st.lists(st.lists(CELL, min_size=1, max_size=6), max_size=4),
    whole=st.booleans(),
)
def test_whatever_is_in_a_csv_file_both_say_the_same(
    tmp_path: Path, heads: list[str], rows: list[list[Any]], whole: bool
) -> None:
    path = tmp_path / "o.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows([(row * 6)[: len(heads)] if whole else row for row in rows])
    assert_same_outcome(path)


JSON_CELL = CELL | st.integers() | st.booleans() | st.floats(0, 1) | st.just([1])


@ANY_FILE
@given(st.data(), st.lists(st.dictionaries(st.sampled_from(HEADS[:6]), JSON_CELL), max_size=4))
def test_whatever_is_in_a_json_file_both_say_the_same(
    tmp_path: Path, data: st.DataObject, rows: list[dict[str, Any]]
) -> None:
    named = data.draw(st.booleans())
    lines = [{"query_id": i, "tier": "t", **row} if named else row for i, row in enumerate(rows)]
    path = tmp_path / "o.jsonl"
    path.write_text("\n".join(["", *map(json.dumps, lines), data.draw(st.sampled_from(("", "{")))]))
    assert_same_outcome(path)


BROKEN = {
    "cells that differ from the header": "query_id,tier\nq,t\nq,t,more\n",
    "a quote that does not end": 'query_id,tier\nq,"t\n',
    "text after a quote": 'query_id,tier\nq,"t"x\n',
    "a column twice": "query_id,tier,tier\nq,t,t\n",
    "an outcome twice": "query_id,tier\nq,t\nr,t\nq,t\n",
    "nothing": "",
    "a header": "query_id,tier\n",
    "an empty line first": "\nquery_id,tier\nq,t\n",
    "empty lines between": "query_id,tier\n\nq,t\n\n",
    "no tier": "query_id,score\nq,1\n",
    "a score too high": "query_id,tier,score\nq,t,1.01\n",
    "a negative price": "query_id,tier,cost_usd\nq,t,-0.1\n",
    "a price that is endless": "query_id,tier,cost_usd\nq,t,inf\n",
    "a byte order mark": "\ufeffquery_id,tier\nq,t\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_both_say_the_same_of(tmp_path: Path, name: str) -> None:
    path = tmp_path / "o.csv"
    path.write_text(BROKEN[name], encoding="utf-8")
    assert_same_outcome(path)


def test_what_is_no_file_and_what_is_no_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "o.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "o.csv").write_bytes(b"query_id,tier\nq,\xff\n")
    for name in ("o.parquet", "o.csv", "none.csv", "o.txt"):
        assert isinstance(told(read_panel, tmp_path / name), str)
        assert_same_outcome(tmp_path / name)


ODD_COLUMNS: dict[str, Sequence[Any]] = {
    "numbers as names": pa.array([1, 2]),
    "fractions as names": pa.array([1.0, 2.5]),
    "days as names": pa.array([1, 2], pa.date32()),
    "codes": pa.array(["x", "y"]).dictionary_encode(),
    "long texts": pa.array(["x", "y"], pa.large_string()),
    "truths": pa.array([True, False]),
    "nothing": pa.array([None, "x"]),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_parquet_may_hold_names_as(tmp_path: Path, name: str) -> None:
    columns = {"query_id": ODD_COLUMNS[name], "tier": ["a", "b"], "answer": ODD_COLUMNS[name]}
    pq.write_table(pa.table(columns), tmp_path / "o.parquet")
    assert_same_outcome(tmp_path / "o.parquet")


NUMBERS = {
    "32 bits": pa.array([0.1, None], pa.float32()),
    "whole numbers": pa.array([1, None]),
    "very large": pa.array([2**53 + 1, None]),
    "16 bits": pa.array(np.array([0.5, 0.25], np.float16)),
    "truths": pa.array([True, None]),
    "texts": pa.array(["0.5", ""]),
    "no number": pa.array([0.5, float("nan")]),
    "endless": pa.array([0.5, float("inf")]),
    "nulls": pa.nulls(2),
}


@pytest.mark.parametrize("column", ["score", "latency_s", "signal.x"])
@pytest.mark.parametrize("name", NUMBERS)
def test_parquet_may_hold_numbers_as(tmp_path: Path, name: str, column: str) -> None:
    columns = {"query_id": ["p", "q"], "tier": ["a", "a"], column: NUMBERS[name]}
    pq.write_table(pa.table(columns), tmp_path / "o.parquet")
    assert_same_outcome(tmp_path / "o.parquet")


def test_a_table_of_several_batches_is_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepdown.adapters.tables.columns.BATCH_ROWS", 3)
    table = [
        Outcome(query_id=f"q{i % 5}", tier=f"t{i // 5}", score=i / 20, signals={"x": i / 2})
        for i in range(20)
    ]
    table += [Outcome(query_id=f"q{i}", tier="late", prompt=f"p{i}") for i in range(5)]
    for ending in ENDINGS:
        path = tmp_path / f"o.{ending}"
        write_outcomes(path, table)
        assert_equal(read_panel(path), panel(table))


def test_only_some_tiers_are_read_and_a_query_none_of_them_answered_is_left_out(
    tmp_path: Path,
) -> None:
    table = [
        Outcome(query_id="q1", tier="big", score=1.0, prompt="what?", signals={"x": 0.5}),
        Outcome(query_id="q2", tier="big", score=1.0),
        Outcome(query_id="q1", tier="small", score=0.0),
        Outcome(query_id="q1", tier="small>big", score=0.0),
        Outcome(query_id="q1", tier="?vote", signals={"value": 0.75}),
    ]
    write_outcomes(tmp_path / "o.csv", table)
    found = read_panel(tmp_path / "o.csv", tiers=("small",))
    assert (found.query_ids, found.prompts) == (("q1",), ("what?",))
    assert (found.tiers, list(found.score)) == (("small",), ["small", "?vote"])
    assert {name: column.tolist() for name, column in found.signals.items()} == {"vote": [0.75]}


def write_pair(folder: Path, queries: Any, scores: Any) -> None:
    pq.write_table(pa.Table.from_pylist(queries), folder / "x.queries.parquet")
    pq.write_table(pa.Table.from_pylist(scores), folder / "x.scores.parquet")


QUERIES = [
    {"query_id": "1", "dataset": "d", "task": "law", "prompt": "p", "gold": "A"},
    {"query_id": "2", "dataset": "d", "task": None, "prompt": "p", "gold": None},
]
SCORES = [
    {"query_id": "1", "model": "m", "score": 1.0, "response": "A", "confidence": 0.75},
    {"query_id": "2", "model": "m", "score": 0.5, "response": None, "confidence": None},
]


def test_either_file_of_a_pair_stands_for_the_pair(tmp_path: Path) -> None:
    write_pair(tmp_path, QUERIES, SCORES)
    found = read_panel(tmp_path / "x.scores.parquet")
    assert_equal(found, read_panel(tmp_path / "x.queries.parquet"))
    assert_equal(found, panel(read_pair(tmp_path, "x")))
    assert (found.segments, found.truths) == (("law", "d"), ("A", None))
    assert found.groups[0] == found.groups[1]
    assert found.texts["m"] == ("A", None)
    assert found.signals["m.confidence"].tolist()[0] == 0.75


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"query_id": "3"}, "line 2: query '3' is not in the file of queries"),
        ({"query_id": "1"}, "line 2: query '1' has an outcome of 'm' on line 1"),
        ({"score": 1.5}, "line 2: query '2': score 1.5 is outside 0..1"),
        ({"score": float("nan")}, "line 2: column 'score' holds nan"),
        ({"model": None}, "line 2: column 'model' is empty"),
    ],
)
def test_a_bad_row_of_a_pair_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    write_pair(tmp_path, QUERIES, [SCORES[0], SCORES[1] | change])
    for read in (
        lambda: read_panel(tmp_path / "x.scores.parquet"),
        lambda: read_pair(tmp_path, "x"),
    ):
        with pytest.raises(DataError, match=r"x\.scores\.parquet") as refused:
            read()
        assert said in str(refused.value)


def test_a_half_of_a_pair_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, QUERIES, SCORES)
    (tmp_path / "x.queries.parquet").unlink()
    with pytest.raises(DataError, match=r"x\.queries\.parquet cannot be read"):
        read_panel(tmp_path / "x.scores.parquet")


@needs_data
@pytest.mark.parametrize("name", ["anytime_gsm8k", "routellm_gsm8k", "llmrouter_dcrouter"])
def test_a_recorded_pair_is_the_same_in_columns(name: str) -> None:
    folder = SHARED / "outcomes"
    found = read_pair_panel(folder, name)
    assert_equal(found, panel(read_pair(folder, name)))
    two = found.tiers[:2]
    assert read_pair_panel(folder, name, models=two).tiers == two
