"""The outcome table survives every format, and a bad cell is named."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepdown.adapters.tables.outcome_files import read_outcomes, write_outcomes
from stepdown.adapters.tables.paired_files import read_pair
from stepdown.adapters.tables.rows import read_rows
from stepdown.core.outcome import Outcome
from stepdown.errors import DataError

SHARED = Path(os.environ.get("STEPDOWN_DATA", Path(__file__).parents[2] / "../shared/data"))
SHARED_OUTCOMES = SHARED / "outcomes"
needs_data = pytest.mark.skipif(
    not SHARED_OUTCOMES.exists(), reason="needs shared data (set STEPDOWN_DATA)"
)

TABLE = [
    Outcome(
        query_id="q1",
        tier="small",
        score=0.1 + 0.2,
        cost_usd=1e-7,
        latency_s=0.25,
        signals={"confidence": 0.9, "margin": 1 / 3},
        answer='{"a": "x, y\n\\"z\\""}',
        group="g",
        prompt="p",
    ),
    Outcome(query_id="q1", tier="big", failure="unavailable"),
    Outcome(query_id="007", tier="small", score=0.0, failure="invalid_output", answer="nö"),
]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)
NUMBER = st.none() | st.floats(0, 1, allow_subnormal=False)


@st.composite
def tables(draw: st.DrawFn) -> list[Outcome]:
    n = draw(st.integers(1, 5))
    return [
        Outcome(
            query_id=f"q{i}",
            tier=draw(TEXT),
            score=draw(NUMBER),
            cost_usd=draw(NUMBER),
            latency_s=draw(NUMBER),
            signals=draw(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(-1, 1))),
            answer=draw(st.none() | TEXT),
            failure=draw(st.none() | TEXT),
        )
        for i in range(n)
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_every_format_gives_back_what_was_written(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"outcomes.{ending}"
    write_outcomes(path, TABLE)
    assert read_outcomes(path) == TABLE


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(table=tables())
def test_whatever_the_outcomes_they_come_back(
    tmp_path: Path, ending: str, table: list[Outcome]
) -> None:
    path = tmp_path / f"outcomes.{ending}"
    write_outcomes(path, table)
    assert read_outcomes(path) == table


def test_the_columns_are_those_that_are_published(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.csv"
    write_outcomes(path, TABLE)
    assert path.read_text().splitlines()[0] == (
        "query_id,tier,score,cost_usd,latency_s,signal.confidence,signal.margin,"
        "answer,group,prompt,segment,truth,failure"
    )


def test_unknown_cells_are_null_in_parquet_and_never_zero(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.parquet"
    write_outcomes(path, TABLE)
    rows = [row for _, row in read_rows(path)]
    assert rows[1]["score"] is None
    assert rows[1]["signal.confidence"] is None


@pytest.mark.parametrize(
    ("head", "row", "said"),
    [
        ("query_id,tier,score", "q,t,high", "line 2: column 'score' holds 'high', not a number"),
        ("query_id,tier,score", "q,t,nan", "line 2: column 'score' holds 'nan'"),
        ("query_id,tier,score", "q,t,1.5", "line 2: query 'q': score 1.5 is outside 0..1"),
        ("query_id,tier,cost_usd", "q,t,-1", "line 2: query 'q': cost_usd -1.0"),
        ("query_id,tier,signal.x", "q,t,?", "line 2: column 'signal.x' holds '?'"),
        ("query_id,tier,latency", "q,t,1", "Did you mean 'latency_s'"),
        ("query_id,score", "q,1", "line 2: column 'tier' is empty or missing"),
        ("query_id,tier", ",t", "line 2: column 'query_id' is empty or missing"),
        ("query_id,tier", "q,t\nq,t", "line 3: query 'q' has an outcome of 't' on line 2"),
    ],
)
def test_a_bad_cell_is_refused_with_file_line_and_column(
    tmp_path: Path, head: str, row: str, said: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"{head}\n{row}\n")
    with pytest.raises(DataError, match=r"bad\.csv, line") as refused:
        read_outcomes(path)
    assert said in str(refused.value)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"outcomes.{ending}"
    write_outcomes(path, TABLE)
    broken = Outcome(query_id="q", tier="t", answer="\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_outcomes(path, [broken])
    assert read_outcomes(path) == TABLE
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_outcomes(tmp_path / "file" / "o.csv", TABLE)


@needs_data
def test_a_recorded_pair_becomes_outcomes_with_confidence_and_groups() -> None:
    outcomes = read_pair(SHARED_OUTCOMES, "anytime_gsm8k")
    assert len(outcomes) == 5276
    assert all(o.confidence is None or 0 <= o.confidence <= 1 for o in outcomes)
    assert sum(o.confidence is not None for o in outcomes) > 1000
    assert len({o.tier for o in outcomes}) == 4


@needs_data
def test_contaminated_rows_of_a_pair_are_dropped() -> None:
    outcomes = read_pair(SHARED_OUTCOMES, "routellm_gsm8k")
    marked = {
        row["query_id"]
        for _, row in read_rows(SHARED_OUTCOMES / "routellm_gsm8k.queries.parquet")
        if row["contaminated"]
    }
    assert marked
    assert not marked & {o.query_id for o in outcomes}
    assert len(outcomes) == 2 * (1319 - len(marked))


@needs_data
def test_duplicate_prompts_of_a_pair_share_a_group() -> None:
    outcomes = read_pair(SHARED_OUTCOMES, "llmrouter_dcrouter", models=frozenset({"x"}))
    assert outcomes == []
    first = next(
        row["model"] for _, row in read_rows(SHARED_OUTCOMES / "llmrouter_dcrouter.scores.parquet")
    )
    kept = read_pair(SHARED_OUTCOMES, "llmrouter_dcrouter", models=frozenset({first}))
    assert len({o.group for o in kept}) == len({o.prompt for o in kept}) < len(kept)


def test_a_missing_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.queries\.parquet cannot be read"):
        read_pair(tmp_path, "none")
