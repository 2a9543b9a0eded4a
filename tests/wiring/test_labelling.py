"""`label` end to end on the tiny project: whom it asks about what, and what certify makes of it."""

from __future__ import annotations

import asyncio
import itertools
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_project import envelope, pool, stepdown, write_jsonl, write_project

from stepdown.adapters.tables.judgement_files import JudgementFile
from stepdown.core.judgement import Judgement
from stepdown.errors import StepdownError
from stepdown.stats.noninferiority import certify_path
from stepdown.wiring.certifying import certify, gather
from stepdown.wiring.label_facts import Facts, label_facts
from stepdown.wiring.labelling import Card, Labelling, check_name
from stepdown.wiring.pool import pool_of
from stepdown.wiring.workspace import Workspace

TRUTH = {f"pool:{row['id']}": row["truth"] for row in pool()}


def opened(folder: Path) -> Facts:
    async def run() -> Facts:
        workspace = Workspace.open(folder)
        try:
            return await label_facts(workspace, workspace.project.task("topic"))
        finally:
            await workspace.aclose()

    return asyncio.run(run())


def file_of(folder: Path) -> JudgementFile:
    return JudgementFile(folder / "labels", "topic")


def desk_of(folder: Path, facts: Facts, by: str = "ann") -> Labelling:
    return Labelling(facts, file_of(folder), by, now=lambda: "2026-11-22T10:00:00+00:00")


def right(card: Card) -> list[str]:
    """What a labeller says who knows the truth."""
    return [key for key, text in card.answers if text == TRUTH[card.query_id]]


def until_decided(desk: Labelling, said: Callable[[Card], list[str]] = right) -> list[Card]:
    cards = []
    while (card := desk.draw("next")) is not None:
        desk.say(card, said(card))
        cards.append(card)
    return cards


def status(folder: Path) -> dict[str, Any]:
    done = stepdown("label", "topic", "--status", "--json", "--by", "ann", "-p", folder)
    return dict(envelope(done)["data"])


def locked(folder: Path) -> dict[str, Any]:
    text = (folder / "stepdown.lock").read_text()
    return dict(tomllib.loads(text)["tasks"]["topic"])


def test_only_disagreements_with_the_ceiling_are_asked_and_a_quarter_suffices(
    pooled: Path,
) -> None:
    facts = opened(pooled)
    cards = until_decided(desk_of(pooled, facts))
    assert cards
    assert all(len(card.answers) == 2 for card in cards)
    assert len(cards) < facts.pool / 4
    assert len({card.query_id for card in cards}) == len(cards)


def test_a_bound_stands_before_the_first_label_and_tightens_with_each(pooled: Path) -> None:
    desk = desk_of(pooled, opened(pooled))
    before = [desk.standing().bound_worst]
    assert before[0] < 1
    while (card := desk.draw("next")) is not None:
        desk.say(card, right(card))
        before.append(desk.standing().bound_worst)
    assert before[-1] <= desk.facts.question.epsilon < before[0]
    assert all(later <= earlier for earlier, later in itertools.pairwise(before))


@pytest.mark.parametrize("who", ["knows the truth", "finds every cheap answer wrong"])
def test_the_verdict_after_stopping_is_that_of_all_labels_and_of_certify(
    pooled: Path, who: str
) -> None:
    facts = opened(pooled)
    desk = desk_of(pooled, facts)
    ceiling = {o.query_id: o.answer for o in facts.outcomes if o.tier == "frontier"}

    def said(card: Card) -> list[str]:
        if who == "knows the truth":
            return right(card)
        return [key for key, text in card.answers if text == ceiling[card.query_id]]

    until_decided(desk, said)
    stopped, asked = desk.standing().certified, desk.labelled
    assert desk.standing().decided
    assert stepdown("certify", "-p", pooled).exit_code == (0 if stopped else 1)
    everybody = facts.outcomes
    for query in dict.fromkeys(one.query_id for one in everybody):
        card = desk._card(query, "all of them")
        desk.say(card, said(card))
    labels = desk.labels()
    assert desk.labelled > asked
    assert labels.known.all()
    q = facts.question
    all_labels = certify_path(
        labels.difference,
        q.epsilon,
        q.delta,
        q.start,
        scores=q.scores,
        seed=q.seed,
        second_start=q.second_start,
    )
    assert all_labels.chosen == stopped
    assert (stopped > 0) == (who == "knows the truth")
    again = stepdown("certify", "-p", pooled)
    assert again.exit_code == (0 if stopped else 1)


