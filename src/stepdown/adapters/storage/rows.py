"""A trace as rows of the ledger's tables: the columns in the order of schema.sql."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from stepdown.core.trace import Attempt, Trace

TRACE_COLUMNS = 23
ATTEMPT_COLUMNS = 26

_LIMIT = 2**63
_decoder = msgspec.json.Decoder(Trace)
_encoder = msgspec.json.Encoder()


def encode_trace(trace: Trace) -> bytes:
    """Return the trace as one line of JSON."""
    return _encoder.encode(trace)


def decode_trace(payload: str) -> Trace:
    """Return the trace that `encode_trace` wrote. Raises msgspec.DecodeError."""
    return _decoder.decode(payload)


def fits(trace: Trace) -> bool:
    """Return whether SQLite can hold every whole number of the trace (64 bits)."""
    return all(map(_attempt_fits, trace.attempts))


def _attempt_fits(attempt: Attempt) -> bool:
    usage = attempt.usage
    for count in (
        attempt.number,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.cache_write_1h_tokens,
    ):
        if count is not None and not -_LIMIT <= count < _LIMIT:
            return False
    return True


def trace_row(trace: Trace, payload: str) -> tuple[Any, ...]:
    """Return the row of `traces`."""
    return (
        trace.id,
        trace.task,
        trace.at,
        trace.answered_by,
        trace.reason,
        trace.escalated,
        sum(attempt.kind == "call" for attempt in trace.attempts),
        trace.latency_s,
        trace.cost_usd,
        trace.baseline_tier,
        trace.baseline_usd,
        trace.guarantee,
        trace.outside_guarantee,
        trace.contract_matched,
        trace.confidence,
        trace.lock_digest,
        trace.message_id,
        trace.step,
        payload,
        trace.first_byte_s,
        trace.arm,
        trace.session,
        trace.tiers_agree,
    )


def attempt_row(trace_id: str, attempt: Attempt) -> tuple[Any, ...]:
    """Return one row of `attempts`."""
    usage = attempt.usage
    return (
        trace_id,
        attempt.id,
        attempt.number,
        attempt.tier,
        attempt.kind,
        attempt.why,
        attempt.started_at,
        attempt.latency_s,
        attempt.cost_usd,
        attempt.cost_basis,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.estimated,
        _encoder.encode(attempt.signals).decode(),
        attempt.confidence,
        attempt.threshold,
        attempt.decision,
        attempt.reason,
        attempt.failure,
        attempt.failure_detail,
        attempt.tier_digest,
        attempt.recorded,
        attempt.first_token_s,
    )


def renamed(trace: Trace, payload: str) -> Trace:
    """Return the trace under an id of its own, for a caller who used one id for two requests.

    The new id follows from the content, so that reading a spool twice renames it once.
    """
    name = f"{trace.id}~{crc32(payload.encode()):08x}"
    attempts = tuple(msgspec.structs.replace(a, trace_id=name) for a in trace.attempts)
    return msgspec.structs.replace(trace, id=name, attempts=attempts)
