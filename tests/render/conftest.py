"""A report as the loop would write it, with every kind of block; the figures are made up."""

import math
import random

import pytest

from stepdown.core.report import (
    Claim,
    Column,
    Document,
    Plot,
    Point,
    Prose,
    Section,
    Table,
)


@pytest.fixture(name="document")
def _document() -> Document:
    return sample_document()


@pytest.fixture(name="wide_table")
def _wide_table() -> Table:
    return before_after()


@pytest.fixture(name="scatter")
def _scatter() -> Plot:
    return cost_against_score()


def sample_document() -> Document:
    """Return a realistic report."""
    return Document(
        title="Support desk: what stepped down",
        subtitle="Before and after, per step, from the ledger of 1,204 messages",
        facts=(
            ("Project", "supportdesk"),
            ("Lock", "stepdown.lock, 22 November 2026"),
            ("Baseline", "every step on a frontier model"),
            ("Promise", "loss at most 2.0% against the ceiling, 5% chance of error"),
            ("Messages", "1,204"),
            ("Saved per message", "77.2%"),
        ),
        sections=(
            Section("What changed", (
                Prose("Four of seven steps now answer on embedded models within their promise. "
                      "Drafts and the polish stay on the frontier: no smaller tier passed."),
                Prose("The promise for intent, department, urgency and sentiment holds.", "good"),
                Prose("Latency of the recorded tier is unknown, so no total is given.", "warn"),
                Prose("Extraction could not be certified: 312 more labels would decide.", "bad"),
                before_after(),
            )),
            Section("Which policy, and why", (cost_against_score(), tiers())),
            Section("Can the confidence be trusted?", (reliability(), learning())),
        ),
        footer="Written by Stepdown 0.1.0. Every figure is from this project's own data.",
    )  # fmt: skip


def before_after() -> Table:
    """Return a table with intervals, unknowns, notes and a total."""
    rows = [
        ("intent", 0.00213, 0.0000412, 0.0061, 0.913, 0.88, 0.94, 0.821, 1204),
        ("department", 0.00187, 0.0000094, 0.0004, 0.956, 0.93, 0.975, 1.0, 1204),
        ("urgency", 0.00181, 0.0000093, 0.0004, 0.871, 0.84, 0.90, 0.634, 1204),
        ("sentiment", 0.00179, 0.0000411, 0.0058, 0.902, 0.87, 0.93, 0.9996, 1204),
        ("extraction", 0.00402, 0.00402, None, 0.884, 0.85, 0.915, 0.0, 640),
        ("draft", 0.01112, 0.01112, None, 0.79, 0.71, 0.85, 0.0, 118),
        ("polish", 0.00964, None, None, None, None, None, 0.0, None),
    ]
    source = "ledger, 2026-11-22"
    return Table(
        title="Before and after, per step",
        columns=(
            Column("Step"),
            Column("Before", numeric=True),
            Column("After", numeric=True),
            Column("Latency p50", numeric=True, optional=True),
            Column("Score", numeric=True),
            Column("Kept small", numeric=True, optional=True),
        ),
        rows=tuple(
            (
                step,
                Claim(before, "usd", source=source),
                Claim(after, "usd", source=source),
                Claim(latency, "s", note="" if latency else "recorded"),
                Claim(score, "score", low, high, 0.95, n, "accepted patterns"),
                Claim(kept, "share"),
            )
            for step, before, after, latency, score, low, high, kept, n in rows
        ),
        total=("message", Claim(0.03238, "usd"), Claim(0.00738, "usd"), None, None, None),
        notes=(
            "Dollars per message; embedded tiers are priced by hardware time.",
            "recorded: frontier answers are recorded answers of a large language model.",
        ),
    )