def passed_by_certify(folder: Path) -> int:
    """The furthest policy of the path that certify passes on what was said until now."""

    async def run() -> int:
        workspace = Workspace.open(folder)
        task = workspace.project.task("topic")
        try:
            gathered = await gather(workspace, task)
            tested = certify(workspace, task, gathered).tested
        finally:
            await workspace.aclose()
        return 0 if tested is None else max((0, *tested.passed))

    return asyncio.run(run())


def grouped(folder: Path) -> None:
    """Give every eight rows of the data, and of the pool, a conversation of their own."""
    for name in ("rows.jsonl", "pool.jsonl"):
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        for number, line in enumerate(lines):
            line["talk"] = f"{name} {number // 8}"
        write_jsonl(folder / name, lines)
    rewrite(folder, 'pool = "pool.jsonl"', 'pool = "pool.jsonl"\ngroup = "talk"')
    rewrite(folder, "max_loss = 0.02", "max_loss = 0.15")
    assert stepdown("train", "-p", folder).exit_code == 0


def repeated(folder: Path) -> None:
    """Put near-duplicates into the pool: one row of each group is tested."""
    lines = [json.loads(line) for line in (folder / "pool.jsonl").read_text().splitlines()]
    again = [{"id": f"{one['id']}b", "text": f"{one['text']} Ok."} for one in lines[::3]]
    write_jsonl(folder / "pool.jsonl", lines + again)
    answers = [json.loads(line) for line in (folder / "frontier.jsonl").read_text().splitlines()]
    twins = [{**one, "id": f"{one['id']}b"} for one in answers if one["id"].startswith("p")]
    write_jsonl(folder / "frontier.jsonl", answers + twins)


@pytest.mark.parametrize("change", [None, grouped, repeated])
def test_what_label_says_is_certified_now_is_what_certify_passes_at_every_moment(
    pooled: Path, change: Callable[[Path], None] | None
) -> None:
    if change is not None:
        change(pooled)
    facts = opened(pooled)
    desk = desk_of(pooled, facts)
    seen = set()
    for _ in range(40):
        card = desk.draw("next")
        if card is None:
            break
        truth = TRUTH[card.query_id.removesuffix("b")]
        desk.say(card, [key for key, text in card.answers if text == truth])
        assert desk.standing().certified == passed_by_certify(pooled)
        seen.add(desk.standing().certified)
    assert desk.standing().decided
    assert len(seen) > 1


def test_certify_uses_the_pool_once_a_label_exists_and_says_so(pooled: Path) -> None:
    stepdown("label", "topic", "--by", "ann", "--limit", "2", "-p", pooled, stdin="1\n1\n")
    done = stepdown("certify", "-p", pooled)
    guarantee = locked(pooled)["guarantee"]
    assert "150 rows of the pool beside them, 2 judged by people" in guarantee["split"]
    assert guarantee["n_certify"] == 206
    assert {"pool", "labels"} <= set(guarantee["data"])
    assert "148 of 150 pool rows are not judged" in " ".join(done.output.split())


def test_without_a_label_certify_does_not_touch_the_pool(pooled: Path) -> None:
    stepdown("certify", "-p", pooled)
    assert locked(pooled)["guarantee"]["n_certify"] == 56


def test_more_labels_are_the_same_look_at_the_same_rows(pooled: Path) -> None:
    facts = opened(pooled)
    desk = desk_of(pooled, facts)
    card = desk.draw("next")
    assert card is not None
    desk.say(card, right(card))
    assert stepdown("certify", "-p", pooled).exit_code == 1
    until_decided(desk)
    assert stepdown("certify", "-p", pooled).exit_code == 0
    guarantee = locked(pooled)["guarantee"]
    assert len(guarantee["looks"]) == 1
    assert guarantee["delta"] == 0.2


