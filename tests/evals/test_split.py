"""Splits keep groups whole, and come out the same everywhere."""

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepdown.errors import ConfigError, DataError
from stepdown.evals import duplicates
from stepdown.evals.dataset import Sample
from stepdown.evals.duplicates import Joined, join_near, normalised
from stepdown.evals.split import group_samples, regrouped, split

SHARES = {"train": 0.5, "tune": 0.25, "certify": 0.25}
LONG = (
    "hello there i ordered a blue lamp from your shop two weeks ago and it has still not come "
    "could you please tell me where it is and when i can expect it at home thank you very much"
)


def made(n: int, labels: int = 5, per_group: int = 1, seed: int = 1) -> list[Sample]:
    words = random.Random(seed)
    return [
        Sample(
            id=f"s{i:05d}",
            input=" ".join(f"w{words.randrange(10**6):x}q" for _ in range(8)),
            reference=f"label{i % labels}",
            group=f"g{i // per_group}" if per_group > 1 else None,
        )
        for i in range(n)
    ]


def test_no_group_stands_in_two_parts() -> None:
    done = split(made(600, per_group=3), SHARES)
    groups = [{done.group_of(s.id) for s in part} for part in done.parts.values()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    keys = [{s.group for s in part} for part in done.parts.values()]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), min_size=30, max_size=80))
def test_whatever_the_groups_the_parts_are_disjoint_and_complete(
    rows: list[tuple[int, int]],
) -> None:
    samples = [
        Sample(id=str(i), input=f"text {'abcdefghijklm'[g]}", reference=str(label), group=f"g{g}")
        for i, (g, label) in enumerate(rows)
    ]
    if len({s.group for s in samples}) < 8:
        return
    done = split(samples, {"a": 0.6, "b": 0.4})
    assert sorted(s.id for part in done.parts.values() for s in part) == sorted(
        s.id for s in samples
    )
    assert not {s.group for s in done.parts["a"]} & {s.group for s in done.parts["b"]}


def test_the_parts_have_their_shares_of_every_label() -> None:
    done = split(made(1000, labels=4), SHARES)
    for name, share in SHARES.items():
        counts = Counter(s.reference for s in done.parts[name])
        assert all(abs(count - share * 250) <= 2 for count in counts.values()), (name, counts)


def test_rare_labels_do_not_all_go_to_the_largest_part() -> None:
    samples = made(300, labels=300)
    assert len(split(samples, SHARES).parts["certify"]) == pytest.approx(75, abs=2)


def test_the_order_of_the_rows_does_not_matter() -> None:
    samples = made(200, per_group=2)
    other = random.Random(2).sample(samples, len(samples))
    first, second = split(samples, SHARES), split(other, SHARES)
    assert first.seed == second.seed
    assert {s.id for s in first.parts["certify"]} == {s.id for s in second.parts["certify"]}
    assert first.digests() == second.digests()


def test_other_data_gives_another_seed() -> None:
    assert split(made(100), SHARES).seed != split(made(100, seed=3), SHARES).seed


def test_near_duplicates_stay_together_though_no_group_is_given() -> None:
    twin = LONG.replace("blue", "red")
    samples = [
        *made(50),
        *(Sample(id=i, input=t, reference="x") for i, t in (("t1", LONG), ("t2", twin))),
    ]
    groups = group_samples(samples)
    assert groups["t1"] == groups["t2"]
    assert len(set(groups.values())) == 51


def test_texts_that_differ_only_in_numbers_case_and_punctuation_are_duplicates() -> None:
    a = Sample(id="a", input="Where is order 4711?", reference="x")
    b = Sample(id="b", input="where is order 12...", reference="x")
    assert len(set(group_samples([a, b]).values())) == 1


def test_a_near_duplicate_joins_the_group_keys_of_both() -> None:
    rows = [("a", "g1", LONG), ("b", "g1", "something else entirely"), ("c", "g2", LONG)]
    groups = group_samples([Sample(id=i, input=t, reference="x", group=g) for i, g, t in rows])
    assert len(set(groups.values())) == 1


def test_group_keys_can_be_set_aside() -> None:
    done = split(made(100, per_group=25), {"a": 0.5, "b": 0.5}, by_group=False)
    assert {s.group for s in done.parts["a"]} & {s.group for s in done.parts["b"]}
    assert "by near-duplicates" in done.description


def test_four_shops_make_three_parts_of_whole_shops() -> None:
    done = split(made(200, per_group=50), SHARES)
    assert [len({s.group for s in part}) for part in done.parts.values()] == [2, 1, 1]
    assert "4 groups of 200 samples" in done.description


def test_too_few_groups_for_the_parts_are_refused() -> None:
    with pytest.raises(DataError, match="cannot fill the part"):
        split(made(100, per_group=50), SHARES)


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}])
def test_shares_that_are_no_division_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="shares of a split"):
        split(made(20), shares)


def test_samples_can_carry_the_groups_of_the_split() -> None:
    samples = made(10)
    done = split(samples, {"a": 0.5, "b": 0.5})
    assert [s.group for s in regrouped(samples, done.groups)] == [
        done.groups[s.id] for s in samples
    ]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(max(1, len(words) - 2))}


def joined_by_brute_force(texts: list[str]) -> Joined:
    slow = Joined(len(texts))
    sets = [shingles(normalised(text)) for text in texts]
    for i in range(len(texts)):
        for j in range(i):
            alike = len(sets[i] & sets[j]) >= 0.8 * len(sets[i] | sets[j])
            if alike and texts[i] and texts[j]:
                slow.join(i, j)
    return slow


def test_texts_that_are_not_known_are_like_no_other() -> None:
    joined = Joined(4)
    join_near(joined, ["", "same", "", "same"])
    assert roots(joined, 4) == [0, 1, 2, 1]


def roots(joined: Joined, n: int) -> list[int]:
    return [joined.find(i) for i in range(n)]


@pytest.mark.parametrize("wide", [2, 64])  # with 2 nearly all pairs go the way of wide groups
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=st.lists(st.lists(st.sampled_from("abcde"), max_size=12), max_size=25))
def test_prefix_filtering_finds_exactly_what_comparing_all_pairs_finds(
    monkeypatch: pytest.MonkeyPatch, wide: int, words: list[list[str]]
) -> None:
    monkeypatch.setattr(duplicates, "WIDE", wide)
    texts = [" ".join(each) for each in words]
    quick = Joined(len(texts))
    join_near(quick, texts)
    assert roots(quick, len(texts)) == roots(joined_by_brute_force(texts), len(texts))


def test_many_messages_of_one_template_are_one_group() -> None:
    names = [f"{a}{b}{c}" for a in "abcdefgh" for b in "abcdefgh" for c in "abcdefgh"]
    said = "my parcel has not come since Monday, please tell me where it is now, thank you, {}"
    joined = Joined(len(names))
    join_near(joined, [said.format(name) for name in names])
    assert set(roots(joined, len(names))) == {0}


@given(st.text(st.characters(codec="ascii")))
def test_plain_texts_are_normalised_as_all_others_are(text: str) -> None:
    marked = normalised(text + " ü")
    assert marked == f"{normalised(text)} ü".strip()
