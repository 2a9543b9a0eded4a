"""An extractor copies fields out of texts, knows how sure it is, and is one file every time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from pieces import Pieces, receipts

from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import DataError, WeightsError
from stepdown.ports.trainer import Example, TrainingJob, TrainingSet
from stepdown.stats.calibrate import ece
from stepdown.train.extractor import (
    Asked,
    Extracting,
    Extractor,
    ExtractorRecipe,
    ExtractorTrainer,
    Labelled,
    dump_extractor,
    fit_extractor,
    load_extractor,
    save_extractor,
)
from stepdown.train.extractor.candidates import Spans
from stepdown.train.extractor.reading import best_value
from stepdown.train.extractor.tokens import tokenise

FIELDS = ("shop", "address", "date", "total")
QUICK = ExtractorRecipe(penalties=(1.0,), max_iterations=40)


def same(_field: str, wanted: object, given: object) -> bool:
    return " ".join(str(wanted).split()).casefold() == " ".join(str(given).split()).casefold()


def fit(n: int = 80, fields: tuple[str, ...] = FIELDS, **how: Any) -> Extractor:
    texts, answers = receipts(n)
    for answer, changed in zip(answers, how.pop("changed", [{}] * n), strict=True):
        answer.update(changed)
    asked = {"task": "till", "name": "reader", "recipe": QUICK, "same": same, **how}
    return fit_extractor(Labelled(texts, answers, texts), Pieces(), Asked(fields=fields, **asked))


@cache
def fitted() -> Extractor:
    return fit()


def right(extractor: Extractor, n: int, field: str) -> tuple[list[float], list[float]]:
    """Return how sure it is of a field on fresh receipts, and whether it is right."""
    texts, answers = receipts(n, seed=2)
    read = [Extracting(extractor, Pieces()).read(text) for text in texts]
    sure = [one.sure[field] for one in read]
    good = [
        float(
            one.values[field] is None
            if answer[field] is None
            else one.values[field] is not None and same(field, answer[field], one.values[field])
        )
        for one, answer in zip(read, answers, strict=True)
    ]
    return sure, good


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_is_found_on_receipts_it_never_saw_and_its_confidence_is_honest(
    field: str,
) -> None:
    sure, good = right(fitted(), 120, field)
    assert np.mean(good) > 0.9
    assert ece(sure, good) < 0.08
    card = next(one for one in fitted().card.fields if one.name == field)
    assert card.accuracy is not None
    assert abs(card.accuracy - np.mean(good)) < 0.1


def test_an_address_of_several_lines_is_written_as_its_values_are() -> None:
    texts, answers = receipts(6, seed=3)
    for text, answer in zip(texts, answers, strict=True):
        found = Extracting(fitted(), Pieces()).read(text)
        assert "\n" in text
        assert same("address", answer["address"], found.values["address"])
    card = next(one for one in fitted().card.fields if one.name == "address")
    assert card.reach is not None
    assert card.reach.lines == 2
    assert card.reach.whole_lines


def test_absent_is_an_answer() -> None:
    sure, _ = right(fitted(), 60, "date")
    texts, answers = receipts(60, seed=2)
    read = [Extracting(fitted(), Pieces()).read(text).values["date"] for text in texts]
    wanted = [answer["date"] for answer in answers]
    assert None in wanted
    assert sum(a == b for a, b in zip(read, wanted, strict=True)) >= 57
    assert min(sure) >= 0
    assert max(sure) <= 1


def test_equal_data_give_equal_bytes_and_a_date_is_written_only_when_given() -> None:
    assert dump_extractor(fit(30)) == dump_extractor(fit(30))
    assert fit(30).card.created is None
    assert fit(30, created="2026-11-29").card.created == "2026-11-29"


def test_an_extractor_survives_its_file(tmp_path: Path) -> None:
    path = save_extractor(fitted(), tmp_path / "models")
    back = load_extractor(path)
    assert back.card == fitted().card
    text = receipts(1, seed=9)[0][0]
    assert Extracting(back, Pieces()).read(text) == Extracting(fitted(), Pieces()).read(text)
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert path.stat().st_size < 2_000_000


def test_a_file_that_is_missing_changed_or_no_extractor_is_refused(tmp_path: Path) -> None:
    from stepdown.core.digest import digest_bytes

    path = save_extractor(fitted(), tmp_path)
    data = path.read_bytes()
    with pytest.raises(WeightsError, match="Cannot read the extractor"):
        load_extractor(tmp_path / "none.safetensors")
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsError, match="has digest"):
        load_extractor(path, digest_bytes(data))
    for damage in (b"", b"x" * 40, data[:200], (2**62).to_bytes(8, "little") + b"{}"):
        path.write_bytes(damage)
        with pytest.raises(WeightsError, match="not an extractor"):
            load_extractor(path)


def test_numbers_that_cannot_be_and_cards_of_other_versions_are_refused() -> None:
    good = fitted()
    with pytest.raises(ValueError, match="dense of shape"):
        msgspec.structs.replace(good, dense=np.full_like(good.dense, np.nan))
    with pytest.raises(ValueError, match="ascending"):
        msgspec.structs.replace(good, features=good.features[::-1].copy())
    with pytest.raises(ValueError, match="reads tokens as"):
        msgspec.structs.replace(good.card, hashing="older/0")
    with pytest.raises(ValueError, match="file-name"):
        msgspec.structs.replace(good.card, task="../up")
    with pytest.raises(WeightsError, match="was trained on pieces"):
        Extracting(good, Pieces("other"))


def test_a_field_whose_values_are_not_in_the_text_is_answered_by_null_with_little_confidence() -> (
    None
):
    made_up = [{"date": f"invented {number}"} for number in range(60)]
    extractor = fit(60, changed=made_up)
    card = next(one for one in extractor.card.fields if one.name == "date")
    assert (card.present, card.found, card.reach) == (60, 0, None)
    found = Extracting(extractor, Pieces()).read(receipts(1, seed=4)[0][0])
    assert found.values["date"] is None
    assert found.sure["date"] == pytest.approx(1 / 62)
    assert found.values["total"] is not None


def test_a_field_that_is_almost_never_there_is_surely_absent() -> None:
    extractor = fit(60, fields=("total", "voucher"))
    found = Extracting(extractor, Pieces()).read(receipts(1, seed=4)[0][0])
    assert (found.values["voucher"], found.sure["voucher"]) == (None, pytest.approx(61 / 62))


def test_rows_that_nothing_can_be_learned_from_are_refused() -> None:
    with pytest.raises(DataError, match="No field can be learned"):
        fit(9)
    with pytest.raises(DataError, match="do not match"):
        Labelled(["a"], [], ["a"])
    with pytest.raises(DataError, match="too few to train on"):
        Labelled(["a", "b"], [{}, {}], ["same", "same"])


def test_texts_of_a_hundred_thousand_characters_and_empty_ones_are_read() -> None:
    reading = Extracting(fitted(), Pieces())
    long = "\n".join(receipts(800, seed=5)[0])[:100_000]
    assert set(reading.read(long).values) == set(FIELDS)
    nothing = reading.read(" \n ")
    assert set(nothing.values.values()) == {None}
    assert all(0 < one <= 1 for one in nothing.sure.values())
    assert set(reading.read("\ud800 \x00 ok").values) == set(FIELDS)


def test_equal_values_stand_together_against_a_likelier_single_span() -> None:
    tokens = tokenise("9.00 or 8.00 or 9.00")
    spans = Spans(np.array([0, 2, 4]), np.array([0, 2, 4]))
    found = best_value(tokens, spans, np.log([3.0, 4.0, 3.0]))
    assert found.span == "9.00"
    assert found.probability == pytest.approx(6 / 11)
    assert best_value(tokens, spans, np.log([0.2, 0.2, 0.2])).span is None


def job(folder: Path, n: int = 60, **how: Any) -> TrainingJob:
    texts, answers = receipts(n)
    rows = tuple(
        Example(id=f"{at:03}", input=text, answer=answer, group=f"{at:03}")
        for at, (text, answer) in enumerate(zip(texts, answers, strict=True))
    )
    task = Task(name="till", kind="extract", tiers=("reader", "top"), fields=FIELDS)
    return TrainingJob(
        task=how.pop("task", task),
        tier=Tier(name="reader", model="extractor:pieces"),
        data=TrainingSet(train=rows, digest="sha256:1"),
        folder=folder,
        **how,
    )


def trainer(**how: Any) -> ExtractorTrainer:
    return ExtractorTrainer(lambda _: Pieces(), lambda _: same, QUICK, **how)


async def test_a_job_makes_one_file_and_tells_of_each_field(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    made = await trainer().fit(job(tmp_path, step=lambda *step: told.append(step)))
    assert load_extractor(made.path, made.digest).card.task == "till"
    assert made.card["fields"][0]["name"] == "shop"
    assert any(
        note.startswith("total: ") and "right in cross-validation" in note for note in made.notes
    )
    assert ("fields", 4, 4) in told


async def test_an_interrupted_job_goes_on_with_the_fields_that_were_done(tmp_path: Path) -> None:
    def stop(stage: str, done: int, _total: int | None) -> None:
        if (stage, done) == ("fields", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer()._fit(job(tmp_path, step=stop))
    kept = sorted(path.name for path in tmp_path.glob("field-*"))
    stamps = [(tmp_path / name).stat().st_mtime_ns for name in kept]
    assert len(kept) == 2
    (tmp_path / kept[0]).write_bytes(b"damaged")
    made = await trainer().fit(job(tmp_path))
    assert [(tmp_path / name).stat().st_mtime_ns for name in kept][1] == stamps[1]
    fresh = await trainer().fit(job(tmp_path / "elsewhere"))
    assert made.digest == fresh.digest


async def test_when_the_time_is_up_fewer_penalties_are_tried_and_it_says_so(tmp_path: Path) -> None:
    clock = iter(np.arange(0.0, 1e6, 10.0).tolist())
    recipe = ExtractorRecipe(penalties=(3.0, 1.0, 0.3), max_iterations=20)
    slow = ExtractorTrainer(lambda _: Pieces(), lambda _: same, recipe, lambda: next(clock))
    made = await slow.fit(job(tmp_path, n=40, seconds=5.0))
    assert {one["penalty"] for one in made.card["fields"]} == {3.0}
    assert any("time was up" in note for note in made.notes)


def test_tiers_and_tasks_that_it_cannot_make_are_refused(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert trainer().refusal(one.task, one.tier) is None
    labels = Task(name="topic", kind="classify", tiers=("a",), labels=("x", "y"))
    assert "classify task" in str(trainer().refusal(labels, one.tier))
    head = Tier(name="reader", model="head:pieces")
    assert "extractor:ENCODER" in str(trainer().refusal(one.task, head))


async def test_an_answer_that_is_no_object_is_refused_by_its_row(tmp_path: Path) -> None:
    given = job(tmp_path, n=12)
    odd = msgspec.structs.replace(given.data.train[3], answer="9.00")
    data = msgspec.structs.replace(given.data, train=(*given.data.train[:3], odd))
    with pytest.raises(DataError, match=r"'003' is answered by '9\.00'"):
        await trainer().fit(msgspec.structs.replace(given, data=data))
