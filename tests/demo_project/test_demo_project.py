import gzip
import hashlib
import importlib.util
import json
import re
import time
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from stepdown.config.project import load_project
from stepdown.core.request import Message
from stepdown.evals.patterns import Checklist, checklist

PROJECT = Path(__file__).parents[2] / "src/stepdown/demo/project"
LABEL_STEPS = ("intent", "department", "urgency", "sentiment")
HOSTILE = (
    "a " * 5000,
    "check order " * 850,
    "no " * 3400,
    " " * 10_000,
    "1-" * 5000,
    "1" * 10_000,
    "A-1" * 3300,
    "order 1/" * 1250,
    "1 000 " * 1700,
    "day date when " * 720,
    "please send us your " * 500,
)


def rows(name: str) -> dict[str, dict[str, Any]]:
    lines = (PROJECT / name).read_text(encoding="utf-8").splitlines()
    return {row["id"]: row for row in map(json.loads, lines)}


def import_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("old_pipeline", PROJECT / "old_pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OLD = import_script()
MESSAGES = rows("messages.jsonl")
PATTERNS = rows("patterns.jsonl")
KEYS = tomllib.loads((PROJECT / "stepdown.toml").read_text(encoding="utf-8"))


def as_checklist(row: dict[str, Any]) -> Checklist:
    return checklist(row["patterns"])


def score(key: str, text: str) -> float:
    wanted = as_checklist(PATTERNS[key])
    return 0.0 if wanted.refused_in(text) else len(wanted.made_in(text)) / len(wanted.points)


def seconds(pattern: re.Pattern[str], text: str) -> float:
    taken = []
    for _ in range(3):
        start = time.process_time()
        pattern.search(text)
        taken.append(time.process_time() - start)
        if taken[-1] < 0.05:
            break
    return min(taken)


def test_the_project_loads_and_its_baseline_is_the_ceiling_of_every_task() -> None:
    project = load_project(PROJECT)
    assert tuple(project.tasks) == OLD.STEPS
    assert {task.ceiling for task in project.tasks.values()} == {project.baseline}


def test_every_embedded_tier_has_a_price_with_a_source() -> None:
    for name, tier in KEYS["tiers"].items():
        if tier.get("place", "embedded") == "embedded":
            assert tier["price"]["usd_per_hour"] > 0, name
            assert "assumed" in tier["price"]["source"], name


def test_the_price_list_knows_the_model_that_the_frontier_tier_is_priced_as() -> None:
    genai_prices = pytest.importorskip("genai_prices")
    provider, _, model = KEYS["tiers"]["frontier"]["priced_as"].partition("/")
    usage = genai_prices.Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    price = genai_prices.calc_price(usage, model_ref=model, provider_id=provider)
    assert price.model.id == model
    assert model == OLD.MODEL
    assert (price.input_price, price.output_price) == (4, 20)


@pytest.mark.parametrize("step", OLD.STEPS)
def test_the_prompts_of_the_script_stand_in_the_project_word_for_word(step: str) -> None:
    contract = KEYS["tasks"][step]["contract"]
    assert contract["system"] == OLD.SYSTEM[step]
    assert contract["user"] == OLD.USER[step]


@pytest.mark.parametrize("step", OLD.STEPS)
def test_the_bare_message_is_taken_out_of_what_the_script_sends(step: str) -> None:
    contract = load_project(PROJECT).tasks[step].contract
    for row in MESSAGES.values():
        sent = tuple(Message(**said) for said in OLD.messages_of(step, row["text"]))
        assert contract.take_input(sent) == row["text"].strip()


@pytest.mark.parametrize("step", LABEL_STEPS)
def test_a_rendered_label_is_what_the_scripts_parser_reads(step: str) -> None:
    contract = load_project(PROJECT).tasks[step].contract
    for label in KEYS["tasks"][step]["labels"]:
        assert OLD.parse(step, contract.render(label)) == label


@pytest.mark.parametrize("step", LABEL_STEPS)
def test_the_labels_of_the_project_are_those_of_the_data_and_of_the_prompt(step: str) -> None:
    labels = set(KEYS["tasks"][step]["labels"])
    assert labels == {row[step] for row in MESSAGES.values()}
    assert all(label in OLD.SYSTEM[step] for label in labels)


def test_the_fields_of_the_project_are_those_of_the_data_and_of_the_script() -> None:
    fields = tuple(KEYS["tasks"]["entities"]["fields"])
    assert fields == OLD.FIELDS
    assert all(set(row["entities"]) == set(fields) for row in MESSAGES.values())


def test_the_script_asks_each_step_once_and_notes_a_failure_without_stopping() -> None:
    answers = {step: json.dumps({step: "x"}) for step in LABEL_STEPS}
    answers |= {"entities": "no JSON", "draft": "Dear customer", "polish": "Dear friend"}
    asked: list[dict[str, Any]] = []

    def create(**request: Any) -> Any:
        asked.append(request)
        said = SimpleNamespace(content=answers[request["metadata"]["step"]])
        return SimpleNamespace(id="r", model="m", choices=[SimpleNamespace(message=said)])

    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    models = OLD.chosen_models("intent=intent")
    result = OLD.run(client, models, OLD.STEPS, {"id": "a1", "text": "hello"})
    assert [request["metadata"]["step"] for request in asked] == list(OLD.STEPS)
    assert [request["model"] for request in asked[:2]] == ["intent", OLD.MODEL]
    assert asked[-1]["messages"][1]["content"] == "Draft reply:\n\nDear customer"
    assert (result["intent"], result["polish"]) == ("x", "Dear friend")
    assert list(result["errors"]) == ["entities"]


def test_the_script_refuses_a_model_for_a_step_that_it_does_not_have() -> None:
    with pytest.raises(SystemExit, match="itnent"):
        OLD.chosen_models("itnent=intent")


def test_the_log_holds_every_recorded_call_of_every_message_and_no_polish() -> None:
    recorded = rows("frontier.jsonl")
    steps: Counter[str] = Counter()
    for call in log():
        step, key = (call["request"]["metadata"][k] for k in ("step", "message_id"))
        steps[step] += 1
        assert call["metadata"]["answers"] == "recorded answers of a large language model"
        assert call["request"]["messages"] == OLD.messages_of(step, MESSAGES[key]["text"])
        said = OLD.parse(step, call["response"]["choices"][0]["message"]["content"])
        assert said == recorded[key][step]
    assert steps == dict.fromkeys(OLD.STEPS[:-1], len(MESSAGES))


def test_the_log_states_no_tokens_time_or_latency_that_nobody_recorded() -> None:
    named = {key for call in log() for part in (call, call["response"]) for key in part}
    assert not named & {"usage", "timestamp", "created", "latency_s", "latency_ms", "cost_usd"}


def test_the_log_is_small_enough_to_ship() -> None:
    assert (PROJECT / "today.jsonl.gz").stat().st_size < 1_000_000


def log() -> list[dict[str, Any]]:
    data = gzip.decompress((PROJECT / "today.jsonl.gz").read_bytes())
    return [json.loads(line) for line in data.splitlines()]


def test_the_messages_with_patterns_were_chosen_by_a_hash_and_not_by_difficulty() -> None:
    def drawn(key: str) -> str:
        return hashlib.sha256(f"stepdown-draft-patterns-1:{key}".encode()).hexdigest()

    shops = ("electronics", "home", "fashion", "grocery")
    by_shop = {shop: [k for k, row in MESSAGES.items() if row["shop"] == shop] for shop in shops}
    chosen = {key for keys in by_shop.values() for key in sorted(keys, key=drawn)[:30]}
    assert set(PATTERNS) == chosen


def test_every_point_with_patterns_is_a_reply_point_of_its_message() -> None:
    for key, row in PATTERNS.items():
        assert set(row["points"]) <= set(MESSAGES[key]["reply_points"])
        assert len(row["points"]) == len(as_checklist(row).points)


def test_no_pattern_needs_long_for_a_hostile_text_of_ten_kilobytes() -> None:
    lists = [as_checklist(row) for row in PATTERNS.values()]
    accepted = {p for each in lists for point in each.points for p in point.accept}
    refused = {p for each in lists for p in each.refuse}
    patterns = [re.compile(p, re.IGNORECASE | re.DOTALL) for p in accepted | refused]
    patterns += [re.compile(p) for p in KEYS["tasks"]["entities"]["rules"].values()]
    slow = [p.pattern for p in patterns for text in HOSTILE if seconds(p, text) > 0.05]
    assert slow == []


GOOD_REPLIES = {
    "a062": "Apologies! Could you let us have your order ID? We will start an enquiry with the "
    "courier, and meanwhile perhaps a neighbour took it in.",
    "a165": "Fourteen months is well inside the two-year guarantee, so it is covered. Bring the "
    "set to any branch and our workshop will test it. I regret how you were treated.",
    "b229": "For your safety, pull the plug and leave the fridge alone. I have escalated this, "
    "and an engineer will come to you.",
    "c253": "You stopped in time, so well done. Set a new password on our real site first. We have "
    "frozen your account and will review recent orders; call your bank if you see anything odd.",
    "d037": "So sorry about the mix-up! A driver will pick up the kitten food and the correct "
    "bags are being dispatched today.",
    "d146": "Bonjour, bien sûr : vous avez trente jours pour les articles non ouverts. Vous "
    "trouverez l'étiquette de retour en pièce jointe.",
    "d202": "Inside it measures 76 x 53 x 48 cm. For a dog of 31 kg we suggest the large one.",
}


@pytest.mark.parametrize("key", GOOD_REPLIES)
def test_a_good_reply_in_words_that_no_model_used_makes_every_point(key: str) -> None:
    assert score(key, GOOD_REPLIES[key]) == 1.0


def test_a_reply_that_promises_compensation_or_asks_for_a_secret_scores_nothing() -> None:
    assert score("a062", GOOD_REPLIES["a062"] + " We will also offer you a voucher.") == 0.0
    assert score("c253", GOOD_REPLIES["c253"] + " Please send us your old password.") == 0.0


def test_a_reply_that_warns_against_sharing_a_secret_is_not_punished() -> None:
    warned = " Please never send us your password, and we cannot promise compensation."
    assert score("c253", GOOD_REPLIES["c253"] + warned) == 1.0


def test_a_polite_sentence_that_fits_every_message_scores_low() -> None:
    polite = "Thank you for your message. We are sorry and will get back to you soon."
    assert sum(score(key, polite) for key in PATTERNS) / len(PATTERNS) < 0.25


def test_recorded_drafts_score_far_above_drafts_to_other_messages() -> None:
    drafts = {key: row["draft"] for key, row in rows("frontier.jsonl").items()}
    keys = list(PATTERNS)
    own = sum(score(key, drafts[key]) for key in keys) / len(keys)
    others = zip(keys, keys[37:] + keys[:37], strict=True)
    other = sum(score(key, drafts[swapped]) for key, swapped in others) / len(keys)
    assert own > 0.8
    assert other < 0.2