def tiers() -> Table:
    """Return a table with text that must wrap."""
    n = 500
    return Table(
        title="Every tier on the intent step",
        columns=(
            Column("Tier"),
            Column("What it is"),
            Column("Score", numeric=True),
            Column("$ per 1k calls", numeric=True),
            Column("Why", optional=True),
        ),
        rows=(
            ("rule", "keyword table", Claim(0.412, "score", 0.37, 0.46, 0.95, n),
             Claim(0.002, "usd"), "below the floor"),
            ("expert", "static encoder with a linear head, temperature scaled",
             Claim(0.887, "score", 0.856, 0.912, 0.95, n), Claim(0.01, "usd"), "below the floor"),
            ("encoder", "MiniLM on ONNX Runtime with a linear head",
             Claim(0.924, "score", 0.897, 0.944, 0.95, n), Claim(0.0412, "usd"),
             "smallest tier that passes"),
            ("frontier", "recorded answers of a large language model",
             Claim(0.931, "score", 0.905, 0.950, 0.95, n), Claim(2.13, "usd"), "ceiling"),
        ),
    )  # fmt: skip


def cost_against_score() -> Plot:
    """Return a scatter of thousands of policies with named ones among them."""
    random.seed(7)
    points = []
    for _ in range(2400):
        cost = 10 ** random.uniform(-5, -2.6)
        best = 0.93 - 0.5 * 2.718 ** (-1.25 * (5 + 1.6 * _log10(cost) + 3))
        series = random.choice(("cascade", "router"))
        points.append(
            Point(cost, min(0.97, max(0.4, best - random.expovariate(18))), series=series)
        )
    points += [
        Point(0.0000021, 0.412, 0.37, 0.46, label="rule", series="single tier"),
        Point(0.0000102, 0.887, 0.856, 0.912, label="expert", series="single tier"),
        Point(0.0000412, 0.924, 0.897, 0.944, label="encoder", series="single tier"),
        Point(0.00213, 0.931, 0.905, 0.950, label="frontier", series="single tier"),
        Point(0.000044, 0.927, 0.90, 0.948, label="expert then encoder", series="cascade"),
        Point(0.0001, 0.929, 0.90, 0.949, label="encoder, frontier at 0.62", chosen=True,
              series="cascade"),
        Point(float("nan"), 0.9, label="never", series="cascade"),
    ]  # fmt: skip
    return Plot(
        title="Cost against score of the policies searched, intent step",
        x_label="Cost per message",
        y_label="Score",
        x_unit="usd",
        y_unit="score",
        x_log=True,
        points=tuple(points),
    )


def reliability() -> Plot:
    """Return a reliability diagram with counts as names."""
    bins = (
        (0.15, 0.12, 0.03, 0.33, 14),
        (0.36, 0.31, 0.19, 0.46, 40),
        (0.52, 0.55, 0.44, 0.65, 78),
        (0.68, 0.66, 0.58, 0.73, 141),
        (0.83, 0.86, 0.82, 0.90, 320),
        (0.97, 0.965, 0.95, 0.98, 611),
    )
    return Plot(
        title="Confidence against accuracy, encoder on intent",
        x_label="Confidence",
        y_label="Accuracy",
        x_unit="share",
        y_unit="share",
        diagonal=True,
        points=tuple(Point(x, y, lo, hi, label=f"n={n}") for x, y, lo, hi, n in bins),
        notes=("95% Wilson intervals; n is the number of messages in the bin.",),
    )


def learning() -> Plot:
    """Return a line plot of two series."""
    sizes = (50, 100, 200, 400, 800, 1600)
    scores = {
        "static": (0.61, 0.7, 0.78, 0.83, 0.87, 0.887),
        "MiniLM": (0.7, 0.8, 0.86, 0.89, 0.915, 0.924),
    }
    points = [
        Point(size, y, y - 0.03, y + 0.02, series=name)
        for name, ys in scores.items()
        for size, y in zip(sizes, ys, strict=True)
    ]
    return Plot(
        title="Score by number of training rows",
        x_label="Training rows",
        y_label="Score",
        x_unit="count",
        y_unit="score",
        joined=True,
        points=tuple(points),
    )


def _log10(value: float) -> float:
    return math.log10(value)
