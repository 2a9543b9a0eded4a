"""What one sample asks of a tier, the key under which the call is kept, and how its end is scored.

It calls nothing and keeps nothing.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from stepdown.core.digest import digest
from stepdown.core.outcome import Outcome
from stepdown.core.request import Capabilities, Request
from stepdown.core.requesting import Answer, read_answer, request_for
from stepdown.core.task import Task
from stepdown.core.tier import Price
from stepdown.evals.dataset import Sample
from stepdown.evals.scorers import Score, Scorer
from stepdown.ports.run_store import RunRow, SavedCall

SCORER_RAISED = "scorer_error"
DETAIL_CHARS = 300  # of what a scorer's own error says
# Nobody was asked, so nothing can be scored; `incapable` lacks what a sample needs, such as images.
UNASKED = frozenset({"unavailable", "not_asked", "incapable"})
SCORED_LATER = frozenset({"unjudged", "unranked"})  # by a judge, or once all vectors are there


class Scored(Struct, frozen=True):
    """A finished call as a row of the outcome table; `detail` says what was missed."""

    outcome: Outcome
    detail: str = ""


def ask_of(task: Task, tier: str, sample: Sample, capabilities: Capabilities) -> Request:
    """Return the request that puts a sample to a tier."""
    return request_for(
        task, tier, sample.id, sample.input, context=sample.context, capabilities=capabilities
    )


def call_key(request: Request, tier_digest: str, *, recorded: bool = False, repeat: int = 0) -> str:
    """Return the digest under which a call is kept: what was asked of which tier.

    The id does not count, except for a recording, which may look answers up by it. A repeat has a
    key of its own, so it never reads what the one before it said.
    """
    asked = replace(request, id=request.id if recorded else "", metadata={})
    return digest((asked, tier_digest, repeat) if repeat else (asked, tier_digest))


def scored(
    task: Task, scorer: Scorer, sample: Sample, tier: str, price: Price, call: SavedCall
) -> Scored:
    """Return a finished call as a row of the outcome table, scored now."""
    completion = call.completion
    if completion is None:
        kind = call.failure or "provider_error"
        return Scored(not_answered(sample, tier, kind, call.latency_s), call.detail)
    answer = read_answer(task, tier, completion, sample.context)
    score = _score(task, scorer, sample, answer)
    later = score.failure in SCORED_LATER
    outcome = Outcome(
        query_id=sample.id,
        tier=tier,
        score=None if later or (sample.reference is None and not score.failure) else score.value,
        cost_usd=price.cost_usd(completion.usage, call.latency_s),
        latency_s=call.latency_s,
        signals=call.signals,
        answer=completion.text if answer.text is None else answer.text,
        group=sample.group,
        segment=sample.segment,
        prompt=sample.input,
        failure=None if later else score.failure,
    )
    return Scored(outcome, score.detail)


def not_answered(sample: Sample, tier: str, kind: str, latency_s: float | None = None) -> Outcome:
    """Return the row of a sample without an answer; what was never asked has no score."""
    return Outcome(
        query_id=sample.id,
        tier=tier,
        score=None if kind in UNASKED else 0.0,
        latency_s=latency_s,
        group=sample.group,
        segment=sample.segment,
        prompt=sample.input,
        failure=kind,
    )


def row_of(found: Scored, call: SavedCall | None, *, repeat: int, reused: bool) -> RunRow:
    """Return an outcome as a run keeps it."""
    outcome = found.outcome
    usage = None if call is None or call.completion is None else call.completion.usage
    return RunRow(
        sample_id=outcome.query_id,
        call=None if call is None else call.key,
        repeat=repeat,
        score=outcome.score,
        failure=outcome.failure,
        detail=found.detail,
        latency_s=outcome.latency_s,
        cost_usd=outcome.cost_usd,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        reused=reused,
    )


def _score(task: Task, scorer: Scorer, sample: Sample, answer: Answer) -> Score:
    if answer.text is None or sample.reference is None:
        return Score(0.0, answer.failure, answer.detail)
    try:
        return scorer.score(task, sample, answer.text)
    except Exception as error:  # noqa: BLE001 - a scorer may be the user's own code
        said = f"{scorer.id} raised {type(error).__name__}: {error}"
        return Score(0.0, SCORER_RAISED, said[:DETAIL_CHARS])
