"""What is counted in bounded memory is what a plain count says, in any order and in any parts."""

from collections import Counter

import numpy as np
import pytest

from stepdown.audit.repeats import Repeats
from stepdown.audit.sketch import Distinct, Frequencies, Quantiles, Sample, hash64, hashes64

RNG = np.random.default_rng(11)


def test_digests_of_many_texts_are_those_of_each() -> None:
    texts = ["a", "b", "", "Straße", "a"]
    assert hashes64(texts).tolist() == [hash64(text) for text in texts]


def test_quantiles_are_exact_while_few_and_within_one_percent_beyond() -> None:
    values = RNG.lognormal(0, 1, 25_000)
    few, many = Quantiles(), Quantiles()
    few.extend(values[:10_000])
    for part in np.array_split(values, 7):
        many.extend(part)
    assert (few.exact, many.exact) == (True, False)
    for share in (0.0, 0.5, 0.95, 1.0):
        assert few.at(share) == np.quantile(values[:10_000], share, method="lower")
        wanted = np.quantile(values, share, method="lower")
        assert many.at(share) == pytest.approx(wanted, rel=0.0101)


def test_quantiles_of_two_parts_are_those_of_the_whole() -> None:
    values = np.concatenate([[0.0, 0.0], RNG.exponential(1, 15_000)])
    whole, first, second = Quantiles(), Quantiles(), Quantiles()
    whole.extend(values)
    first.extend(values[:12_000])
    second.extend(values[12_000:])
    first.merge(second)
    shares = np.linspace(0, 1, 21).tolist()
    assert [first.at(share) for share in shares] == [whole.at(share) for share in shares]


def test_different_texts_are_counted_exactly_while_few_and_nearly_beyond() -> None:
    digests = hashes64(f"text {n % 60_000}" for n in range(80_000))
    few, many = Distinct(), Distinct()
    few.extend(digests[:15_000])
    for part in np.array_split(digests, 9):
        many.extend(part)
    assert (few.count(), few.exact) == (15_000, True)
    assert (many.count(), many.exact) == (pytest.approx(60_000, rel=0.03), False)


def test_numbers_are_counted_in_any_parts() -> None:
    values = RNG.integers(0, 500, 40_000)
    found, other = Frequencies(), Frequencies()
    for part in np.array_split(values[:30_000], 11):
        found.extend(part)
    other.extend(values[30_000:])
    found.merge(other)
    counted = Counter(values.tolist())
    assert found.counts().tolist() == [counted[value] for value in sorted(counted)]


def repeats(digests: np.ndarray, failed: np.ndarray, pico: np.ndarray, parts: int) -> Repeats:
    found = Repeats(keep=1000)
    for rows in np.array_split(np.arange(len(digests)), parts):
        one = Repeats(keep=1000)
        one.extend(digests[rows], failed[rows], pico[rows])
        found.merge(one)
    return found


def test_repeats_are_what_a_plain_count_says_whole_or_in_parts() -> None:
    digests = hashes64(f"request {n}" for n in RNG.integers(0, 900, 5000))
    failed, pico = RNG.random(5000) < 0.2, RNG.integers(1, 10**9, 5000)
    answered, errors, spent = Counter[int](), Counter[int](), Counter[int]()
    for digest, bad, money in zip(digests.tolist(), failed, pico.tolist(), strict=True):
        answered[digest] += not bad
        errors[digest] += bool(bad)
        spent[digest] += 0 if bad else money
    duplicates = sum(n - 1 for n in answered.values() if n)
    paid = sum(spent[d] * (n - 1) // n for d, n in answered.items() if n)
    tries = sum(n if answered[d] else n - 1 for d, n in errors.items() if n)
    for parts in (1, 6):
        found = repeats(digests, failed, pico, parts)
        assert (found.duplicates, found.duplicates_pico, found.retries, found.exact) == (
            duplicates, paid, tries, True,
        )  # fmt: skip


def test_very_many_requests_are_followed_in_part_the_same_in_any_order() -> None:
    digests = hashes64(f"request {n}" for n in RNG.integers(0, 20_000, 50_000))
    failed, pico = np.zeros(50_000, bool), np.ones(50_000, np.int64)
    order = RNG.permutation(50_000)
    one, two = repeats(digests, failed, pico, 3), repeats(digests[order], failed, pico, 8)
    assert (one.duplicates, one.exact) == (two.duplicates, False)
    assert one.duplicates == pytest.approx(50_000 - len(np.unique(digests)), rel=0.15)


def sampled(keys: list[int], sizes: list[int], parts: int) -> list[int]:
    found: Sample[int] = Sample(50, 4000, 10)
    for rows in np.array_split(np.arange(len(keys)), parts):
        one: Sample[int] = Sample(50, 4000, 10)
        for row in rows.tolist():
            one.add(keys[row], keys[row], sizes[row])
        found.merge(one)
    return found.items()


@pytest.mark.parametrize("size", [10, 150, 5000])
def test_a_sample_is_bounded_in_size_and_the_same_in_any_order(size: int) -> None:
    keys = [hash64(f"call {n}") for n in range(2000)]
    sizes = [size + n % 7 for n in range(2000)]
    order = RNG.permutation(2000).tolist()
    shuffled = sampled([keys[n] for n in order], [sizes[n] for n in order], 5)
    whole = sampled(keys, sizes, 1)
    assert whole == shuffled == sorted(keys)[: len(whole)]
    assert len(whole) == {10: 50, 150: 26, 5000: 10}[size]
