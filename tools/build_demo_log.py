"""Rebuild the demo's usage log (today.jsonl.gz): the old pipeline's calls as if it had been logged.

Usage: python tools/build_demo_log.py [--check]

Requests are the messages that old_pipeline.py sends; answers are the recorded ones of
frontier.jsonl. There is no usage, no time and no latency in it, because nobody recorded any:
`audit` estimates the tokens and says so. There are no polish calls, because none was recorded.
Provider and model are the price basis of the config (tiers.frontier.priced_as), not who answered.
"""

import argparse
import gzip
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PROJECT = Path(__file__).parents[1] / "src/stepdown/demo/project"
LOG = PROJECT / "today.jsonl.gz"
PROVIDER = "anthropic"
LABEL = {"answers": "recorded answers of a large language model", "model": "price basis only"}


def main() -> int:
    """Build, then write or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    text = "".join(line(call) for call in calls(load_pipeline())).encode()
    if parser.parse_args().check:
        same = gzip.decompress(LOG.read_bytes()) == text
        print("The shipped log is the same." if same else "The shipped log differs.")
        return 0 if same else 1
    LOG.write_bytes(gzip.compress(text, compresslevel=9, mtime=0))
    lines = text.count(b"\n")
    print(f"{lines} calls, {len(text)} bytes, {LOG.stat().st_size} compressed.")
    return 0


def load_pipeline() -> ModuleType:
    """Import old_pipeline.py, which is a script and not a module of the package."""
    spec = importlib.util.spec_from_file_location("old_pipeline", PROJECT / "old_pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls(pipeline: ModuleType) -> Iterator[dict[str, Any]]:
    """Yield every call of every message, in the pipeline's order."""
    texts = {row["id"]: row["text"] for row in rows("messages.jsonl")}
    for recorded in rows("frontier.jsonl"):
        for step in pipeline.STEPS:
            if step in recorded:
                yield call(pipeline, step, recorded, texts[recorded["id"]])


def rows(name: str) -> list[dict[str, Any]]:
    """Read a JSONL file of the project."""
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(each) for each in lines if each.strip()]


def call(pipeline: ModuleType, step: str, recorded: dict[str, Any], text: str) -> dict[str, Any]:
    """Return one request with its response, as a logging client would write the pair."""
    said = {"role": "assistant", "content": answer(pipeline, step, recorded[step])}
    return {
        "provider": PROVIDER,
        "metadata": LABEL,
        "request": {
            "model": pipeline.MODEL,
            "messages": pipeline.messages_of(step, text),
            "max_tokens": pipeline.MAX_TOKENS.get(step, 30),
            "metadata": {"step": step, "message_id": recorded["id"]},
        },
        "response": {
            "id": f"recorded-{recorded['id']}-{step}",
            "object": "chat.completion",
            "model": pipeline.MODEL,
            "choices": [{"index": 0, "finish_reason": "stop", "message": said}],
        },
    }


def answer(pipeline: ModuleType, step: str, value: Any) -> str:
    """Return a recorded answer in the shape that the step's prompt asks for."""
    if step in pipeline.LABEL_STEPS:
        return json.dumps({step: value})
    if step == "entities":
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return str(value)


def line(row: dict[str, Any]) -> str:
    """Return a row as one line of JSON."""
    return json.dumps(row, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
