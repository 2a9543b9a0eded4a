"""Bedrock, LangSmith and Claude Code, small and by hand; each reader names its document."""

import json
from pathlib import Path
from typing import Any

from stepdown.adapters.logs import detect, read_logs
from stepdown.core.usage_log import LoggedCall


def one(tmp_path: Path, *rows: Any) -> LoggedCall:
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(read_logs([path]))
    assert [row for batch in batches for row in batch.refused] == []
    (call,) = (call for batch in batches for call in batch.calls())
    return call


CONVERSE = {
    "schemaType": "ModelInvocationLog",
    "timestamp": "2026-11-01T10:00:00Z",
    "requestId": "r1",
    "operation": "Converse",
    "modelId": "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
    "requestMetadata": {"step": "intent", "session_id": "s1"},
    "input": {
        "inputBodyJson": {
            "system": [{"text": "Label it."}],
            "messages": [{"role": "user", "content": [{"text": "Where?"}]}],
            "inferenceConfig": {"maxTokens": 20},
            "toolConfig": {"tools": [{"toolSpec": {"name": "look_up"}}]},
        },
        "inputTokenCount": 30,
        "cacheReadInputTokenCount": 100,
    },
    "output": {
        "outputBodyJson": {
            "output": {"message": {"role": "assistant", "content": [{"text": "late"}]}},
            "metrics": {"latencyMs": 1250},
            "stopReason": "end_turn",
        },
        "outputTokenCount": 2,
    },
}


def test_converse_of_bedrock_is_read_and_cached_tokens_are_added(tmp_path: Path) -> None:
    call = one(tmp_path, CONVERSE)
    assert call.model == "anthropic.claude-3-haiku-20240307-v1:0"
    assert (call.step, call.session, call.latency_s) == ("intent", "s1", 1.25)
    assert (call.usage.input_tokens, call.usage.cached_tokens) == (130, 100)
    assert (call.max_tokens, call.tools, call.answer) == (20, 1, "late")
    assert call.messages is not None
    assert [message.text for message in call.messages] == ["Label it.", "Where?"]


def test_invoke_model_of_bedrock_has_the_vendors_own_bodies(tmp_path: Path) -> None:
    asked = {"system": "Label it.", "messages": [{"role": "user", "content": "Where?"}]}
    answered = {"type": "message", "content": [{"type": "text", "text": "late"}]}
    row = {
        **CONVERSE,
        "operation": "InvokeModel",
        "input": {"inputBodyJson": {**asked, "max_tokens": 9}, "inputTokenCount": 5},
        "output": {"outputBodyJson": answered, "outputTokenCount": 1},
        "errorCode": None,
    }
    call = one(tmp_path, row)
    assert (call.answer, call.max_tokens, call.latency_s) == ("late", 9, None)
    assert call.usage.cached_tokens is None


RUN = {
    "id": "run-1",
    "trace_id": "t1",
    "session_id": "the project, not a session",
    "name": "ChatOpenAI",
    "run_type": "llm",
    "start_time": "2026-11-01T10:00:00.000000",
    "end_time": "2026-11-01T10:00:01.500000",
    "inputs": {
        "messages": [
            [
                {"id": ["langchain", "HumanMessage"], "kwargs": {"content": "Where?"}},
            ]
        ]
    },
    "outputs": {
        "generations": [
            [
                {
                    "message": {
                        "kwargs": {
                            "content": "late",
                            "usage_metadata": {
                                "input_tokens": 30,
                                "output_tokens": 2,
                                "input_token_details": {"cache_read": 10},
                            },
                        }
                    }
                }
            ]
        ]
    },
    "extra": {
        "metadata": {"ls_model_name": "gpt-4.1", "ls_provider": "openai", "thread_id": "s1"},
        "invocation_params": {"model": "gpt-4.1", "tools": [{"function": {"name": "f"}}]},
    },
    "tags": ["step:intent"],
}


def test_a_run_of_langsmith_is_read_and_its_project_is_no_session(tmp_path: Path) -> None:
    call = one(tmp_path, RUN, {**RUN, "id": "2", "run_type": "chain"})
    assert (call.session, call.step, call.latency_s) == ("s1", "intent", 1.5)
    assert (call.provider, call.model, call.tools) == ("openai", "gpt-4.1", 1)
    assert (call.usage.input_tokens, call.usage.cached_tokens) == (30, 10)
    assert call.messages is not None
    assert (call.messages[0].role, call.messages[0].text, call.answer) == (
        "user",
        "Where?",
        "late",
    )


def test_an_answer_that_claude_code_wrote_as_several_events_is_one_call(tmp_path: Path) -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 500, "output_tokens": 7}
    block = {"type": "text", "text": "done"}
    event = {
        "type": "assistant",
        "sessionId": "s1",
        "timestamp": "2026-11-01T10:00:00Z",
        "uuid": "u1",
        "message": {
            "id": "msg_1",
            "type": "message",
            "model": "claude-sonnet-4-5",
            "content": [block],
            "usage": usage,
        },
    }
    asked = {"type": "user", "sessionId": "s1", "message": {"role": "user", "content": "do it"}}
    call = one(tmp_path, asked, event, {**event, "uuid": "u2"})
    assert detect(tmp_path / "log").name.startswith("Claude Code")
    assert (call.usage.input_tokens, call.usage.cached_tokens) == (503, 500)
    assert (call.session, call.answer, call.messages) == ("s1", "done", None)
