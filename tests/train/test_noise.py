"""Label noise is found where it was put, and dropped only where that is measured to help."""

from __future__ import annotations

import numpy as np
from letters import Letters

from stepdown.ports.trainer import Example
from stepdown.train.noise import gain_of_dropping, noise_of

SAID = {"a": "aaaa", "b": "bbbb", "c": "cccc"}


def clear(n: int, flipped: frozenset[int] = frozenset(), seed: int = 1) -> list[Example]:
    """Rows whose label is plain from their letters, some with the next label instead."""
    rng, names = np.random.default_rng(seed), sorted(SAID)
    found = []
    for at in range(n):
        label = names[at % 3]
        noise = "".join(rng.choice(list("xyzuvw"), 2))
        said = names[(at + 1) % 3] if at in flipped else label
        found.append(
            Example(id=f"{seed}-{at}", input=SAID[label] + noise, answer=said, group=f"{seed}-{at}")
        )
    return found


def test_rows_with_a_wrong_label_are_suspect_and_others_are_not() -> None:
    flipped = frozenset(range(0, 300, 20))
    found = noise_of(clear(300, flipped), Letters())
    assert found is not None
    wrong = {f"1-{at}" for at in flipped}
    assert set(found.suspects) <= wrong
    assert len(found.suspects) >= len(wrong) - 2
    assert found.disagree >= len(flipped)
    assert found.examples[0].label != found.examples[0].model_says


def test_rows_without_noise_have_no_suspects() -> None:
    found = noise_of(clear(90), Letters())
    assert found is not None
    assert found.suspects == ()


def test_what_cannot_be_cross_validated_has_no_report() -> None:
    assert noise_of(clear(90)[::3], Letters()) is None
    same_group = [Example(id=r.id, input=r.input, answer=r.answer, group="g") for r in clear(9)]
    assert noise_of(same_group, Letters()) is None


def test_dropping_pays_where_much_is_wrong_one_way() -> None:
    flipped = frozenset(at for at in range(300) if at % 3 == 0 and at % 5)
    gain = gain_of_dropping(
        clear(300, flipped),
        clear(90, seed=2),
        frozenset(f"1-{at}" for at in flipped),
        Letters(),
    )
    assert gain is not None
    assert gain.pays
    assert gain.value > 0.2


def test_dropping_right_rows_does_not_pay() -> None:
    gain = gain_of_dropping(clear(90), clear(90, seed=2), frozenset(["1-0", "1-3"]), Letters())
    assert gain is not None
    assert not gain.pays


def test_without_validation_rows_nothing_is_measured() -> None:
    assert gain_of_dropping(clear(90), [], frozenset(["1-0"]), Letters()) is None
