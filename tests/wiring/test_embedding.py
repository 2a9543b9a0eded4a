"""`stepdown eval` and `certify` of embed tasks (SYNTHETIC texts, see embed_project.py)."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from embed_project import PAIRS, embed_server, write_embed, write_rows
from tiny_project import envelope, stepdown


def tiers_of(data: Any, task: int = 0) -> dict[str, Any]:
    return {tier["tier"]: tier for tier in data["tasks"][task]["tiers"]}


def test_tiers_are_compared_by_what_their_vectors_find(tmp_path: Path) -> None:
    with embed_server() as (base, sent):
        folder = write_embed(tmp_path / "p", base)
        done = stepdown("eval", "-p", folder, "--rows", "held-out", "--json")
        assert done.exit_code == 0, done.output
        data = envelope(done)["data"]
        tiers = tiers_of(data)
        assert tiers["hosted"]["score"]["value"] > 0.9
        assert tiers["static"]["score"]["value"] > 0.6
        assert tiers["static"]["difference"]["low"] is not None
        assert tiers["hosted"]["usd_per_1k"]["value"] > 0
        dims = {t["tier"]: t["dimensions"] for t in data["vectors"]["find"]["tiers"]}
        assert dims == {"static": 768, "hosted": 64}
        assert max(map(len, sent)) > 1


def test_no_vector_is_paid_for_twice_and_other_documents_score_anew(tmp_path: Path) -> None:
    with embed_server() as (base, sent):
        folder = write_embed(tmp_path / "p", base)
        first = envelope(stepdown("eval", "-p", folder, "--json"))["data"]
        calls = len(sent)
        again = envelope(stepdown("eval", "-p", folder, "--json"))["data"]
        assert len(sent) == calls
        assert tiers_of(again)["hosted"]["score"] == tiers_of(first)["hosted"]["score"]
        assert again["runs"] == first["runs"]
        rows = [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]
        write_rows(folder / "documents.jsonl", [*rows, {"id": "new", "text": "a new document"}])
        other = envelope(stepdown("eval", "-p", folder, "--json"))["data"]
        assert sent[calls:] == [["a new document"]]
        assert other["runs"] != first["runs"]


def test_pairs_are_ranked_and_spearman_stands_beside_with_its_interval(tmp_path: Path) -> None:
    from scipy.stats import spearmanr

    with embed_server() as (base, _):
        folder = write_embed(tmp_path / "p", base, PAIRS)
        done = stepdown("eval", "alike", "-p", folder, "--rows", "all", "--json")
        assert done.exit_code == 0, done.output
        data = envelope(done)["data"]
        figures = {t["tier"]: t for t in data["vectors"]["alike"]["tiers"]}
        assert figures["hosted"]["correlation"]["n"] == 120
        assert figures["hosted"]["correlation"]["low"] < figures["hosted"]["correlation"]["value"]
        assert figures["static"]["difference"]["value"] is not None
        assert figures["hosted"].get("difference") is None

        import numpy as np
        from embed_project import vector

        def cosine(a: str, b: str) -> float:
            x, y = np.array(vector(a)), np.array(vector(b))
            return float(x @ y / np.sqrt((x @ x) * (y @ y)))

        rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
        likeness = [round(cosine(r["text"], r["alike"]["text"]), 12) for r in rows]
        truth = [r["alike"]["similarity"] for r in rows]
        expected = spearmanr(likeness, truth).statistic
        assert abs(figures["hosted"]["correlation"]["value"] - expected) < 0.01


def test_certify_locks_one_tier_and_never_a_cascade(tmp_path: Path) -> None:
    with embed_server() as (base, _):
        folder = write_embed(tmp_path / "p", base, n=400)
        done = stepdown("certify", "-p", folder)
        assert done.exit_code in (0, 1), done.output
        assert "never mix" in " ".join(done.output.split())
        lock = tomllib.loads((folder / "stepdown.lock").read_text())
        policy = lock["tasks"]["find"]["policy"]
        entry = next(row for row in policy["rows"] if row["called"] == [])
        tier = entry["otherwise"].removeprefix("call ")
        reached = next(row for row in policy["rows"] if row["called"] == [tier])
        assert reached["otherwise"] == f"accept {tier}"
        assert not reached.get("when")


def test_a_document_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with embed_server() as (base, _):
        folder = write_embed(tmp_path / "p", base)
        text = (folder / "queries.jsonl").read_text().replace('"d11"', '"d11x"')
        (folder / "queries.jsonl").write_text(text)
        done = stepdown("eval", "-p", folder, "--rows", "all")
        assert done.exit_code == 2
        assert "d11x" in done.output


def test_missing_documents_say_how_to_name_them(tmp_path: Path) -> None:
    with embed_server() as (base, _):
        folder = write_embed(tmp_path / "p", base)
        toml = (folder / "stepdown.toml").read_text()
        plain = toml.replace(
            'scorer = { name = "recall_at_k", corpus = "documents.jsonl", k = 3 }\n', ""
        )
        (folder / "stepdown.toml").write_text(plain)
        done = stepdown("eval", "-p", folder)
        assert done.exit_code == 2
        assert "corpus" in done.output


def test_a_dead_embedder_fails_its_tier_and_not_the_run(tmp_path: Path) -> None:
    folder = write_embed(tmp_path / "p", "http://127.0.0.1:9", n=60)
    done = stepdown("eval", "-p", folder, "--json")
    assert done.exit_code in (0, 1), done.output
    tiers = tiers_of(envelope(done)["data"])
    assert tiers["static"]["score"]["value"] is not None
    assert tiers["hosted"]["failures"]


@pytest.mark.parametrize("verb", [("serve", "share", "find=0.5"), ("rollback", "find")])
def test_an_embed_task_has_no_share(verb: tuple[str, ...], tmp_path: Path) -> None:
    with embed_server() as (base, _):
        folder = write_embed(tmp_path / "p", base)
        done = stepdown(*verb, "-p", folder)
        assert done.exit_code == 2
        assert "The embed task 'find' has no share" in done.output
