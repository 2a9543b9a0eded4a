"""`train export`: the training set of a task as files for another trainer, with their card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.adapters.prices.tokens import ESTIMATE_METHOD, estimate_tokens
from stepdown.adapters.tables.atomic import replacing
from stepdown.config.naming import nearest
from stepdown.core.contract import Prompt
from stepdown.core.request import Completion, encode_answer
from stepdown.core.requesting import read_answer, request_for
from stepdown.core.task import Task
from stepdown.errors import ConfigError, DataError
from stepdown.ports.trainer import Example
from stepdown.train.data_card import DataCard
from stepdown.train.exporting import (
    Dialogue,
    Line,
    axolotl_config,
    lines_of,
    problems_of,
    rules_of,
)
from stepdown.wiring.training_set import Gathered, Options, gather
from stepdown.wiring.workspace import Workspace

CARD, TRAIN, VALIDATION, CONFIG = "card.json", "train.jsonl", "validation.jsonl", "axolotl.yaml"
KINDS = ("classify", "route", "judge", "extract", "convert", "draft", "polish", "summarise")
MOST_TOLD = 5  # problems that an error names
ANSWER_ROOM = 256  # tokens that a teacher may write beyond the longest reference


class Export(Struct, frozen=True, kw_only=True):
    """What to export, where to: `tier` is whose prompt is used, `model` who is to answer a batch.

    `usd_per_mtok` is what the trainer takes for a million tokens, None where nobody knows.
    """

    format: str
    folder: Path
    tier: str = ""
    model: str = ""
    masked: bool = False
    epochs: int = 3
    usd_per_mtok: float | None = None


class Cost(Struct, frozen=True, kw_only=True):
    """What a training or a batch would cost; `usd` is None where a price is unknown."""

    tokens: int
    usd: float | None
    basis: str


class ExportCard(Struct, frozen=True, kw_only=True):
    """What was exported: enough to train on it, and to write the tier of what comes back."""

    task: str
    kind: str
    format: str
    files: Mapping[str, int]
    tokens: int
    tokens_method: str
    cost: Cost
    prompt: Prompt
    answers: str
    data: DataCard
    digest: str
    rules: str
    notes: tuple[str, ...]
    date: str


def export(workspace: Workspace, task: Task, wish: Export) -> ExportCard:
    """Write the files; nothing is written where they would be refused.

    Raises:
        ConfigError: a format, kind or tier that cannot be exported.
        DataError: the receiver's rules are broken, or the folder holds an export already.
    """
    rules = rules_of(wish.format)
    _check(task, wish)
    gathered = gather(workspace, task, Options(masked=wish.masked))
    parts = {TRAIN: gathered.data.train, VALIDATION: gathered.data.validation}
    if wish.format == "anthropic-batch":
        parts = {TRAIN: (*gathered.data.train, *gathered.data.validation)}
    made = {name: _made(task, wish, rows) for name, rows in parts.items() if rows}
    wrong = [
        said
        for name, (dialogues, lines) in made.items()
        for said in problems_of(wish.format, dialogues, lines, name)
        if name == TRAIN or "examples; at least" not in said
    ]
    if wrong:
        more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        raise DataError(
            f"{wish.format} would refuse this: {'; '.join(wrong[:MOST_TOLD])}{more}.",
            f"The rules: {rules.source}, read {rules.read}. Nothing was written.",
        )
    card = _card(
        workspace, task, wish, gathered, {name: lines for name, (_, lines) in made.items()}
    )
    _write(wish, card, {name: lines for name, (_, lines) in made.items()})
    return card


def _check(task: Task, wish: Export) -> None:
    if task.kind not in KINDS:
        raise ConfigError(
            f"A {task.kind} task cannot be exported as chat examples yet.",
            f"These can: {', '.join(KINDS)}.",
        )
    if wish.tier and wish.tier not in task.tiers:
        raise ConfigError(
            f"The task {task.name!r} has no tier {wish.tier!r}.",
            nearest(wish.tier, task.tiers, "tiers"),
        )
    if wish.format == "anthropic-batch" and not wish.model:
        raise ConfigError(
            "--format anthropic-batch needs --model: who is to answer.",
            "For example --model claude-opus-5-5.",
        )
    taken = [name for name in (CARD, TRAIN) if (wish.folder / name).exists()]
    if taken:
        raise DataError(
            f"{wish.folder} holds an export already ({taken[0]}).", "Name another folder."
        )


def _made(
    task: Task, wish: Export, rows: Sequence[Example]
) -> tuple[tuple[Dialogue, ...], tuple[Line, ...]]:
    dialogues = tuple(_dialogue(task, wish.tier, row) for row in rows)
    room = max(estimate_tokens(one.answer) for one in dialogues) + ANSWER_ROOM
    lines = lines_of(wish.format, dialogues, estimate_tokens, model=wish.model, max_tokens=room)
    return dialogues, lines


def _dialogue(task: Task, tier: str, row: Example) -> Dialogue:
    """Return an example as it will be asked when it serves.

    Raises:
        DataError: its answer would not be read back as itself.
    """
    request = request_for(task, tier, row.id, row.input)
    plain = row.answer if isinstance(row.answer, str) else encode_answer(row.answer)
    answer = plain if task.prompt_for(tier) is not None else task.contract.render(plain)
    read = read_answer(task, tier, Completion(text=answer)).text
    if read is None or (task.labels and read != plain):
        raise DataError(
            f"The answer of {row.id} to {task.name!r} would not be read back: {plain[:80]!r}.",
            "Correct the row, or the task's contract.",
        )
    return Dialogue(id=row.id, messages=request.messages, answer=answer)


def _card(
    workspace: Workspace,
    task: Task,
    wish: Export,
    gathered: Gathered,
    made: Mapping[str, Sequence[Line]],
) -> ExportCard:
    rules = rules_of(wish.format)
    tokens = sum(line.tokens for lines in made.values() for line in lines)
    notes = [*rules.notes]
    if rules.recommended is not None and len(made[TRAIN]) < rules.recommended:
        notes.append(f"From {rules.recommended} examples on a gain is expected.")
    return ExportCard(
        task=task.name,
        kind=task.kind,
        format=wish.format,
        files={name: len(lines) for name, lines in made.items()},
        tokens=tokens,
        tokens_method=ESTIMATE_METHOD,
        cost=_cost(workspace, wish, gathered, made),
        prompt=_prompt(task, wish.tier),
        answers="in the shape of the task's contract" if task.prompt_for(wish.tier) is None
        else "bare, as the tier's own prompt asks",
        data=gathered.card,
        digest=gathered.data.digest,
        rules=f"{rules.source}, read {rules.read}",
        notes=tuple(notes),
        date=workspace.environment.today.isoformat(),
    )  # fmt: skip


def _prompt(task: Task, tier: str) -> Prompt:
    """Return the prompt that the trained model will expect."""
    said = task.prompt_for(tier)
    return said or Prompt(user=task.contract.user, system=task.contract.system)


def _cost(
    workspace: Workspace, wish: Export, gathered: Gathered, made: Mapping[str, Sequence[Line]]
) -> Cost:
    if wish.format == "anthropic-batch":
        return _batch_cost(workspace, wish, gathered, made)
    tokens = wish.epochs * sum(line.tokens for line in made[TRAIN])
    if wish.usd_per_mtok is None:
        basis = f"{wish.epochs} epochs; nobody said the price of a million training tokens"
        return Cost(tokens=tokens, usd=None, basis=basis)
    usd = tokens * wish.usd_per_mtok / 1e6
    basis = f"{wish.epochs} epochs at {wish.usd_per_mtok:g} dollars a million tokens, as you said"
    return Cost(tokens=tokens, usd=usd, basis=basis)


def _batch_cost(
    workspace: Workspace, wish: Export, gathered: Gathered, made: Mapping[str, Sequence[Line]]
) -> Cost:
    """Price a batch at the list: the inputs, and answers as long as the references."""
    from stepdown.adapters.prices.listed import Processing, price_of
    from stepdown.core.request import Usage

    rows = (*gathered.data.train, *gathered.data.validation)
    out = sum(
        estimate_tokens(r.answer if isinstance(r.answer, str) else encode_answer(r.answer))
        for r in rows
    )
    tokens = sum(line.tokens for line in made[TRAIN])
    try:
        price = price_of(
            f"anthropic/{wish.model}",
            at=workspace.environment.today,
            processing=Processing.BATCH,
        )
    except ConfigError as error:
        return Cost(tokens=tokens, usd=None, basis=error.message)
    usd = price.cost_usd(Usage(input_tokens=tokens - out, output_tokens=out), None)
    return Cost(tokens=tokens, usd=usd, basis=f"{price.source}; answers as long as the references")


def _write(wish: Export, card: ExportCard, made: Mapping[str, Sequence[Line]]) -> None:
    """Write the examples first and the card last: a folder without a card is no export."""
    texts: dict[str, bytes] = {
        name: b"".join(line.data for line in lines) for name, lines in made.items()
    }
    if wish.format == "axolotl":
        texts[CONFIG] = axolotl_config(TRAIN, VALIDATION if VALIDATION in made else None).encode()
    texts[CARD] = msgspec.json.format(msgspec.json.encode(card)) + b"\n"
    for name, data in texts.items():
        with replacing(wish.folder / name) as path:
            path.write_bytes(data)


def read_card(path: Path) -> ExportCard:
    """Return the card of an export, from its folder or its file.

    Raises:
        DataError: it is none.
    """
    file = path / CARD if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=ExportCard)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{file} is no card of an export: {error}.",
            f"Name the folder that `stepdown train export` wrote, or its {CARD}.",
        ) from None


def card_data(card: ExportCard) -> dict[str, Any]:
    """Return the card as plain data."""
    found: dict[str, Any] = msgspec.to_builtins(card)
    return found
