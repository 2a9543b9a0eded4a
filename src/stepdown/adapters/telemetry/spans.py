"""Traces as OpenTelemetry spans: one for the request, one inside it for each call of a tier.

Follows "Semantic conventions for generative AI client inference" (semantic-conventions-genai,
v0.1.0, all names still "Development"). No text of a request or an answer is ever an attribute.
What has no name there is called `stepdown.*`. It does not know where spans go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from stepdown.core.caller_span import CallerSpan
from stepdown.core.trace import Attempt, Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

Value = str | bool | int | float
_SECOND_NS = 1_000_000_000


class Target(Struct, frozen=True):
    """What a tier calls: the provider by its name in the conventions, the model, and whether the
    model runs in this process.
    """

    provider: str
    model: str
    inside: bool = False


def write_spans(
    tracer: Tracer, trace: Trace, targets: Mapping[str, Target], embeds: Collection[str] = ()
) -> None:
    """Begin and end the spans of a trace that is over, inside the caller's where it has one.

    `embeds` are the tasks whose calls ask for vectors.
    """
    from opentelemetry.trace import SpanKind, set_span_in_context

    end = _ns(trace.at)
    span = tracer.start_span(
        f"stepdown {trace.task}",
        context=_around(trace.caller_span),
        kind=SpanKind.SERVER,
        start_time=end - round(trace.latency_s * _SECOND_NS),
        attributes=dict(_of_trace(trace)),
    )
    inside = set_span_in_context(span)
    operation = "embeddings" if trace.task in embeds else "chat"
    for attempt in trace.attempts:
        target = targets.get(attempt.tier, Target("stepdown", attempt.tier))
        child = tracer.start_span(
            f"{operation} {target.model}",
            context=inside,
            kind=SpanKind.INTERNAL if target.inside else SpanKind.CLIENT,
            start_time=_ns(attempt.started_at),
            attributes={
                "gen_ai.operation.name": operation,
                **_of_attempt(attempt, target, trace),
            },
        )
        _fail(child, attempt.failure)
        child.end(_ns(attempt.started_at) + round((attempt.latency_s or 0.0) * _SECOND_NS))
    _fail(span, None if trace.answered_by else trace.reason)
    span.end(end)


def _around(caller: CallerSpan | None) -> Context | None:
    """Return the context of the caller's span: whether it is recorded is for the SDK's sampler."""
    if caller is None:
        return None
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        set_span_in_context,
    )

    flags = TraceFlags.SAMPLED if caller.sampled else TraceFlags.DEFAULT
    span = SpanContext(
        int(caller.trace_id, 16),
        int(caller.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(flags),
    )
    return set_span_in_context(NonRecordingSpan(span), Context())


def _fail(span: Span, failure: str | None) -> None:
    from opentelemetry.trace import Status, StatusCode

    if failure is not None:
        span.set_attribute("error.type", failure)
        span.set_status(Status(StatusCode.ERROR))


def _of_trace(trace: Trace) -> Mapping[str, Value]:
    return _known(
        {
            "stepdown.trace_id": trace.id,
            "stepdown.task": trace.task,
            "stepdown.step": trace.step,
            "stepdown.answered_by": trace.answered_by,
            "stepdown.reason": trace.reason,
            "stepdown.escalated": trace.escalated,
            "stepdown.guarantee": trace.guarantee,
            "stepdown.outside_guarantee": trace.outside_guarantee,
            "stepdown.confidence": trace.confidence,
            "stepdown.cost_usd": trace.cost_usd,
            "stepdown.baseline_usd": trace.baseline_usd,
            "stepdown.arm": trace.arm,
            "stepdown.lock": trace.lock_digest,
            "gen_ai.conversation.id": trace.session,
        }
    )


def _of_attempt(attempt: Attempt, target: Target, trace: Trace) -> Mapping[str, Value]:
    usage = attempt.usage
    return _known(
        {
            "gen_ai.provider.name": target.provider,
            "gen_ai.request.model": target.model,
            "gen_ai.conversation.id": trace.session,
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_write.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            "gen_ai.response.time_to_first_chunk": attempt.first_token_s,
            "stepdown.tier": attempt.tier,
            "stepdown.kind": attempt.kind,
            "stepdown.why": attempt.why,
            "stepdown.confidence": attempt.confidence,
            "stepdown.threshold": attempt.threshold,
            "stepdown.decision": attempt.decision or None,
            "stepdown.cost_usd": attempt.cost_usd,
            "stepdown.cost_basis": attempt.cost_basis,
            "stepdown.recorded": attempt.recorded,
        }
    )


def _known(said: Mapping[str, Value | None]) -> Mapping[str, Value]:
    return {name: value for name, value in said.items() if value is not None}


def _ns(at: str) -> int:
    return round(datetime.fromisoformat(at).timestamp() * _SECOND_NS)
