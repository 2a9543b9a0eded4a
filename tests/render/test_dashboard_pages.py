"""The dashboard's pages: unknown is said, text stays text, colours can be read, nothing is outside.

Figures here are made up.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from stepdown.adapters.render.ui.door_page import problem_page, sign_in_page
from stepdown.adapters.render.ui.frame import asset
from stepdown.adapters.render.ui.label_page import label_page, name_page, queues_page
from stepdown.adapters.render.ui.overview import overview
from stepdown.adapters.render.ui.review_page import review_page
from stepdown.adapters.render.ui.step_page import step_page
from stepdown.adapters.render.ui.timeline import Timeline, Track, timeline
from stepdown.adapters.render.ui.traces_page import traces_page
from stepdown.core.board import (
    AuditBoard,
    Board,
    DayBoard,
    Locked,
    PathPoint,
    ReasonBoard,
    Spend,
    StepBoard,
    TierBoard,
)
from stepdown.core.label_desk import Desk, Question, Stand
from stepdown.core.lock import Estimate
from stepdown.core.report import Claim
from stepdown.core.trace_list import TraceFilter, TraceLine, TraceList
from stepdown.ports.pages import Page, Visitor

HOSTILE = '</td><script>alert(1)</script><img src=x onerror="alert(2)">\u202e" autofocus x="'
DAYS = tuple(f"2026-11-{day:02d}" for day in range(1, 31))
READER = Visitor(may_read_texts=True)
WRITER = Visitor(may_write=True, may_read_texts=True, has_key=True, form_token="t0k")
KNOWN = Spend(
    requests=100, cost_usd=0.5, cost_unknown=0, both_known=100, both_cost_usd=0.5,
    both_baseline_usd=2.0,
)  # fmt: skip


def locked(**changes: object) -> Locked:
    base = {
        "state": "certified", "promise": "at most 0.03 of score lost", "figure": "loss",
        "level": 0.03, "bound": 0.021, "n": 350, "date": "2026-11-01", "review_by": "2026-12-02",
        "days_left": 3, "floor": 0.91, "floor_source": "the ceiling's 0.940 less 0.03",
        "score": Estimate(0.93, 0.91, 0.95, 350, "score", "certify rows"),
        "cost_usd": Estimate(0.0001, 0.00009, 0.00011, 350, "usd", "certify rows"),
    }  # fmt: skip
    return Locked(**{**base, **changes})  # type: ignore[arg-type]


def step(name: str = "intent", **changes: object) -> StepBoard:
    base = {
        "task": name, "locked": locked(), "spend": KNOWN, "escalated": 20, "outside": 2,
        "days": (DayBoard(day="2026-11-29", spend=KNOWN,
                          score=Estimate(0.9, 0.7, 0.97, 20, "score", "feedback")),),
        "tiers": (TierBoard(tier="expert", arm="policy", spend=KNOWN, mean_latency_s=0.01,
                            recorded=True), TierBoard(tier=None, arm="today", spend=KNOWN)),
        "reasons": (ReasonBoard(kind="escalation", reason="low_confidence", requests=20,
                                words="too unsure", moved_to="frontier"),),
        "score": Estimate(0.9, 0.7, 0.97, 20, "score", "feedback"),
        "path": (PathPoint(cost_usd=0.0002, score=0.94, passed=True),),
    }  # fmt: skip
    return StepBoard(**{**base, **changes})  # type: ignore[arg-type]


def board(*steps: StepBoard, **changes: object) -> Board:
    base = {
        "project": "desk", "baseline": "frontier", "since": DAYS[0], "until": DAYS[-1],
        "days": 30, "steps": steps or (step(),),
    }  # fmt: skip
    return Board(**{**base, **changes})  # type: ignore[arg-type]


def text_of(page: Page) -> str:
    body = page.body.decode()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body[body.index("<body") :]))


class Tags(HTMLParser):
    """Which elements and addresses a page has, and which attributes run something."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.names: list[str] = []
        self.risky: list[str] = []
        self.addresses: list[str] = []
        self.feed(page.body.decode())

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(name)
        for key, value in attributes:
            if key.startswith("on") or key in ("style", "autofocus"):
                self.risky.append(f"{name} {key}")
            if key in ("href", "src", "action"):
                self.addresses.append(value or "")


