"""Logs that are no list of calls: the database of llm (two generations), a ledger of ours, a
session file of Codex. Written by us from the documents that their readers name.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.logs.known_pipeline import Call

from stepdown.adapters.storage.database import Entry, create, insert, opened
from stepdown.adapters.storage.rows import encode_trace
from stepdown.core.request import Usage
from stepdown.core.trace import Attempt, Trace

# "SQL schema" of llm's "Logging to SQLite": today's (November 2026), and that of 2023.
LLM = """
CREATE TABLE [conversations] ([id] TEXT PRIMARY KEY, [name] TEXT, [model] TEXT);
CREATE TABLE [schemas] ([id] TEXT PRIMARY KEY, [content] TEXT);
CREATE TABLE [responses] (
  [id] TEXT PRIMARY KEY, [model] TEXT, [resolved_model] TEXT,
  [conversation_id] TEXT REFERENCES [conversations]([id]),
  [input_node_id] TEXT, [first_input_node_id] TEXT, [output_node_id] TEXT,
  [prompt] TEXT, [system] TEXT, [response] TEXT, [reasoning] TEXT, [options_json] TEXT,
  [schema_id] TEXT, [prompt_json] TEXT, [response_json] TEXT, [duration_ms] INTEGER,
  [datetime_utc] TEXT, [input_tokens] INTEGER, [output_tokens] INTEGER, [token_details] TEXT);
CREATE VIRTUAL TABLE [responses_fts] USING FTS5 ([prompt], [response], content=[responses]);
CREATE TABLE [fragments] (
  [id] INTEGER PRIMARY KEY, [hash] TEXT, [content] TEXT, [datetime_utc] TEXT, [source] TEXT);
CREATE TABLE [tools] (
  [id] INTEGER PRIMARY KEY, [hash] TEXT, [name] TEXT, [description] TEXT, [input_schema] TEXT,
  [plugin] TEXT);
CREATE TABLE [response_fragments] (
  [response_id] TEXT, [fragment_id] INTEGER, [fragment_type] TEXT, [order] INTEGER,
  PRIMARY KEY ([response_id], [fragment_type], [order]));
CREATE TABLE [response_tools] (
  [response_id] TEXT, [tool_id] INTEGER, PRIMARY KEY ([response_id], [tool_id]));
"""
LLM_2023 = """
CREATE TABLE [conversations] ([id] TEXT PRIMARY KEY, [name] TEXT, [model] TEXT);
CREATE TABLE [responses] (
  [id] TEXT PRIMARY KEY, [model] TEXT, [prompt] TEXT, [system] TEXT, [prompt_json] TEXT,
  [options_json] TEXT, [response] TEXT, [response_json] TEXT,
  [conversation_id] TEXT REFERENCES [conversations]([id]), [duration_ms] INTEGER,
  [datetime_utc] TEXT);
"""


def at(call: Call) -> str:
    return datetime.fromtimestamp(call.at_s, UTC).replace(tzinfo=None).isoformat()


def llm_database(path: Path, calls: Sequence[Call], schema: str = LLM) -> Path:
    """Write the calls as `llm` logs them, with a fragment and a tool where the schema can."""
    today = schema == LLM
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(schema)
        if today:
            db.execute("INSERT INTO tools (id, name) VALUES (1, 'look_up')")
            db.execute("INSERT INTO fragments (id, content) VALUES (1, 'A policy.')")
        for call in calls:
            _insert(db, "responses", _llm_row(call, today=today))
            if today and call.step.tools:
                db.execute("INSERT INTO response_tools VALUES (?, 1)", (call.id,))
            if today and call.step.name == "draft":
                db.execute("INSERT INTO response_fragments VALUES (?, 1, 'system', 0)", (call.id,))
    return path


def _llm_row(call: Call, *, today: bool) -> dict[str, Any]:
    row = {
        "id": call.id,
        "model": call.step.model,
        "prompt": call.text,
        "system": call.step.system,
        "options_json": json.dumps({"max_tokens": 500}),
        "response": call.answer,
        "conversation_id": call.session,
        "duration_ms": round(call.latency_s * 1000),
        "datetime_utc": at(call),
    }
    details = {"prompt_tokens_details": {"cached_tokens": call.step.cached}}
    counts = {
        "input_tokens": call.input_tokens,
        "output_tokens": call.output_tokens,
        "token_details": json.dumps(details) if call.step.cached else None,
    }
    return row | (counts if today else {})


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f"[{name}]" for name in row)
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO [{table}] ({names}) VALUES ({marks})", tuple(row.values()))


def ledger(path: Path, calls: Sequence[Call]) -> Path:
    """Write the calls as traces: an expert that costs a cent tries, then the model of today."""
    create(path)
    with opened(path) as db:
        insert(db, [_entry(call) for call in calls])
    return path


def _entry(call: Call) -> Entry:
    trace = Trace(
        id=call.id,
        task=call.step.name,
        at=at(call),
        attempts=(_attempt(call, 1, "expert"), _attempt(call, 2, call.step.model)),
        answered_by=call.step.model,
        reason="last_tier",
        latency_s=call.latency_s,
        message_id=call.session,
        input=call.text,
        answer=call.answer,
    )
    return Entry(trace, encode_trace(trace).decode())


def _attempt(call: Call, number: int, tier: str) -> Attempt:
    return Attempt(
        id=f"a{number}",
        trace_id=call.id,
        number=number,
        tier=tier,
        started_at=at(call),
        latency_s=call.latency_s,
        cost_usd=0.01,
        cost_basis="list",
        usage=Usage(input_tokens=call.input_tokens, output_tokens=call.output_tokens),
        failure="timed_out" if call.failed and number == 2 else None,
        answer=call.answer,
    )


def codex_session(path: Path, calls: Sequence[Call]) -> Path:
    """Write one session; each call is told twice, as Codex does when a turn begins."""
    first = {"id": "session-1", "model_provider": "openai", "cli_version": "0.149.0"}
    lines = [_event(calls[0], "session_meta", first)]
    total = 0
    for call in calls:
        total += call.input_tokens + call.output_tokens
        info = _codex_usage(call, total)
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?"}]}
        counted = {"type": "token_count", "info": info, "rate_limits": None}
        lines += [
            _event(call, "turn_context", {"model": call.step.model, "effort": "high"}),
            _event(call, "response_item", item),
            _event(call, "event_msg", {"type": "token_count", "info": None, "rate_limits": {}}),
            _event(call, "event_msg", counted),
            _event(call, "event_msg", counted),
        ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _codex_usage(call: Call, total: int) -> dict[str, Any]:
    last = {
        "input_tokens": call.input_tokens,
        "cached_input_tokens": 0 if call.failed else call.step.cached,
        "output_tokens": call.output_tokens,
        "reasoning_output_tokens": 0 if call.failed else call.step.reasoning,
        "total_tokens": call.input_tokens + call.output_tokens,
    }
    return {
        "total_token_usage": {**last, "total_tokens": total},
        "last_token_usage": last,
        "model_context_window": 400_000,
    }


def _event(call: Call, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"timestamp": at(call) + "Z", "type": kind, "payload": payload}
