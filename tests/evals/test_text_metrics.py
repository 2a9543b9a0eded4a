"""Text metrics against values that others calculated; each line of the vectors says who.

Values of sacrebleu and rouge-score were taken from the libraries themselves, in the versions that a
line names, one text at a time; those by hand are fractions of counted tokens.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.evals import text_metrics as metrics

LINES = (Path(__file__).with_name("text_vectors.jsonl")).read_text(encoding="utf-8").splitlines()
VECTORS = [json.loads(line) for line in LINES]
METRICS = {
    "chrf": metrics.chrf,
    "chrf_plus_plus": metrics.chrf_plus_plus,
    "bleu": metrics.bleu,
    "rouge1": metrics.rouge("rouge1"),
    "rouge2": metrics.rouge("rouge2"),
    "rougeL": metrics.rouge("rougeL"),
    "token_f1_squad": metrics.token_f1_squad,
    "token_f1_set": metrics.token_f1_set,
}
CHEAP = ("token_f1_squad", "token_f1_set", "chrf", "rouge1", "rougeL")
texts = st.text(alphabet="aAb the.,'é0 \n", max_size=30)
some = st.lists(texts, min_size=1, max_size=3)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['metric']}: {v['answer'][:24]}")
def test_a_metric_gives_what_its_source_gives(vector: dict[str, object]) -> None:
    found = METRICS[str(vector["metric"])](vector["answer"], vector["references"])
    assert found == pytest.approx(vector["expected"], abs=1e-8)


def test_there_are_vectors_of_every_metric() -> None:
    assert len(VECTORS) >= 70
    assert {vector["metric"] for vector in VECTORS} == set(METRICS)


def test_the_two_token_f1_differ_where_tools_do() -> None:
    assert metrics.token_f1_squad("very very very good", ["very good"]) == pytest.approx(2 / 3)
    assert metrics.token_f1_set("very very very good", ["very good"]) == 1.0


@settings(deadline=None)  # libraries load at the first text
@given(texts, some)
def test_every_metric_stays_within_0_and_1(answer: str, references: list[str]) -> None:
    for name, metric in METRICS.items():
        assert 0 <= metric(answer, references) <= 1, name


@settings(deadline=None)  # libraries load at the first text
@given(texts, some)
def test_the_order_of_references_means_nothing_and_more_never_hurt(
    answer: str, references: list[str]
) -> None:
    for name in CHEAP:
        metric = METRICS[name]
        whole = metric(answer, references)
        assert whole == pytest.approx(metric(answer, references[::-1]))
        assert whole >= metric(answer, references[:1]) - 1e-9


@given(texts)
def test_the_normaliser_of_squad_does_nothing_the_second_time(text: str) -> None:
    once = metrics.squad_normalised(text)
    assert metrics.squad_normalised(once) == once


@given(texts, texts)
def test_token_f1_does_not_care_which_text_is_the_reference(a: str, b: str) -> None:
    for name in ("token_f1_squad", "token_f1_set"):
        assert METRICS[name](a, [b]) == pytest.approx(METRICS[name](b, [a]))


@given(st.lists(st.sampled_from(["cat", "dog", "owl"]), min_size=1, max_size=6))
def test_token_f1_does_not_care_about_the_order_of_words(words: list[str]) -> None:
    answer, turned = " ".join(words), " ".join(words[::-1])
    assert metrics.token_f1_squad(answer, [turned]) == 1.0
    assert metrics.token_f1_set(answer, [turned]) == 1.0


@pytest.mark.parametrize(("name", "module"), [("chrf", "sacrebleu"), ("rouge", "rouge_score")])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(name: str, module: str) -> None:
    call = "metrics.rouge('rouge1')('a', ['a'])" if name == "rouge" else "metrics.chrf('a', ['a'])"
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from stepdown.evals import text_metrics as metrics\n"
        "from stepdown.errors import ConfigError\n"
        f"try: {call}\n"
        "except ConfigError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "stepdown[text]" in done.stdout


def test_no_library_is_loaded_before_the_first_text() -> None:
    program = (
        "import sys, stepdown.evals.text_metrics\n"
        "print([m for m in ('sacrebleu', 'rouge_score', 'nltk') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