def line(**changes: object) -> TraceLine:
    base = {
        "id": "r1", "task": "intent", "at": "2026-11-29T10:00:00.000+00:00",
        "answered_by": "expert", "words": "sure", "escalated": True, "latency_s": 0.01,
        "cost_usd": None, "guarantee": "certified", "outside": None, "confidence": 0.9,
    }  # fmt: skip
    return TraceLine(**{**base, **changes})  # type: ignore[arg-type]


def hostile_pages() -> list[Page]:
    bad = step(
        HOSTILE,
        locked=locked(
            promise=HOSTILE, withdrawn=HOSTILE, floor_source=HOSTILE, recorded=(HOSTILE,)
        ),
        tiers=(TierBoard(tier=HOSTILE, arm=HOSTILE, spend=KNOWN),),
        reasons=tuple(
            ReasonBoard(kind=kind, reason=HOSTILE, words=HOSTILE, requests=1, moved_to=HOSTILE)
            for kind in ("escalation", "outside")
        ),
        path_note=HOSTILE,
    )
    seen = board(bad, project=HOSTILE, baseline=HOSTILE, lock_problem=HOSTILE, notes=(HOSTILE,))
    asked = Question(
        query_id=HOSTILE, text=HOSTILE, answers=(("a", HOSTILE),) * 2, why="", mark="m"
    )
    stand = Stand(labelled=1, left_at_most=2, bound_worst=0.1, limit=0.02, delta=0.1,
                  decided=False, keeps=0.0, could_keep=0.5)  # fmt: skip
    listed = TraceList(
        lines=(line(id=HOSTILE, task=HOSTILE, words=HOSTILE, outside=HOSTILE),),
        chosen=TraceFilter(task=HOSTILE, reason=HOSTILE, outside=HOSTILE), next=HOSTILE,
        tasks=(HOSTILE,), reasons=((HOSTILE, HOSTILE),),
    )  # fmt: skip
    return [
        overview(seen, DAYS, READER),
        step_page(seen, bad, DAYS, READER),
        review_page(seen, (), READER),
        traces_page(listed, HOSTILE, READER),
        label_page(HOSTILE, Desk(state="asking", question=asked, stand=stand), HOSTILE, HOSTILE,
                   HOSTILE, WRITER),
        name_page(HOSTILE, HOSTILE, HOSTILE, WRITER),
        queues_page([(HOSTILE, 1, HOSTILE)], HOSTILE, READER),
        sign_in_page(HOSTILE, HOSTILE, Visitor(has_key=True), HOSTILE),
        problem_page(404, HOSTILE, READER, HOSTILE),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(9))
def test_whatever_stands_in_a_name_or_a_text_stays_text(place: int) -> None:
    tags = Tags(hostile_pages()[place])
    assert tags.names.count("script") == 1
    assert "img" not in tags.names
    assert tags.risky == []


@pytest.mark.parametrize("place", range(9))
def test_a_page_leads_and_asks_nowhere_else(place: int) -> None:
    tags = Tags(hostile_pages()[place])
    outside = [a for a in tags.addresses if not a.startswith(("/ui", "#")) and a != "data:,"]
    assert outside == []


def test_an_unknown_cost_makes_the_sum_a_lower_bound_and_is_counted() -> None:
    spend = Spend(requests=10, cost_usd=0.5, cost_unknown=3, both_known=7, both_cost_usd=0.5,
                  both_baseline_usd=1.0)  # fmt: skip
    seen = text_of(overview(board(step(spend=spend)), DAYS, READER))
    assert "≥ $0.500" in seen
    assert "the cost of 3 is unknown and not in it" in seen
    assert "n=7 with both costs known" in seen
    assert "frontier alone would have cost $1.00" in seen


def test_where_no_cost_is_known_none_is_shown_as_zero() -> None:
    spend = Spend(requests=10, cost_unknown=10)
    seen = text_of(overview(board(step(spend=spend, days=())), DAYS, READER))
    assert "$0" not in seen
    assert "no request has both a cost and a baseline (frontier)" in seen


