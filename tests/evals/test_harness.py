"""The harness: every call kept at once, every failure an outcome, nothing paid for twice."""

from typing import Any

import pytest
from eval_fakes import (
    DRAFT_TASK,
    LABEL_TASK,
    LABELS,
    PER_TOKEN,
    SMALL,
    USAGE,
    FakeModel,
    MemoryStore,
    samples,
)
from msgspec.structs import replace

from stepdown.core.contract import Prompt
from stepdown.core.request import Capabilities, Completion, Request, TokenLogprob
from stepdown.core.tier import Price, Tier
from stepdown.errors import DataError, Overloaded, TimedOut, Unavailable, WeightsError
from stepdown.errors import ModelError as ProviderError
from stepdown.evals.dataset import Sample
from stepdown.evals.harness import Patience, Progress, RunResult, Terms, run
from stepdown.evals.scorers import Score, Scorer
from stepdown.ports.run_store import SavedCall

NO_WAIT = Patience(overload_waits_s=(0.0, 0.0), give_up_after=3)


def right(request: Request) -> str:
    return LABELS[int(request.input.split()[-1]) % 3]


async def go(model: FakeModel, store: Any = None, n: int = 6, **more: Any) -> RunResult:
    task, tier = more.pop("task", LABEL_TASK), more.pop("tier", SMALL)
    chosen, scorer = more.pop("samples", samples(n)), more.pop("scorer", None)
    price = more.pop("price", PER_TOKEN)
    terms = Terms(**{"patience": NO_WAIT} | more)
    kept = store or MemoryStore()
    return await run(task, chosen, tier, model, price, kept, scorer=scorer, terms=terms)


async def test_every_sample_becomes_an_outcome_with_score_cost_latency_and_group() -> None:
    ticks = iter(float(i) for i in range(100))
    rows = [replace(sample, group="g") for sample in samples(2)]
    done = await go(FakeModel(right), samples=rows, clock=lambda: next(ticks))
    first = done.outcomes[0]
    assert [o.query_id for o in done.outcomes] == ["s0", "s1"]
    assert (first.score, first.answer, first.group, first.prompt) == (
        1.0,
        "refund",
        "g",
        "message 0",
    )
    assert first.cost_usd == pytest.approx((100 * 1.0 + 50 * 2.0) / 1e6)
    assert first.latency_s == 1.0


async def test_the_latency_that_a_tier_reports_is_preferred_and_priced_by_the_hour() -> None:
    model = FakeModel(lambda _: Completion(text="other", latency_s=0.5, usage=USAGE))
    done = await go(model, n=1, price=Price(usd_per_hour=3.6))
    assert done.outcomes[0].latency_s == 0.5
    assert done.outcomes[0].cost_usd == pytest.approx(0.0005)


async def test_a_recorded_tier_has_no_latency() -> None:
    model = FakeModel(lambda _: Completion(text="other", usage=USAGE, recorded=True))
    done = await go(model, n=1, tier=Tier(name="small", model="recorded:x.jsonl"))
    assert done.outcomes[0].latency_s is None
    assert done.outcomes[0].cost_usd is not None
    assert done.recorded


async def test_a_price_that_is_unknown_stays_none() -> None:
    assert (await go(FakeModel(right), n=1, price=Price())).outcomes[0].cost_usd is None


async def test_signals_are_those_that_serving_reads() -> None:
    said = Completion(text="hello", logprobs=(TokenLogprob("hello", 0.0),), familiarity=0.25)
    model = FakeModel(lambda _: said)
    model.capabilities = Capabilities(logprobs=True)
    rows = [Sample(id="s", input="x", reference=["hello"])]
    store = MemoryStore()
    first = await go(model, store, task=DRAFT_TASK, samples=rows)
    again = await go(model, store, task=DRAFT_TASK, samples=rows)
    assert model.asked[0].logprobs
    assert len(model.asked) == 1
    signals = first.outcomes[0].signals
    assert (signals["token_mean"], signals["familiarity"]) == (1.0, 0.25)
    assert again.outcomes == first.outcomes


@pytest.mark.parametrize(
    ("said", "score", "failure"),
    [
        ("no label", 0.0, "invalid_output"),
        (Completion(text="", finish_reason="refusal"), 0.0, "refusal"),
        (Completion(text="ref", finish_reason="length"), 0.0, "truncated"),
        (TimedOut("too slow"), 0.0, "deadline"),
        (ProviderError("status 500"), 0.0, "provider_error"),
        (Overloaded("full"), 0.0, "overloaded"),
        (Unavailable("no recording"), None, "unavailable"),
    ],
)
async def test_a_failure_is_an_outcome_with_a_kind_and_no_row_is_dropped(
    said: Any, score: float | None, failure: str
) -> None:
    done = await go(FakeModel(lambda r: said if r.id == "s1" else right(r)), n=3)
    assert [o.score for o in done.outcomes] == [1.0, score, 1.0]
    assert [o.failure for o in done.outcomes] == [None, failure, None]
    assert done.dead is None


async def test_what_was_answered_is_not_asked_again_whatever_its_score() -> None:
    store, model = MemoryStore(), FakeModel(lambda r: "no label" if r.id == "s1" else right(r))
    first = await go(model, store)
    second = await go(model, store)
    assert (first.called, first.reused, second.called, second.reused) == (6, 0, 0, 6)
    assert len(model.asked) == 6
    assert second.outcomes == first.outcomes