def test_rows_that_certify_has_spent_leave_the_pool_to_test_alone(pooled: Path) -> None:
    stepdown("certify", "-p", pooled)
    facts = opened(pooled)
    assert facts.alone
    assert facts.question.n == facts.pool == 150
    until_decided(desk_of(pooled, facts))
    assert "tests alone" in stepdown("label", "topic", "--status", "-p", pooled).output
    stepdown("certify", "-p", pooled)
    guarantee = locked(pooled)["guarantee"]
    assert guarantee["n_certify"] == 150
    assert guarantee["delta"] == 0.2
    assert "in place of rows that an earlier test has spent" in guarantee["split"]


def test_relook_takes_the_spent_rows_again_and_states_the_risk(pooled: Path) -> None:
    stepdown("certify", "-p", pooled)
    until_decided(desk_of(pooled, opened(pooled)))
    stepdown("certify", "--relook", "-p", pooled)
    guarantee = locked(pooled)["guarantee"]
    assert guarantee["n_certify"] == 206
    assert guarantee["delta"] == pytest.approx(0.4)


def test_a_label_is_on_disk_before_the_next_question_so_a_kill_loses_none(
    pooled: Path,
) -> None:
    facts = opened(pooled)
    desk = desk_of(pooled, facts)
    first = desk.draw("next")
    assert first is not None
    desk.say(first, right(first))
    assert [one.query_id for one in file_of(pooled).read()] == [first.query_id]
    desk.draw("next")  # and here the process dies
    later = desk_of(pooled, facts)
    assert later.labelled == 1
    second = later.draw("next")
    assert second is not None
    assert second.query_id != first.query_id


def test_undo_takes_the_last_label_back_and_asks_again(pooled: Path) -> None:
    desk = desk_of(pooled, opened(pooled))
    assert desk.undo() is None
    card = desk.draw("next")
    assert card is not None
    desk.say(card, [])
    assert desk.undo() == card.query_id
    assert desk.labelled == 0
    assert desk.draw("next") == card


def test_undo_brings_back_what_the_person_had_said_before(pooled: Path) -> None:
    facts = opened(pooled)
    card = desk_of(pooled, facts).draw("next")
    assert card is not None
    desk_of(pooled, facts).say(card, right(card))
    later = desk_of(pooled, facts)
    later.say(card, [])
    later.undo()
    assert file_of(pooled).read()[-1].right == tuple(right(card))


def test_two_who_disagree_leave_the_row_unlabelled_until_it_is_resolved(
    pooled: Path,
) -> None:
    facts = opened(pooled)
    ann = desk_of(pooled, facts)
    card = ann.draw("next")
    assert card is not None
    ann.say(card, right(card))
    bob = desk_of(pooled, facts, "bob")
    unseen = bob.draw("second")
    assert unseen is not None
    assert unseen.answers == card.answers
    bob.say(unseen, [])
    assert bob.draw("second") is None
    assert (bob.disputed, bob.labelled) == ((card.query_id,), 0)
    assert status(pooled)["disputed"] == [card.query_id]
    assert all(c.query_id != card.query_id for c in until_decided(bob))
    cy = desk_of(pooled, facts, "cy")
    open_ = cy.draw("dispute")
    assert open_ is not None
    cy.say(open_, right(open_), resolves=True)
    assert cy.disputed == ()
    assert cy.draw("dispute") is None
    assert cy.labelled >= 1


def test_answers_are_shown_in_an_order_that_does_not_tell_their_tier(pooled: Path) -> None:
    facts = opened(pooled)
    tiers = {(o.query_id, o.answer): o.tier for o in facts.outcomes}
    cards = until_decided(desk_of(pooled, facts))
    first = {tiers[card.query_id, card.answers[0][1]] for card in cards}
    assert first == {"expert", "frontier"}


def test_a_skipped_question_is_not_asked_again_in_this_session(pooled: Path) -> None:
    desk = desk_of(pooled, opened(pooled))
    card = desk.draw("next")
    assert card is not None
    desk.skip(card)
    other = desk.draw("next")
    assert other is not None
    assert other.query_id != card.query_id
    assert file_of(pooled).read() == ()


def test_a_row_of_the_pool_that_resembles_a_tune_row_is_left_out(pooled: Path) -> None:
    workspace = Workspace.open(pooled)
    task = workspace.project.task("topic")
    rows = {part: workspace.whole_split.parts[part][0].input for part in ("tune", "train")}
    near = [{"id": f"near-{part}", "text": f"{text} Ok."} for part, text in rows.items()]
    old = [{k: row[k] for k in ("id", "text")} for row in pool()]
    write_jsonl(pooled / "pool.jsonl", old + near)
    found = pool_of(Workspace.open(pooled), task)
    assert found.left_out == 2
    assert len(found.samples) == len(old)