def test_each_step_shows_its_days_on_its_own_scale() -> None:
    small = Spend(requests=1, cost_usd=1e-6, both_known=1, both_cost_usd=1e-6,
                  both_baseline_usd=1e-3)  # fmt: skip
    days = tuple(DayBoard(day=day, spend=small) for day in DAYS[:5])
    page = overview(board(step(days=days), step("free", days=())), DAYS, READER).body.decode()
    [drawn] = re.findall(r'<svg class="spark".*?</svg>', page)
    assert drawn.count("<rect") == 5
    assert "NaN" not in drawn


def test_an_empty_project_says_so_on_every_page() -> None:
    empty = board(project="new", steps=())
    assert "No step is locked and none has been served yet." in text_of(
        overview(empty, DAYS, READER)
    )
    assert "nothing is due for review" in text_of(review_page(empty, (), READER))
    bare = StepBoard(task="intent", locked=None)
    seen = text_of(step_page(empty, bare, DAYS, READER))
    assert "nothing is promised about it" in seen
    assert "there is no frontier" in seen
    assert "Nothing to draw yet." in seen


def test_a_score_has_its_interval_n_source_and_floor() -> None:
    seen = text_of(step_page(board(), step(), DAYS, READER))
    assert "[0.70, 0.97] n=20, by feedback; floor 0.910" in seen
    assert "the ceiling's 0.940 less 0.03" in seen
    assert "no random sample" in seen


def test_the_locked_point_is_on_the_frontier_and_a_recorded_tier_is_called_so() -> None:
    page = step_page(board(), step(locked=locked(recorded=("frontier",))), DAYS, READER)
    seen = text_of(page)
    assert "locked (n=350)" in seen
    assert "frontier replays recorded answers" in seen
    assert "expert (recorded)" in seen
    assert "different rows" in seen


def test_a_guarantee_that_is_overdue_is_said_before_the_figures() -> None:
    late = step(locked=locked(state="withdrawn", days_left=-2, review_by="2026-11-27"))
    seen = text_of(overview(board(late), DAYS, READER))
    assert seen.index("was due for review on 2026-11-27") < seen.index("Spent")
    assert "2 days late" in seen


def test_an_alarm_and_what_it_did_are_said_before_the_figures() -> None:
    loss = Estimate(0.08, 0.05, 0.12, 900, "share", "audits")
    audit = AuditBoard(at="2026-11-29T10:00:00", loss=loss, of="all covered traffic",
                       against="the ceiling's own answers", allowed_words="at most 0.03",
                       ringing=("loss (audited losses), since 2026-11-28",), watched=3)  # fmt: skip
    told = "withdrawn at 2026-11-28T09:00: the loss grew; the ceiling answers"
    rung = step(
        audit=audit, locked=locked(state="withdrawn", withdrawn=told, telling=("request-7",))
    )
    for page in (
        overview(board(rung), DAYS, READER),
        step_page(board(rung), rung, DAYS, READER),
    ):
        seen = text_of(page)
        assert seen.index(told) < seen.index("Spent")
        assert "larm rings: loss (audited losses), since 2026-11-28." in seen
        assert "was due for review" not in seen
        assert "n=900" in seen
    one = step_page(board(rung), rung, DAYS, READER).body.decode()
    assert 'href="/ui/traces/request-7"' in one
    assert "3 watch; looked at 2026-11-29 10:00" in text_of(overview(board(rung), DAYS, READER))


def test_where_nobody_looked_or_nothing_can_ring_it_is_not_called_quiet() -> None:
    assert "nobody has looked yet" in text_of(overview(board(), DAYS, READER))
    blind = step(audit=AuditBoard(at="2026-11-29T10:00:00"))
    seen = text_of(overview(board(blind), DAYS, READER))
    assert "none can ring" in seen
    assert "loss, audited" not in seen
    assert "No answer was audited yet" in text_of(step_page(board(blind), blind, DAYS, READER))
    assert "Nobody has looked at the promises of this lock yet" in text_of(
        review_page(board(), (), READER)
    )


def test_rows_that_are_not_counted_yet_are_said() -> None:
    late = board(behind=12_345, lag_s=42.0)
    for page in (overview(late, DAYS, READER), step_page(late, step(), DAYS, READER)):
        seen = text_of(page)
        assert "12,345 rows of the ledger are not counted yet" in seen
        assert "42 s behind" in seen