async def test_a_provider_that_failed_is_asked_again_but_a_missed_deadline_is_kept() -> None:
    errors = {"s0": ProviderError("500"), "s1": Unavailable("no key"), "s2": TimedOut("slow")}
    store = MemoryStore()
    await go(FakeModel(lambda r: errors.get(r.id) or right(r)), store)
    healed = FakeModel(right)
    done = await go(healed, store)
    assert [r.id for r in healed.asked] == ["s0", "s1"]
    assert [o.failure for o in done.outcomes[:3]] == [None, None, "deadline"]


async def test_a_changed_scorer_scores_again_without_calling_the_model() -> None:
    store, model = MemoryStore(), FakeModel(right)
    harsh = Scorer("harsh", 1, "a test", lambda *_: Score(0.25))
    first = await go(model, store)
    second = await go(model, store, scorer=harsh)
    assert len(model.asked) == 6
    assert {o.score for o in second.outcomes} == {0.25}
    assert first.scorer != second.scorer


async def test_another_input_prompt_or_tier_digest_is_called_anew() -> None:
    store = MemoryStore()
    await go(FakeModel(right), store)
    prompted = replace(LABEL_TASK, prompts={"small": Prompt("Q: {input}")})
    assert (await go(FakeModel(right), store, task=prompted)).called == 6
    assert (await go(FakeModel(right, digest="other"), store)).called == 6
    changed = (replace(samples(1)[0], input="another message 0"), *samples(6)[1:])
    assert (await go(FakeModel(right), store, samples=changed)).called == 1


async def test_a_sample_under_a_new_id_is_not_paid_for_again() -> None:
    store = MemoryStore()
    await go(FakeModel(right), store)
    renamed = [replace(sample, id=f"new-{sample.id}") for sample in samples(6)]
    done = await go(FakeModel(right), store, samples=renamed)
    assert done.called == 0
    assert [o.query_id for o in done.outcomes] == [s.id for s in renamed]


async def test_no_more_calls_run_at_once_than_allowed() -> None:
    model = FakeModel(right)
    done = await go(model, n=40, concurrency=7)
    assert model.most_at_once == 7
    assert [o.query_id for o in done.outcomes] == [s.id for s in samples(40)]


async def test_a_full_tier_is_waited_for() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    tries = iter([Overloaded("full"), Overloaded("full"), "refund"])
    patient = Patience(overload_waits_s=(0.5, 1.0, 2.0))
    done = await go(FakeModel(lambda _: next(tries)), n=1, sleep=sleep, patience=patient)
    assert done.outcomes[0].score == 1.0
    assert waits == [0.5, 1.0]


async def test_a_dead_tier_is_given_up_and_its_other_samples_are_unavailable() -> None:
    store, model = MemoryStore(), FakeModel(lambda _: ProviderError("status 503"))
    done = await go(model, store, n=10)
    assert len(model.asked) == 3
    assert done.dead == "3 failures in a row, the last: status 503"
    assert [o.failure for o in done.outcomes] == ["provider_error"] * 3 + ["unavailable"] * 7


async def test_a_tier_whose_weights_are_missing_is_given_up_at_once() -> None:
    model = FakeModel(lambda _: WeightsError("no such file"))
    done = await go(model, n=5)
    assert len(model.asked) == 1
    assert done.dead == "no such file"
    assert {o.failure for o in done.outcomes} == {"unavailable"}


async def test_recordings_that_are_missing_do_not_make_a_tier_dead() -> None:
    done = await go(FakeModel(lambda _: Unavailable("no recording")), n=30)
    assert done.dead is None
    assert {o.score for o in done.outcomes} == {None}


async def test_progress_counts_what_is_done_failed_reused_and_spent() -> None:
    store, seen = MemoryStore(), list[Progress]()
    await go(FakeModel(right), store, n=2)
    model = FakeModel(lambda r: "no label" if r.id == "s3" else right(r))
    ticks = iter(float(i) for i in range(100))
    await go(model, store, n=4, progress=seen.append, clock=lambda: next(ticks))
    last = seen[-1]
    assert (last.total, last.done, last.failed, last.reused) == (4, 4, 1, 2)
    assert last.tokens == 300
    assert last.cost_usd == pytest.approx(2 * 200 / 1e6)
    assert [p.done for p in seen] == [1, 2, 3, 4, 4]
    assert seen[-1].ended
    assert last.eta_s == 0.0


class FullDisk(MemoryStore):
    """A store that takes two calls."""

    def append(self, task: str, tier: str, *calls: SavedCall) -> None:
        for call in calls:
            if len(self.kept.get((task, tier), {})) == 2:
                raise DataError("disk full")
            super().append(task, tier, call)


async def test_a_full_disk_stops_the_run_and_loses_nothing_that_had_finished() -> None:
    store = FullDisk()
    with pytest.raises(DataError, match="disk full"):
        await go(FakeModel(right), store, concurrency=3)
    assert len(store.calls("intent", "small")) == 2


async def test_a_bug_in_an_adapter_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await go(FakeModel(lambda _: ZeroDivisionError("bug")))
