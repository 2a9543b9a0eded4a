"""`explain`: one trace as a report."""

from __future__ import annotations

from collections.abc import Sequence

from stepdown.core.beside import Beside, Feedback, Shadow
from stepdown.core.report import Cell, Claim, Column, Document, Prose, Section, Table
from stepdown.core.trace import Attempt, Trace
from stepdown.wiring.reason_words import attempt_words, lead_in, reason_words


def document(trace: Trace, beside: Sequence[Beside] = ()) -> Document:
    """Return every attempt with its signals, confidence, threshold and reason.

    `beside` is what is kept beside the trace: its shadow run, its audit, and what people said.
    """
    outside = trace.outside_guarantee
    blocks: list[Table | Prose] = [
        Prose(
            f"Answered by {trace.answered_by or 'nobody'}: {reason_words(trace.reason)}."
            + (f" Escalated: {_escalated(trace)}." if trace.escalated else ""),
            "warn" if outside else "good",
        )
    ]
    if outside:
        blocks.append(Prose(f"Outside the guarantee: {outside}.", "warn"))
    if not trace.contract_matched:
        blocks.append(Prose("The request did not match the task's input contract.", "warn"))
        blocks += [Prose(f"Its outline: {trace.outline}.")] if trace.outline else []
    blocks += [Prose(attempt_words(attempt)) for attempt in trace.attempts]
    blocks.append(_attempts(trace))
    blocks += [Prose(_beside_words(one)) for one in beside]
    return Document(
        title=f"Request {trace.id}",
        subtitle=f"task {trace.task}, {trace.at}",
        facts=_facts(trace),
        sections=(Section("What happened", tuple(blocks)),),
    )


def _beside_words(one: Beside) -> str:
    if isinstance(one, Feedback):
        score = "" if one.score is None else f" score {one.score:g}"
        label = "" if one.label is None else f" label {one.label!r}"
        comment = "" if one.comment is None else f": {one.comment}"
        by = f" by {one.by}" if one.by else ""
        return f"Feedback{by}, {one.at[:16]}:{score}{label}{comment}"
    if isinstance(one, Shadow) and one.ran == "ceiling":
        return _audited(one)
    if isinstance(one, Shadow):
        verdict = {True: "agreed with it", False: "gave another answer", None: one.why_not}
        who = one.answered_by or "nobody"
        cost = _usd(one.cost_usd)
        return (
            f"Beside it, unseen, the policy ran: {who} answered and {verdict[one.agreed]}; {cost}."
        )
    return ""


def _audited(one: Shadow) -> str:
    chance = "" if one.propensity is None else f" with chance {one.propensity:g}"
    if one.why_not == "ceiling":
        return f"Drawn for an audit{chance}: the ceiling had answered, so nothing was asked again."
    if one.loss is None:
        return f"Drawn for an audit{chance}, and not audited: {one.why_not}; {_usd(one.cost_usd)}."
    found = "gave the same answer" if one.agreed else f"gave another answer (loss {one.loss:g})"
    return f"Audited{chance}: {one.answered_by} {found}; {_usd(one.cost_usd)}."


def _escalated(trace: Trace) -> str:
    return ", ".join(reason_words(why) for why in dict.fromkeys(trace.escalations))


def _facts(trace: Trace) -> tuple[tuple[str, str], ...]:
    found = [("guarantee", trace.guarantee), ("latency", f"{trace.latency_s * 1000:.1f} ms")]
    found.append(("cost", _usd(trace.cost_usd)))
    if trace.baseline_tier:
        found.append((f"on {trace.baseline_tier} alone", _usd(trace.baseline_usd)))
    if trace.input is not None:
        found.append(("input", trace.input[:200]))
    if trace.answer is not None:
        found.append(("answer", trace.answer[:200]))
    if trace.arm is not None:
        words = {"policy": "the policy's share", "today": "today's model"}
        found.append(("arm", words[trace.arm]))
    if trace.session is not None:
        found.append(("session", trace.session))
    if trace.lock_digest:
        found.append(("lock", trace.lock_digest[:19]))
    return tuple(found)


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.3g}" if value < 1e-4 else f"${value:.6f}"


def _attempts(trace: Trace) -> Table:
    columns = (
        Column("tier"),
        Column("called because"),
        Column("confidence", numeric=True),
        Column("threshold", numeric=True),
        Column("then"),
        Column("latency", numeric=True),
        Column("cost", numeric=True, optional=True),
        Column("signals", optional=True),
    )
    notes = tuple(
        f"{attempt.tier}: {attempt.failure_detail}"
        for attempt in trace.attempts
        if attempt.failure_detail
    )
    if any(attempt.recorded for attempt in trace.attempts):
        notes = (*notes, "recorded: a recorded answer was replayed; its latency is unknown")
    return Table(
        title="Attempts", columns=columns, rows=tuple(map(_row, trace.attempts)), notes=notes
    )


def _row(attempt: Attempt) -> tuple[Cell, ...]:
    called = "" if attempt.kind == "call" else f"{attempt.kind} "
    then = attempt.failure or f"{attempt.decision} ({attempt.reason})"
    signals = ", ".join(
        f"{name} {value:.3f}" for name, value in attempt.signals.items() if value is not None
    )
    return (
        called + attempt.tier,
        attempt.why,
        None if attempt.confidence is None else Claim(attempt.confidence, "score"),
        _threshold(attempt),
        then,
        Claim(attempt.latency_s, "s"),
        Claim(attempt.cost_usd, "usd"),
        signals or None,
    )


def _threshold(attempt: Attempt) -> Claim | None:
    """The threshold of the confidence beside it; that of a lead is always 0, and said in words."""
    if attempt.threshold is None or any(map(lead_in, attempt.signals)):
        return None
    return Claim(attempt.threshold, "score")