def test_few_scores_a_day_are_shown_by_the_week() -> None:
    one = Estimate(1.0, 0.2, 1.0, 1, "score", "feedback")
    many = Estimate(0.9, 0.8, 0.95, 50, "score", "feedback")
    days = [DayBoard(day=day, score=one) for day in DAYS]
    seen = text_of(step_page(board(), step(days=tuple(days)), DAYS, READER))
    assert "Score by week" in seen
    assert "n=7 2026-11-24 to 2026-11-30" in seen
    full = tuple(DayBoard(day=day, score=many) for day in DAYS)
    assert "Score by day" in text_of(step_page(board(), step(days=full), DAYS, READER))


def test_a_timeline_takes_one_day_no_day_and_many() -> None:
    for days in (1, 7, 365):
        claims = tuple(Claim(0.1 * n, "usd") if n % 3 else None for n in range(1, days + 1))
        shown = Timeline(
            title="Spent", days=tuple(f"2026-{1 + n // 28:02d}-{1 + n % 28:02d}"[:10]
                                      for n in range(min(days, 300)))
            if days < 300 else tuple(f"20{20 + n // 336:02d}-{1 + n % 336 // 28:02d}-"
                                     f"{1 + n % 28:02d}" for n in range(days)),
            tracks=(Track("spent", "bars", claims), Track("base", "line", claims)), unit="usd",
        )  # fmt: skip
        drawn = timeline(shown, "k")
        assert "NaN" not in drawn
        assert drawn.count("<svg") == 4
    empty = Timeline(title="Spent", days=DAYS, tracks=(), unit="usd")
    assert "Nothing to draw yet." in timeline(empty, "k")


def test_reading_only_disables_every_key_and_says_why() -> None:
    asked = Question(query_id="q", text="where is it?", answers=(("a", "x"), ("b", "y")), why="",
                     mark="m")  # fmt: skip
    desk = Desk(state="asking", question=asked)
    page = label_page("intent", desk, "reader", "", "desk", READER)
    buttons = re.findall(r"<button[^>]*>", page.body.decode())
    assert len(buttons) == 6
    assert all(" disabled" in one for one in buttons)
    assert "Read only" in text_of(page)
    free = label_page("intent", desk, "ann", "", "desk", WRITER)
    assert " disabled" not in free.body.decode()
    assert 'name="form_token" value="t0k"' in free.body.decode()


def test_one_answer_is_right_or_wrong() -> None:
    asked = Question(query_id="q", text="t", answers=(("a", "x"),), why="", mark="m")
    page = label_page("t", Desk(state="asking", question=asked), "ann", "", "p", WRITER)
    keys = re.findall(r'data-key="(.)"', page.body.decode())
    assert keys == ["1", "0", "s", "u"]


def test_a_file_has_another_address_once_it_changed_and_may_be_kept() -> None:
    style = asset("style.css")
    assert style is not None
    assert style.lasting
    assert asset("nothing") is None
    assert re.search(r'href="/ui/style\.css\?v=[0-9a-f]{12}"', hostile_pages()[0].body.decode())


def colours(dark: bool) -> dict[str, str]:
    sheet = files("stepdown.adapters.render").joinpath("page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    light = dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", blocks[0]))
    return {**light, **dict(re.findall(r"--([\w]+): (#[0-9a-f]{6})", blocks[1]))} if dark else light


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_colour_of_text_and_marks_has_the_contrast_of_wcag_aa(dark: bool) -> None:
    found = colours(dark)
    paper = luminance(found["paper"])

    def contrast(name: str) -> float:
        high, low = sorted((luminance(found[name]), paper), reverse=True)
        return (high + 0.05) / (low + 0.05)

    texts = ("ink", "soft", "accent", "picked", "good", "bad", "warn")
    assert {n: round(contrast(n), 2) for n in texts if contrast(n) < 4.5} == {}
    marks = ("s0", "s1", "picked", "bad")
    assert {n: round(contrast(n), 2) for n in marks if contrast(n) < 3} == {}