def test_a_row_of_the_pool_that_resembles_a_certify_row_is_of_its_group(pooled: Path) -> None:
    workspace = Workspace.open(pooled)
    one = workspace.whole_split.parts["certify"][0]
    write_jsonl(pooled / "pool.jsonl", [{"id": "near", "text": f"{one.input} Ok."}])
    found = pool_of(Workspace.open(pooled), workspace.project.task("topic"))
    assert found.left_out == 0
    assert found.samples[0].group == found.groups[one.id]


def refusal(folder: Path, *args: str) -> str:
    done = stepdown("label", "topic", "--by", "ann", "-p", folder, *args)
    assert done.exit_code == 2
    return " ".join(done.stderr.split())


def rewrite(folder: Path, old: str, new: str) -> None:
    path = folder / "stepdown.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_project_without_a_pool_is_told_how_to_name_one(tmp_path: Path) -> None:
    said = refusal(write_project(tmp_path / "tiny"))
    assert "names no unlabelled rows" in said
    assert 'pool = "FILE"' in said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "pool.jsonl holds no rows"),
        ([{"id": "a"}], "line 1: needs 'id' and a text 'text'"),
        ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "the id 'a' stands on line 1 too"),
    ],
)
def test_a_pool_that_cannot_be_used_is_refused_by_line(
    pooled: Path, rows: list[dict[str, str]], said: str
) -> None:
    write_jsonl(pooled / "pool.jsonl", rows)
    assert said in refusal(pooled)


@pytest.mark.parametrize(
    ("promise", "said"),
    [
        ("min_agreement = 0.9", "no label can change it"),
        ("max_loss = 0.1, recall = { billing = 0.9 }", "recall needs rows that were labelled"),
    ],
)
def test_a_promise_that_labels_of_disagreements_cannot_help_is_refused_with_advice(
    pooled: Path, promise: str, said: str
) -> None:
    rewrite(pooled, "max_loss = 0.02", promise)
    assert said in refusal(pooled)


def test_thresholds_set_by_hand_are_decided_by_no_label(pooled: Path) -> None:
    rewrite(pooled, 'store = "full"', 'store = "full"\nthresholds = { expert = 0.5 }')
    assert "set by hand" in refusal(pooled)


def test_a_second_opinion_and_a_resolution_are_not_asked_at_once(pooled: Path) -> None:
    assert "different rows" in refusal(pooled, "--second", "--resolve")


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "a\nb"])
def test_a_name_that_cannot_sign_is_refused(name: str) -> None:
    with pytest.raises(StepdownError, match="not a name"):
        check_name(name)


def test_a_torn_line_of_labels_is_named(pooled: Path) -> None:
    file_of(pooled).append(Judgement(query_id="pool:p1", by="ann", at="now", right=("a",)))
    path = pooled / "labels" / "topic.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    assert "line 1: not a judgement" in refusal(pooled)


def test_a_session_at_the_keyboard_says_where_it_stands_after_each_key(pooled: Path) -> None:
    done = stepdown("label", "topic", "--by", "ann", "-p", pooled, stdin="x\n1\nu\ns\nq\n")
    assert done.exit_code == 1
    assert "'x' is no answer here" in done.stderr
    assert "Taken back" in done.stderr
    assert "0 labelled; the loss is under" in done.stderr
    assert "Not decided yet" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_the_end_of_input_stops_and_keeps_what_was_said(pooled: Path) -> None:
    done = stepdown("label", "topic", "--by", "ann", "-p", pooled, "--json", stdin="1\nb\n")
    assert done.exit_code == 1
    assert envelope(done)["data"]["labels"] == 2
    assert status(pooled)["labels"] == 2
    lines = (pooled / "labels" / "topic.jsonl").read_text().splitlines()
    assert [len(json.loads(line)["right"]) for line in lines] == [1, 2]


def test_a_limit_ends_the_session(pooled: Path) -> None:
    stepdown("label", "topic", "--by", "ann", "-p", pooled, "--limit", "1", stdin="1\n1\n1\n")
    assert status(pooled)["labels"] == 1
