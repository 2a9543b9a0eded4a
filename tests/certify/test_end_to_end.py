"""One task certified end to end on odd data: determinism, live against replay, gaps, time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from populations import terms

from stepdown.certify import certify as certifying
from stepdown.certify.calibration import with_confidence
from stepdown.certify.case import case_of, given
from stepdown.certify.certify import certify_task, search
from stepdown.certify.evidence import Certified, Evidence
from stepdown.certify.routing import mix
from stepdown.certify.supply import Sources, raw_signals, supplied
from stepdown.certify.tested import shared
from stepdown.certify.verifier import with_shapes
from stepdown.core.derived import Linear
from stepdown.core.replay_array import Panel, replay_array
from stepdown.core.task import Promise, Task

TIERS = ("small", "middle", "big")
SKILL = {"small": 1.2, "middle": 2.2, "big": 3.5}
WORDS = ("refund", "parcel", "late", "invoice", "7", "12", "total", "is", "maybe", "because")


def drawn(n: int, part: str, seed: int = 0, tiers: tuple[str, ...] = TIERS, **more: Any) -> Panel:
    """Rows with prompts, answers long enough to have a shape, segments, costs and one signal."""
    rng = np.random.default_rng([seed, len(part), n])
    hard = rng.normal(size=n)
    score, answers, texts, signals = {}, {}, {}, {}
    for place, tier in enumerate(tiers):
        chance = 1 / (1 + np.exp(hard - SKILL.get(tier, 1.0 + 0.1 * place)))
        right = rng.random(n) < chance
        said = np.where(right, 0, rng.integers(1, 5, n))
        score[tier] = right.astype(float)
        answers[tier] = said.astype(np.int32)
        signals[f"{tier}.label_prob"] = np.clip(chance + 0.1 * rng.normal(size=n), 0, 1)
        texts[tier] = tuple(f"{' '.join(rng.choice(WORDS, 12))} = {code}" for code in said)
    made = Panel(
        query_ids=tuple(f"{part}{i}" for i in range(n)),
        groups=(None,) * n,
        score=score,
        cost_usd={t: np.full(n, 4.0**i / 4 ** len(tiers)) for i, t in enumerate(tiers)},
        latency_s={t: np.full(n, 0.1) for t in tiers},
        available={t: np.ones(n, dtype=bool) for t in tiers},
        failure={t: np.zeros(n, dtype=np.int32) for t in tiers},
        signals=signals,
        answers=answers,
        prompts=tuple(f"{part}{i} {' '.join(rng.choice(WORDS, 9))}" for i in range(n)),
        segments=tuple("hard" if h > 0.5 else "easy" for h in hard),
        texts=texts,
    )
    return msgspec.structs.replace(made, **more)


def certified(tune: Panel, test: Panel, promise: Promise | None = None, **more: Any) -> Certified:
    tiers = tuple(tune.score)
    task = Task(name="t", kind="draft", tiers=tiers, promise=promise or Promise(max_loss=0.1))
    return certify_task(task, evidence(tune, test, **more), terms())


def evidence(tune: Panel, test: Panel, **more: Any) -> Evidence:
    return Evidence(
        tune=tune, certify=test, n_train=0, split="s", data={}, **{"binary": True, **more}
    )


def changed(table: Panel, name: str, column: Mapping[str, NDArray[Any]]) -> Panel:
    return msgspec.structs.replace(table, **{name: {**getattr(table, name), **column}})


def test_the_shape_of_few_answers_among_many_rows_is_read_at_once() -> None:
    n = 300_000
    table = drawn(1, "a", tiers=("small", "big")).take(np.zeros(n, dtype=np.intp))
    said = ("7 + 5 = 12",) * 500 + (None,) * (n - 500)
    table = msgspec.structs.replace(table, texts={"small": said})
    begun = time.process_time()
    shaped = with_shapes(table, "small")
    assert time.process_time() - begun < 3
    assert (~np.isnan(shaped.signals["small.shape_words"])).sum() == 500


def test_the_start_is_placed_by_the_rows_that_the_path_was_measured_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certifying, "SEARCH_ROWS", 200)
    task = Task(name="t", kind="draft", tiers=TIERS, promise=Promise(min_score=0.8))
    given_rows = evidence(drawn(2000, "a"), drawn(600, "b"))
    case = case_of(task, given_rows, terms(), given(task, given_rows))
    laid = search(case)
    assert max(one.standings[0].rows for one in laid.along) <= laid.case.tune.n
    kept = max(one.standings[0].rows / laid.case.tune.n for one in laid.along)
    assert kept == pytest.approx(max(one.kept for one in laid.along), abs=0.05)
    assert laid.case.tune.n == 200


def test_the_statement_counts_all_tune_rows_where_a_sample_was_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certifying, "SEARCH_ROWS", 200)
    done = certified(drawn(500, "a"), drawn(300, "b"))
    assert done.locked.guarantee.n_tune == 500


def test_what_two_cheap_tiers_agree_on_is_offered_without_any_fit() -> None:
    tune = msgspec.structs.replace(drawn(60, "a"), signals={}, texts={}, segments=(), prompts=())
    done = certified(tune, drawn(100, "b"))
    assert any("middle=small" in "".join(one.policy.signals) for one in done.found)


def test_each_row_alone_gets_the_answer_that_it_got_among_all() -> None:
    done = certified(drawn(400, "a"), drawn(600, "b"))
    assert done.state == "certified"
    locked, bare = done.locked, with_confidence(drawn(80, "c"), done.locked.confidence)
    sources = Sources(locked.guarantee.seed or 0, done.triage)
    wanted = raw_signals([(locked.policy, locked.signals)])

    def answers(table: Panel) -> list[str | None]:
        read = supplied(table, wanted, sources)
        return list(replay_array(locked.policy, read, locked.signals).answer)

    alone = [answers(bare.take(np.array([i]))) for i in range(bare.n)]
    assert [one for (one,) in alone] == answers(bare)


CHILD = """
import sys; sys.path[:0] = [{tests!r}]
from test_end_to_end import certified, drawn, fingerprint
print(fingerprint(certified(drawn(300, "a"), drawn(450, "b"))))
"""


def fingerprint(done: Certified) -> str:
    plain = [done.locked.policy, done.locked.signals, done.locked.guarantee.looks]
    return json.dumps(msgspec.to_builtins([plain[1], plain[2], repr(plain[0])]), sort_keys=True)


def test_two_processes_with_other_hash_seeds_write_the_same_lock() -> None:
    code = CHILD.format(tests=str(Path(__file__).parent))
    said = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert "small" in said[0]


@pytest.mark.parametrize("odd", ["no prompts", "half the texts", "one segment", "empty texts"])
def test_tables_that_lack_texts_are_certified(odd: str) -> None:
    def spoilt(table: Panel) -> Panel:
        if odd == "no prompts":
            return msgspec.structs.replace(table, prompts=())
        if odd == "one segment":
            return msgspec.structs.replace(table, segments=("all",) * table.n)
        if odd == "empty texts":
            return msgspec.structs.replace(
                table, prompts=("",) * table.n, texts=dict.fromkeys(TIERS, ("",) * table.n)
            )
        half = {
            t: tuple(x if i % 2 else None for i, x in enumerate(c)) for t, c in table.texts.items()
        }
        gone = tuple(p if i % 2 else None for i, p in enumerate(table.prompts))
        return msgspec.structs.replace(table, texts=half, prompts=gone)

    assert certified(spoilt(drawn(200, "a")), spoilt(drawn(500, "b"))).state == "certified"


@pytest.mark.parametrize("lacks", ["prompts", "texts", "segments", "one prompt"])
def test_nothing_is_learned_from_what_the_certify_rows_do_not_tell(lacks: str) -> None:
    test = drawn(500, "b")
    gone: dict[str, Any] = {
        "prompts": {"prompts": ()},
        "texts": {"texts": {}},
        "segments": {"segments": ()},
        "one prompt": {"prompts": (None, *test.prompts[1:])},
    }[lacks]
    done = certified(drawn(400, "a"), msgspec.structs.replace(test, **gone), encoder=Spelled())
    read = raw_signals((one.policy, one.derived) for one in done.found)
    unread = {"texts": ".shape_", "segments": "triage."}.get(lacks, "triage.familiar")
    assert not any(unread in name for name in read)


class Spelled:
    """An encoder that tells prompts apart by their words."""

    name, digest, dim = "spelled", "sha256:spelled", len(WORDS)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count(word) for word in WORDS] for text in texts], np.float32)


def test_policies_that_differ_in_the_last_digits_are_one_test() -> None:
    done = certified(drawn(300, "a"), drawn(450, "b"))
    learned = [one for one in done.along if one.derived]
    assert learned

    def nudged(value: Any) -> Any:
        if isinstance(value, Linear):
            weights = tuple(np.nextafter(w, np.inf) for w in value.weights)
            return msgspec.structs.replace(value, weights=tuple(map(float, weights)))
        return value

    moved = [
        msgspec.structs.replace(one, derived={k: nudged(v) for k, v in one.derived.items()})
        for one in learned
    ]
    before, after = (certifying._tested_digest(done.task, each) for each in (learned, moved))
    assert moved != learned
    assert before == after


def test_tiers_that_lack_outcomes_and_costs_are_certified() -> None:
    def spoilt(table: Panel) -> Panel:
        there = np.arange(table.n) % 3 > 0
        table = changed(table, "available", {"middle": there})
        table = changed(table, "score", {"middle": np.where(there, table.score["middle"], np.nan)})
        table = changed(table, "answers", {"middle": np.where(there, table.answers["middle"], -1)})
        return changed(table, "cost_usd", {"small": np.full(table.n, np.nan)})

    done = certified(spoilt(drawn(300, "a")), spoilt(drawn(600, "b")))
    assert done.state in ("certified", "ceiling")


def test_twenty_nine_tiers_are_searched_in_seconds() -> None:
    tiers = (*(f"t{i}" for i in range(28)), "big")
    begun = time.process_time()
    done = certified(drawn(120, "a", tiers=tiers), drawn(180, "b", tiers=tiers))
    assert time.process_time() - begun < 20
    assert done.state in ("certified", "ceiling")


def test_scores_that_are_all_equal_leave_the_cheapest_tier() -> None:
    def even(table: Panel) -> Panel:
        return changed(table, "score", {t: np.ones(table.n) for t in TIERS})

    done = certified(even(drawn(40, "a")), even(drawn(400, "b")))
    assert done.state == "certified"
    done_at = replay_array(done.locked.policy, done.certify_table, done.locked.signals)
    assert done_at.answered_by("small").all()


def test_a_formula_that_policies_read_differently_is_not_shared() -> None:
    done = certified(drawn(300, "a"), drawn(450, "b"))
    made = shared(done.along)
    assert made
    for one in done.along:
        assert all(one.derived[name] == made[name] for name in made.keys() & one.derived.keys())
    table = done.certify_table
    for one in done.along:
        alone = replay_array(one.policy, table, one.derived)
        together = replay_array(one.policy, table.with_derived(made), one.derived)
        assert np.array_equal(alone.answer_at, together.answer_at)


def test_a_mix_asks_the_dearer_tier_where_its_draw_is_not_known() -> None:
    table = drawn(50, "a")
    done = replay_array(mix("small", "big", 0.3, TIERS), table)
    assert done.answered_by("big").all()
    shared_out = supplied(drawn(4000, "a"), ["draw"], Sources(1))
    done = replay_array(mix("small", "big", 0.3, TIERS), shared_out)
    assert float(done.answered_by("big").mean()) == pytest.approx(0.3, abs=0.03)
