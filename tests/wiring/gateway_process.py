"""The gateway as a process of its own, and the official client to ask it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import openai

RUN = "from stepdown.cli.main import run; run()"


@contextmanager
def gateway(
    folder: Path, *options: str, env: Mapping[str, str] = {}, late_s: float = 60
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start `stepdown serve --port 0`; yield the process and the base URL it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "serve", "--port", "0", "-p", str(folder), *options],
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    late = threading.Timer(late_s, process.kill)
    late.start()
    try:
        yield process, _url(process)
    finally:
        late.cancel()
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        found = re.search(r"OpenAI base URL: (http://\S+?/v1)\)", line)
        if found:
            return found[1]
    raise AssertionError(f"the gateway did not start: {seen}")


@contextmanager
def client_of(url: str) -> Iterator[openai.OpenAI]:
    """Open the official client on a base URL."""
    with openai.OpenAI(base_url=url, api_key="local", max_retries=0, timeout=30) as client:
        yield client
