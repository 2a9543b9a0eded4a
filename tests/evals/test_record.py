"""A run is a record: the same inputs give the same digest, and every answer can be read back."""

from typing import Any

from eval_fakes import LABEL_TASK, LABELS, PER_TOKEN, SMALL, FakeModel, MemoryStore, samples
from msgspec.structs import replace

from stepdown.core.contract import Prompt
from stepdown.core.request import Request
from stepdown.errors import ModelError as ProviderError
from stepdown.evals.asking import row_of
from stepdown.evals.harness import Asked, Terms, run_tier
from stepdown.evals.record import Finished, cases, head_of, save
from stepdown.evals.roster import Enrolling
from stepdown.evals.scorers import Score, Scorer, scorer_of
from stepdown.evals.tally import Tally
from stepdown.ports.run_store import RunHead

HARSH = Scorer("harsh", 1, "a test", lambda *_: Score(0.25))


def right(request: Request) -> str:
    return LABELS[int(request.input.split()[-1]) % 3]


async def recorded(
    store: MemoryStore, *, answer: Any = right, rows: Any = None, **more: Any
) -> RunHead:
    chosen = samples(6) if rows is None else rows
    task = more.get("task", LABEL_TASK)
    repeat = more.get("repeat", 1)
    enrolling = Enrolling()
    order = store.keep_samples(task.name, enrolling.through(chosen))
    roster = enrolling.roster()
    tier = replace(SMALL, price=more.get("price", PER_TOKEN))
    model = FakeModel(answer, digest=more.get("digest", "fake"))
    asked = Asked(task, tier, model, more.get("scorer") or scorer_of(task))
    tally = Tally(roster.n, repeat, store.scratch())

    def sink(i: int, k: int, found: Any, call: Any, reused: bool) -> None:
        tally.put(i, row_of(found, call, repeat=k, reused=reused))

    terms = Terms(repeat=repeat, concurrency=3)
    done = await run_tier(asked, chosen, roster.n, roster.twins, store, sink, terms)
    finished = [Finished(asked, done, tally)]
    head = head_of(task, finished, roster=roster, order=order, seed=1, repeat=repeat)
    save(store, head, finished)
    return head


async def test_the_same_inputs_give_the_same_digest_whatever_their_order() -> None:
    store = MemoryStore()
    first = await recorded(store)
    again = await recorded(store, rows=samples(6)[::-1])
    assert first.digest == again.digest
    assert first.samples == again.samples
    assert first.order != again.order


async def test_whatever_decides_an_answer_or_a_score_changes_the_digest() -> None:
    store = MemoryStore()
    prompted = replace(LABEL_TASK, prompts={"small": Prompt("Q: {input}")})
    found = [
        await recorded(store),
        await recorded(store, rows=samples(5)),
        await recorded(store, rows=[replace(s, reference="other") for s in samples(6)]),
        await recorded(store, digest="another model"),
        await recorded(store, scorer=HARSH),
        await recorded(store, task=prompted),
        await recorded(store, repeat=2),
    ]
    assert len({head.digest for head in found}) == len(found)


async def test_prices_do_not_change_the_digest() -> None:
    cheap = replace(PER_TOKEN, input_usd_per_mtok=0.5)
    found = {(await recorded(MemoryStore(), price=p)).digest for p in (PER_TOKEN, cheap)}
    assert len(found) == 1


async def test_every_answer_stands_beside_its_sample_and_score() -> None:
    store = MemoryStore()
    head = await recorded(store, answer=lambda r: "no label" if r.id == "s1" else right(r))
    found = list(cases(store, head, "small"))
    assert [case.sample for case in found] == list(samples(6))
    assert [case.row.sample_id for case in found] == [s.id for s in samples(6)]
    assert (found[1].answer, found[1].row.failure, found[1].row.score) == (
        "no label",
        "invalid_output",
        0.0,
    )
    assert found[1].row.detail == "expected a label of the set, got 'no label'"
    assert (found[0].answer, found[0].row.score, found[0].row.input_tokens) == ("refund", 1.0, 100)
    part = head.part("small")
    assert part is not None
    assert (part.n, part.called, part.failures) == (6, 6, {"invalid_output": 1})


async def test_each_repeat_is_a_call_and_a_row_of_its_own() -> None:
    store = MemoryStore()
    head = await recorded(store, repeat=3)
    found = list(cases(store, head, "small"))
    assert [case.row.repeat for case in found] == [0, 1, 2] * 6
    assert len({case.row.call for case in found}) == 18
    assert (await recorded(store, repeat=3)).part("small").called == 0  # type: ignore[union-attr]
    assert (await recorded(store, repeat=4)).part("small").called == 6  # type: ignore[union-attr]


async def test_two_rows_that_ask_the_same_are_paid_for_once() -> None:
    store = MemoryStore()
    twins = [*samples(3), *(replace(s, id=f"twin-{s.id}") for s in samples(3))]
    head = await recorded(store, rows=twins)
    part = head.part("small")
    assert part is not None
    assert (part.called, part.reused) == (3, 3)
    assert [case.row.reused for case in cases(store, head, "small")] == [False] * 3 + [True] * 3


async def test_a_run_read_again_from_kept_answers_leaves_the_first_record_as_it_was() -> None:
    store = MemoryStore()
    head = await recorded(store)
    before = store.kept_rows[head.digest, "small"]
    await recorded(store)
    assert store.kept_rows[head.digest, "small"] == before
    assert not any(row.reused for row in before)


async def test_a_tier_that_was_given_up_is_recorded_with_the_reason() -> None:
    store = MemoryStore()
    head = await recorded(store, rows=samples(30), answer=lambda _: ProviderError("status 503"))
    part = head.part("small")
    assert part is not None
    assert part.stopped == "20 failures in a row, the last: status 503"
    assert not head.whole
    healed = await recorded(store, rows=samples(30))
    assert (healed.digest, healed.whole) == (head.digest, True)
    assert store.heads[head.digest].whole


async def test_a_scorer_that_raises_fails_that_sample_and_says_so() -> None:
    def picky(_task: Any, sample: Any, _answer: str) -> Score:
        if sample.id == "s2":
            raise ValueError("cannot score this")
        return Score(1.0)

    store = MemoryStore()
    head = await recorded(store, scorer=Scorer("picky", 1, "a test", picky))
    rows = store.kept_rows[head.digest, "small"]
    assert [row.failure for row in rows] == [None, None, "scorer_error", None, None, None]
    assert rows[2].detail == "picky/1 raised ValueError: cannot score this"
    assert rows[2].score == 0.0
