"""What `stepdown models` shows of the registry: a list, one artifact, what was done."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.artifact import Artifact, Event
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.wiring.artifact_files import problems_of
from stepdown.wiring.lifecycle import Promotion, locks_of, used_by, worse_than
from stepdown.wiring.workspace import Workspace

LATEST = 12  # events that are shown of an artifact
UNITS = ("bytes", "kB", "MB", "GB")


def size_text(size_bytes: int) -> str:
    """Write a size: `15 MB`."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.3g} {UNITS[unit]}"


def score_of(artifact: Artifact) -> Claim:
    """Return the score of an artifact as a figure."""
    return Claim(
        artifact.score,
        "score",
        artifact.score_low,
        artifact.score_high,
        None if artifact.score_low is None else 0.95,
        artifact.n or None,
    )


def latency_of(artifact: Artifact) -> Claim:
    """Return the measured median latency of one call."""
    return Claim(artifact.latency_p50_s, "s", n=artifact.latency_n or None)


def listed(artifacts: Sequence[Artifact]) -> Document:
    """Return the list of artifacts."""
    columns = (
        Column("task"),
        Column("tier"),
        Column("state"),
        Column("score", numeric=True),
        Column("date"),
        Column("digest"),
        Column("recipe", optional=True),
        Column("size", numeric=True, optional=True),
        Column("p50", numeric=True, optional=True),
        Column("parent", optional=True),
    )
    notes = (
        "Score with its 95% interval, on rows that the artifact was not trained on.",
        "stepdown.lock pins what a gateway answers with; the next certify takes what is promoted.",
    )
    table = Table(
        title="Artifacts",
        columns=columns,
        rows=tuple(_row(a) for a in artifacts),
        notes=notes if artifacts else ("Nothing is registered; `stepdown train` makes some.",),
    )
    return Document(title="Models", sections=(Section("Registered", (table,)),))


def _row(a: Artifact) -> tuple[Cell, ...]:
    parent = (a.parent or "").removeprefix("sha256:")[:12] or None
    return (
        a.task, a.tier, a.state, score_of(a), a.date, a.short, a.recipe,
        size_text(a.size_bytes) if a.size_bytes else None, latency_of(a), parent,
    )  # fmt: skip


def shown(workspace: Workspace, artifact: Artifact) -> Document:
    """Return everything that is known of one artifact."""
    registry = workspace.models.registry
    shelf = registry.shelf()
    wrong = problems_of(registry.folder, artifact)
    pinned = used_by(artifact, locks_of(workspace))
    facts = (
        ("digest", artifact.digest),
        ("task, tier", f"{artifact.task}, {artifact.tier}"),
        ("state", _state(artifact)),
        ("recipe", artifact.recipe),
        ("trained", artifact.date),
        ("data", artifact.data_digest),
        ("size", size_text(artifact.size_bytes) if artifact.size_bytes else "unknown"),
        ("pinned by", ", ".join(pinned) or "no lock"),
        ("card", artifact.card or "none"),
        ("regression suite", artifact.suite or "none; `stepdown models verify --pin` makes one"),
    )
    said = Prose("; ".join(wrong) + ".", "bad") if wrong else Prose("Files as registered.", "good")
    blocks: list[Prose | Table] = [said, _figures(artifact)]
    chain = (artifact, *shelf.ancestors(artifact))
    sections = [
        Section("Now", tuple(blocks)),
        Section("Parents", (_chain(chain),)),
        Section("History", (_history(shelf.history, artifact),)),
    ]
    return Document(title="Model", subtitle=artifact.short, facts=facts, sections=tuple(sections))


def _state(artifact: Artifact) -> str:
    since = {"promoted": artifact.promoted_on, "retired": artifact.retired_on}.get(artifact.state)
    return f"{artifact.state} since {since}" if since else artifact.state


def _figures(artifact: Artifact) -> Table:
    columns = (Column("figure"), Column("value", numeric=True))
    rows: tuple[tuple[Cell, ...], ...] = (
        ("score on rows it was not trained on", score_of(artifact)),
        ("latency of a call, median", latency_of(artifact)),
    )
    return Table(title="Measured", columns=columns, rows=rows)


def _chain(chain: Sequence[Artifact]) -> Table:
    columns = (
        Column("digest"),
        Column("state"),
        Column("trained"),
        Column("score", numeric=True),
        Column("recipe", optional=True),
    )
    rows = tuple((a.short, a.state, a.date, score_of(a), a.recipe) for a in chain)
    return Table(title="This one, and what it replaced", columns=columns, rows=rows)


def _history(history: Sequence[Event], artifact: Artifact) -> Table:
    mine = [e for e in history if (e.task, e.tier) == (artifact.task, artifact.tier)]
    about = [e for e in mine if artifact.digest in (e.digest, e.before)][-LATEST:]
    columns = (Column("when"), Column("by"), Column("what"), Column("digest"), Column("before"))
    rows = tuple(
        (e.at[:16].replace("T", " "), e.by, e.what, _short(e.digest), _short(e.before))
        for e in reversed(about)
    )
    return Table(title="What was done", columns=columns, rows=rows)


def _short(digest: str) -> str | None:
    return digest.removeprefix("sha256:")[:12] or None


def promoted(done: Promotion) -> Document:
    """Return what a promotion or a way back did."""
    now, before = done.now, done.before
    said = f"{now.tier} of {now.task} is {now.short} now"
    said += f"; it was {before.short}." if before is not None else "; nothing was before it."
    doubt = worse_than(now, before)
    blocks = [Prose(said, "good"), *([Prose(f"{doubt}.", "warn")] if doubt else [])]
    blocks += [Prose(note) for note in done.notes]
    return Document(title="Models", sections=(Section("Promoted", tuple(blocks)),))
