"""Memory of `stepdown serve` over a long run, with the upstream and the load of the benchmarks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

REQUESTS = 1_000_000
PARTS = 10


@pytest.mark.slow
def test_memory_stays_flat_over_a_million_requests(tmp_path: Path) -> None:
    from upstream.built import load, mock
    from upstream.peers import stepdown
    from upstream.processes import memory_mb
    from upstream.project import request, write_project

    body = tmp_path / "request.json"
    body.write_bytes(request("two"))
    marks = []
    with mock() as port:
        write_project(tmp_path / "project", port)
        with stepdown(tmp_path / "project") as peer:
            for _ in range(PARTS):
                load(peer.port, body, 32, requests=REQUESTS // PARTS)
                marks.append(memory_mb(peer.pid))
    assert marks[-1] - marks[1] < 5, marks
    assert marks[-1] < 80, marks
