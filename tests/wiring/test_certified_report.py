"""The report of a certification, and the side file of the path that was tested."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from io import StringIO
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from rich.console import Console

from stepdown.adapters.render.html import html_document
from stepdown.adapters.render.terminal import print_document
from stepdown.certify.evidence import Certified
from stepdown.core.report import Document, Plot, Table
from stepdown.errors import DataError
from stepdown.wiring.alternatives import MOST, alternatives
from stepdown.wiring.certified import About, as_data, report
from stepdown.wiring.frontier_file import frontier_path, read_frontier, write_frontier

PLACE = Path(__file__).parents[1] / "certify" / "populations.py"


@cache
def populations() -> ModuleType:
    """Return the synthetic populations of the room next door."""
    spec = importlib.util.spec_from_file_location("populations_for_reports", PLACE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def done(*, good: bool = True) -> Certified:
    p = populations()
    small = p.rising(0.5, 1.0) if good else p.flat(0.2)
    world = p.World(right={"small": small, "big": p.flat(0.9)})
    found: Certified = p.certified(world.draw(200, [1], "t"), world.draw(250, [2], "c"))
    return found


def page(one: Certified) -> Document:
    return report(About(name="p", rows="by row", baseline="big"), [one])


def blocks(one: Certified, kind: type) -> list[object]:
    return [b for section in page(one).sections for b in section.blocks if isinstance(b, kind)]


@pytest.mark.parametrize("good", [True, False])
def test_the_report_fits_80_columns_and_can_be_a_page(*, good: bool) -> None:
    out = StringIO()
    print_document(page(done(good=good)), Console(file=out, width=80))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    assert ("✓ Route:" in out.getvalue()) == good
    assert html_document(page(done(good=good))).startswith("<!")


def test_the_alternatives_are_few_and_hold_the_ceiling_and_the_chosen() -> None:
    rows = alternatives(done())
    assert 3 <= len(rows) <= MOST
    assert (rows[0].policy, rows[0].outcome) == ("always big", "needs no test")
    assert [row.outcome for row in rows].count("chosen") == 1
    rejected = [row for row in rows if row.outcome.startswith("rejected")]
    assert all(row.p_value is not None and row.p_value > 0.05 for row in rejected)
    assert [row.place for row in rows] == sorted({row.place for row in rows})


def test_the_saving_is_the_ratio_of_the_mean_costs_with_its_interval() -> None:
    data = as_data(done())
    expected = data["expected"]
    ratio = expected["cost_usd"]["value"] / expected["baseline_usd"]["value"]
    assert data["saved"]["value"] == pytest.approx(1 - ratio)
    assert data["saved"]["low"] < data["saved"]["value"] < data["saved"]["high"]
    assert json.dumps(data)


def test_the_plots_are_those_that_were_promised() -> None:
    titles = [p.title for p in blocks(done(), Plot) if isinstance(p, Plot)]
    for words in ("cost against score", "before and after", "certified region", "labels"):
        assert any(words in title for title in titles), titles


def test_the_first_tables_say_promise_bound_and_cost() -> None:
    tables = [t for t in blocks(done(), Table) if isinstance(t, Table)]
    assert [t.title for t in tables[:2]] == ["What may be promised", "What it would cost"]
    assert "loss ≤ 0.05" in tables[0].rows[0]


def test_what_was_only_declared_is_reported_as_such() -> None:
    p = populations()
    rows = [p.World(right={"small": p.flat(0.9)}).draw(40, [n], "tc"[n]) for n in (0, 1)]
    one = p.certified(*rows, msgspec.structs.replace(p.TASK, fallback="small"))
    out = StringIO()
    print_document(page(one), Console(file=out, width=80))
    assert "Declared, not certified" in out.getvalue()
    assert as_data(one)["alternatives"] == []


def test_thresholds_set_by_hand_are_reported_without_a_path() -> None:
    p = populations()
    world = p.World(right={"small": p.flat(0.9), "big": p.flat(0.9)})
    by_hand = msgspec.structs.replace(p.TASK, thresholds={"small": 0.5})
    one = p.certified(world.draw(60, [1], "t"), world.draw(60, [2], "c"), by_hand)
    tables = [t.title for t in blocks(one, Table) if isinstance(t, Table)]
    assert tables[2:] == ["What each tier keeps"]
    assert "promise" not in as_data(one)["policy_words"]
    assert as_data(one)["promise"] == "nothing is promised"


def test_the_path_is_kept_for_the_locked_task_alone(tmp_path: Path) -> None:
    one = done()
    written = write_frontier(tmp_path, "intent", one)
    assert written == frontier_path(tmp_path, "intent", one.locked)
    found = read_frontier(tmp_path, "intent", one.locked)
    assert [a.policy for a in found] == [s.policy for s in one.along]
    assert [a.chosen for a in found].index(True) == one.chosen
    other = msgspec.structs.replace(one.locked, settings="changed")
    assert read_frontier(tmp_path, "intent", other) == ()


def test_a_new_certification_replaces_the_old_path(tmp_path: Path) -> None:
    write_frontier(tmp_path, "intent", done())
    write_frontier(tmp_path, "intent", done(good=False))
    assert len(list((tmp_path / "frontier").iterdir())) == 1


def test_a_broken_side_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = write_frontier(tmp_path, "intent", done())
    assert path is not None
    path.write_text('{"version": 1}', encoding="utf-8")
    with pytest.raises(DataError, match=r"intent-\w+\.json cannot be read"):
        read_frontier(tmp_path, "intent", done().locked)
