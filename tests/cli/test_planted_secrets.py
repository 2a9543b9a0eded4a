"""Secrets planted in every format's content appear in no report, and in nothing that is written.

The logs are SYNTHETIC, and so are the secrets: each has the shape of a real one and opens nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.logs import known_pipeline as known
from tests.logs.known_pipeline import Call, Step
from tests.logs.session_files import ledger, llm_database
from tiny_project import stepdown

SECRETS = (
    "sk-proj-9f8e7d6c5b4a39281706",
    "jane.doe@mail.example.com",
    "+49 170 5551234",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "192.168.17.42",
)
N = 240


def planted(step: Step) -> Step:
    """Return a step whose prompt, name and tool hold secrets."""
    tool = json.loads(json.dumps(known.TOOL))
    tool["function"]["description"] = f"Ask {SECRETS[1]} or call {SECRETS[2]}."
    name = f"{step.name} {SECRETS[1]}" if step.name == "intent" else step.name
    system = f"{step.system} The key is {SECRETS[0]}; write to {SECRETS[1]} or {SECRETS[7]}."
    return step._replace(name=name, system=system, tools=(tool,) if step.tools else ())


def calls() -> Iterator[Call]:
    """Yield calls whose every text holds secrets; answers are few, so that they are labels."""
    for call in known.calls(N):
        number = call.number
        text = f"{call.text} My card {SECRETS[3]}, account {SECRETS[4]}, {SECRETS[number % 8]}."
        answer = f"{SECRETS[number // 6 % 8]}"
        yield call._replace(step=planted(call.step), text=text, answer=answer)


def as_lines(form: str) -> Callable[[Path, Sequence[Call]], Path]:
    def write(path: Path, found: Sequence[Call]) -> Path:
        rows = [json.dumps(known.FORMATS[form](call)) for call in found]
        broken = f'{{"request": {{"model": "{SECRETS[0]} {SECRETS[1]}'
        path.write_text("\n".join([*rows, broken]) + "\n", encoding="utf-8")
        return path

    return write


FORMATS: dict[str, Callable[[Path, Sequence[Call]], Path]] = {
    **{form: as_lines(form) for form in known.FORMATS},
    "llm": llm_database,
    "ledger": ledger,
}


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text or secret.replace(" ", "") in text]


def texts_under(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes().decode("utf-8", "replace")


@pytest.mark.parametrize("form", list(FORMATS))
def test_no_report_shows_what_is_planted_in_a_format(tmp_path: Path, form: str) -> None:
    log = FORMATS[form](tmp_path / "log.db", list(calls()))
    assert secrets_in(log.read_bytes().decode("utf-8", "replace"))
    out = tmp_path / "out"
    files = [f"--{kind}={out / f'audit.{kind}'}" for kind in ("html", "md", "csv")]
    shown = stepdown("audit", str(log), *files)
    assert shown.exit_code == 0, shown.output
    as_json = stepdown("audit", str(log), "--json")
    assert json.loads(as_json.stdout)["data"]["calls"] >= N
    told = [("terminal", shown.output), ("json", as_json.output), *texts_under(out)]
    assert len(told) == 5
    assert {where: found for where, text in told if (found := secrets_in(text))} == {}


def test_the_flag_that_asks_for_content_shows_it(tmp_path: Path) -> None:
    log = FORMATS["pairs"](tmp_path / "log.jsonl", list(calls()))
    assert secrets_in(stepdown("audit", str(log), "--json", "--show-content").output)


@pytest.mark.parametrize("form", ["pairs", "otel"])
def test_nothing_that_is_written_holds_a_secret_unless_it_is_asked_for(
    tmp_path: Path, form: str
) -> None:
    log = FORMATS[form](tmp_path / "log.jsonl", list(calls()))
    root = tmp_path / "desk"
    done = stepdown("audit", str(log), "--write", "--project", str(root))
    assert done.exit_code == 0, done.output
    told = [("terminal", done.output), *texts_under(root)]
    assert any(where.endswith(".jsonl") for where, _ in told)
    assert {where: found for where, text in told if (found := secrets_in(text))} == {}
    asked = tmp_path / "asked"
    stepdown("audit", str(log), "--write", "--no-mask", "--project", str(asked))
    assert secrets_in("".join(text for _, text in texts_under(asked)))


def test_a_prompt_with_a_secret_has_an_open_place_in_its_contract(tmp_path: Path) -> None:
    log = FORMATS["pairs"](tmp_path / "log.jsonl", list(calls()))
    stepdown("audit", str(log), "--write", "--project", str(tmp_path / "desk"))
    text = (tmp_path / "desk" / "stepdown.toml").read_text(encoding="utf-8")
    assert "The key is {*} write to {*} or {*}" in text.replace("{*};", "{*}")
