"""An adapter on llama.cpp's own server as a tier, and a suite of a real language model (slow)."""

from __future__ import annotations

import http.client
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "wiring"))
from adapter_file import write_adapter
from tiny_project import TOML, envelope, stepdown, write_project

pytestmark = pytest.mark.slow
KEY, NAME = "a-key-of-the-test", "topic-adapter"
WIDTH, RANK = 576, 4  # of SmolLM2-135M; the adapter's weights are RANDOM, nothing was learned


@pytest.fixture
def served(gguf: Path, tmp_path: Path) -> Iterator[str]:
    """llama.cpp's server on loopback with one adapter on the base; yields its address."""
    import xllamacpp

    shapes = {
        f"blk.{block}.attn_q.weight.lora_{side}": shape
        for block in range(0, 30, 6)
        for side, shape in (("a", (WIDTH, RANK)), ("b", (RANK, WIDTH)))
    }
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = str(write_adapter(tmp_path / "adapter.gguf", shapes)), 1.0
    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.cpuparams.n_threads = 1024, 1
    params.lora_adapters = [adapter]
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [KEY]
    params.model_alias = {NAME}
    server = xllamacpp.Server(params)
    yield str(server.listening_address)
    del server


def asked(address: str, scale: float) -> float:
    """Return the log-probability of the first token with the adapter at a scale, by the request."""
    body = {
        "model": NAME, "max_tokens": 1, "temperature": 0, "logprobs": True,
        "messages": [{"role": "user", "content": "Where is my parcel?"}],
        "lora": [{"id": 0, "scale": scale}], "cache_prompt": False,
    }  # fmt: skip
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    found: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return float(found["choices"][0]["logprobs"]["content"][0]["logprob"])


def test_each_request_says_how_much_of_an_adapter_it_wants(served: str) -> None:
    without, with_it = asked(served, 0.0), asked(served, 1.0)
    assert without != with_it
    assert asked(served, 0.0) == without  # as before, after another request had the adapter


def test_an_adapter_that_a_server_lists_becomes_a_tier_and_is_measured(
    served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    folder = write_project(tmp_path / "p")
    args = ["train", "import", f"openai:{NAME}", "-t", "topic", "--base-url", f"{served}/v1"]
    args += ["--api-key-env", "LLAMA_KEY", "--usd-in", "0", "--usd-out", "0", "-p", str(folder)]
    done = stepdown(*args, "--eval", "--limit", "3", "--json")
    assert done.exit_code == 0, done.output
    data = envelope(done)["data"]
    tier = next(t for t in data["summary"]["tiers"] if t["tier"] == NAME)
    assert tier["score"]["n"] == 3  # whatever it scores: its weights are random
    said = tomllib.loads((folder / "stepdown.toml").read_text(encoding="utf-8"))
    assert said["tasks"]["topic"]["tiers"] == ["expert", NAME, "frontier"]
    other = [f"openai:{NAME}x" if word == f"openai:{NAME}" else word for word in args]
    refused = stepdown(*other)
    assert refused.exit_code == 2
    assert f"It lists: {NAME}" in refused.stderr


def test_a_language_model_that_is_a_file_answers_exactly_as_it_was_pinned(
    gguf: Path, tmp_path: Path
) -> None:
    small = '[tiers.small]\nmodel = "llama:smollm2-135m-instruct"\n\n[tiers.frontier]'
    prompt = '\n[tasks.topic.prompts.small]\nuser = "{input}\\nTopic ({labels}):"\n'
    toml = TOML.replace("[tiers.frontier]", small, 1) + prompt
    toml = toml.replace('tiers = ["expert", "frontier"]', 'tiers = ["small", "frontier"]')
    toml = toml.replace("max_loss = 0.12, delta = 0.2", "max_loss = 0.9, delta = 0.2")
    folder = write_project(tmp_path / "p", toml)
    assert stepdown("certify", "-p", folder).exit_code == 0
    assert "Nothing to pin" in stepdown("verify", "--pin", "-p", folder).output
    stepdown("ask", "topic", "something else in between", "-p", folder)
    done = stepdown("verify", "-p", folder, "--json")
    found = {v["tier"]: v for v in envelope(done)["data"]["verdicts"]}["small"]
    assert (found["state"], found["played"]["rule"], found["played"]["asked"]) == (
        "same", "exact", 20,
    )  # fmt: skip
