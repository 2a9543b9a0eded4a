"""A plot shows what is known, hides nothing silently, and no name covers another."""

import itertools
import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepdown.adapters.render.axis import linear_axis, log_axis
from stepdown.adapters.render.labels import Box, place
from stepdown.adapters.render.plot import MOST_POINTS, NARROW, WIDE, drawn, notes, svg
from stepdown.core.report import Plot, Point

NUMBERS = st.floats() | st.sampled_from((0.0, -0.0, 1.0, 1e300, 5e-324, 0.3))


def plot(points: list[Point], *, x_log: bool = False, diagonal: bool = False) -> Plot:
    return Plot(
        title="T",
        x_label="x",
        y_label="y",
        x_unit="usd",
        y_unit="score",
        points=tuple(points),
        x_log=x_log,
        diagonal=diagonal,
    )


def draw(value: Plot) -> str:
    return svg(value, drawn(value), WIDE, "k") + svg(value, drawn(value), NARROW, "k")


def marks(text: str) -> int:
    return len(re.findall(r"<(?:circle|polygon)", text))


def test_thousands_of_points_are_thinned_and_it_is_said(scatter: Plot) -> None:
    chosen = drawn(scatter)
    assert 300 <= len(chosen.points) <= MOST_POINTS
    assert f"{len(chosen.points)} of 2,406 points are drawn" in notes(scatter, chosen)[0]


def test_thinning_keeps_named_and_chosen_points_and_the_best(scatter: Plot) -> None:
    kept = set(drawn(scatter).points)
    assert {p for p in scatter.points if p.label and math.isfinite(p.x)} <= kept
    unnamed = [p for p in scatter.points if not p.label]
    assert max(unnamed, key=lambda p: p.y).y in {p.y for p in kept}


def test_a_point_without_a_value_is_not_drawn_and_is_counted() -> None:
    value = plot([Point(1, 0.5), Point(math.nan, 0.5), Point(1, math.inf)])
    assert marks(svg(value, drawn(value), WIDE, "k")) == 1
    assert notes(value, drawn(value)) == ("Not drawn, because a value is unknown: 2 points.",)


def test_a_zero_on_a_log_axis_is_not_drawn_and_is_counted() -> None:
    value = plot([Point(0, 0.5), Point(1, 0.5), Point(10, 0.7)], x_log=True)
    assert notes(value, drawn(value)) == ("Not drawn, because a log axis has no zero: 1 point.",)


def test_a_log_axis_without_positive_values_becomes_linear() -> None:
    value = plot([Point(0, 0.5), Point(0, 0.7)], x_log=True)
    assert not drawn(value).log
    assert "log scale" not in draw(value)


@pytest.mark.parametrize("points", [[], [Point(0.001, 0.9)], [Point(0.001, 0.9)] * 5])
@pytest.mark.parametrize("x_log", [False, True])
def test_no_point_one_point_and_equal_points_can_be_drawn(
    points: list[Point], *, x_log: bool
) -> None:
    text = draw(plot(points, x_log=x_log))
    assert marks(text) == 2 * len(points)
    assert "nan" not in text


def test_the_chosen_point_is_ringed_named_and_described() -> None:
    text = draw(plot([Point(1, 0.5), Point(2, 0.7, label="best", chosen=True)]))
    assert 'class="ring"' in text
    assert re.search(r'class="[^"]*picked">best<', text)
    assert "Chosen: best: $2.00, 0.700." in text


def test_each_series_has_its_own_shape_and_class() -> None:
    text = draw(plot([Point(1, 0.5, series="a"), Point(2, 0.7, series="b")]))
    assert re.search(r'class="s0"><circle', text)
    assert re.search(r'class="s1"><polygon', text)


def test_a_reliability_diagram_has_equal_axes_and_its_diagonal() -> None:
    text = draw(plot([Point(0.2, 0.3, 0.1, 0.5, label="n=12"), Point(0.9, 0.8)], diagonal=True))
    assert 'class="diagonal"' in text
    assert "n=12" in text
    assert text.count('class="whisker"') == 2


def test_a_point_tells_its_figures_when_pointed_at() -> None:
    text = draw(plot([Point(0.00123, 0.913, 0.88, 0.94, label="expert", series="single")]))
    assert "<title>expert, single: $0.00123, 0.913 [0.88, 0.94]</title>" in text


def test_names_never_cover_each_other_or_a_mark() -> None:
    random.seed(3)
    spots = [(random.uniform(20, 700), random.uniform(20, 380)) for _ in range(40)]
    walls = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    frame = Box(0, 0, 760, 420)
    labels = place([(f"policy {x:.0f}", x, y, False) for x, y in spots], walls, [], frame)
    assert len(labels) > 20
    assert all(frame.holds(label.box) for label in labels)
    assert not any(label.box.meets(wall) for label in labels for wall in walls)
    boxes = [label.box for label in labels]
    assert not any(a.meets(b) for a, b in itertools.combinations(boxes, 2))


def test_the_name_of_the_chosen_point_is_set_even_in_a_crowd() -> None:
    crowd = [Box(x, 0, x + 30, 200) for x in range(0, 300, 20)]
    labels = place([("best", 150, 100, True), ("other", 160, 90, False)], crowd, [], crowd_frame())
    assert [label.text for label in labels] == ["best"]


def crowd_frame() -> Box:
    return Box(0, 0, 300, 200)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.86, 0.93], ["0.86", "0.88", "0.90", "0.92", "0.94"]),
        ([0.0, 1.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([1.0], ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]),
    ],
)
def test_linear_marks_are_round_numbers(values: list[float], texts: list[str]) -> None:
    assert [text for _, text in linear_axis(values, "score", 5).marks] == texts


def test_log_marks_are_powers_of_ten_when_there_is_little_room() -> None:
    axis = log_axis([0.00002, 0.03], "usd", 4)
    assert [text for _, text in axis.marks] == ["$0.0001", "$0.001", "$0.01"]
    assert axis.at(axis.low) == 0
    assert axis.at(axis.high) == 1


@settings(max_examples=80, deadline=None)
@given(
    xs=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=8),
    x_log=st.booleans(),
    diagonal=st.booleans(),
)
def test_any_numbers_can_be_drawn_inside_the_paper(
    xs: list[tuple[float, float, float, float]], *, x_log: bool, diagonal: bool
) -> None:
    value = plot([Point(*x, label="p") for x in xs], x_log=x_log, diagonal=diagonal)
    wide = svg(value, drawn(value), WIDE, "k")
    assert not re.search(r'="[^"]*(nan|inf|e[+-]\d)', wide)
    places = [float(v) for v in re.findall(r'c?x[12]?="(-?[\d.]+)"', wide)]
    assert all(-1 <= v <= WIDE.width + 1 for v in places)
