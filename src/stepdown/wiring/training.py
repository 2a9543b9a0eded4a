"""`train`: fit a narrow expert from the train rows, evaluate it on others, register it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from stepdown.core.digest import seed_from
from stepdown.core.report import Claim, Column, Document, Section, Table
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import ConfigError
from stepdown.evals.harness import RunResult
from stepdown.stats.calibrate import auroc, ece
from stepdown.stats.intervals import proportion_interval
from stepdown.train.fit import fit_head
from stepdown.train.head import save_head
from stepdown.wiring.evaluating import Watch, run_one
from stepdown.wiring.registry import Artifact
from stepdown.wiring.workspace import Workspace


class Trained(Struct, frozen=True, kw_only=True):
    """An expert, registered, with how it did on the tune rows (not trained on)."""

    artifact: Artifact
    n_train: int
    accuracy: Claim
    auroc: float | None
    ece: float | None
    out_of_fold: float
    size_bytes: int
    seconds: float


def trainable(workspace: Workspace, task: Task, tiers: Sequence[str] = ()) -> tuple[Tier, ...]:
    """Return the tiers of a task that are heads.

    Raises:
        ConfigError: a named tier is not a head.
    """
    heads = [workspace.tiers[n] for n in task.tiers if workspace.tiers[n].adapter == "head"]
    for name in tiers:
        if name not in [tier.name for tier in heads]:
            raise ConfigError(
                f"The tier {name!r} of {task.name!r} is not trained here.",
                'Only tiers with model = "head:ENCODER" are.',
            )
    return tuple(tier for tier in heads if not tiers or tier.name in tiers)


async def train(
    workspace: Workspace, task: Task, tier: Tier, watch: Watch | None = None
) -> Trained:
    """Fit a head for one tier of a classify task, evaluate it on the tune rows, register it."""
    if not task.labels:
        raise ConfigError(f"The task {task.name!r} has no labels; a head chooses among labels.")
    start = workspace.seconds()
    rows = workspace.part(task, "train")
    head = fit_head(
        [row.input for row in rows],
        [row.reference for row in rows],
        workspace.models.encoder(tier.target),
        task=task.name,
        name=tier.name,
        groups=[row.group for row in rows],
    )
    path = save_head(head, workspace.models.registry.folder)
    fitted_s = workspace.seconds() - start
    artifact = Artifact(
        task=task.name,
        tier=tier.name,
        file=path.name,
        digest=head.digest,
        recipe=f"head on {tier.target}",
        data_digest=head.card.data_digest,
        date=workspace.environment.today.isoformat(),
        size_bytes=path.stat().st_size,
    )
    workspace.models.registry.add(artifact)
    workspace.models.forget(task, tier.name)
    result = await run_one(workspace, task, tier.name, workspace.part(task, "tune"), watch)
    return _trained(
        workspace, artifact, result, len(rows), head.card.out_of_fold_accuracy, fitted_s
    )


def _trained(
    workspace: Workspace,
    artifact: Artifact,
    result: RunResult,
    n_train: int,
    out_of_fold: float,
    seconds: float,
) -> Trained:
    right = [outcome.score or 0.0 for outcome in result.outcomes]
    sure = [outcome.signals.get("label_prob") or 0.0 for outcome in result.outcomes]
    seed = seed_from(workspace.whole_split.data_digest)
    found = proportion_interval(right, level=0.95, seed=seed)
    accuracy = Claim(
        sum(right) / len(right), "score", found.low, found.high, 0.95, len(right), "tune rows"
    )
    return Trained(
        artifact=artifact,
        n_train=n_train,
        accuracy=accuracy,
        auroc=auroc(sure, right),
        ece=ece(sure, right),
        out_of_fold=out_of_fold,
        size_bytes=artifact.size_bytes,
        seconds=seconds,
    )


def document(found: Sequence[Trained]) -> Document:
    """Return the report of what was trained."""
    columns = (
        Column("task"),
        Column("tier"),
        Column("trained on", numeric=True),
        Column("tune score", numeric=True),
        Column("AUROC", numeric=True),
        Column("ECE", numeric=True, optional=True),
        Column("fit", numeric=True, optional=True),
        Column("digest", optional=True),
    )
    table = Table(
        title="Experts",
        columns=columns,
        rows=tuple(_row(one) for one in found),
        notes=(
            "Score, AUROC and ECE on tune rows, which no expert was trained on; 95% intervals.",
            "Pinned as files under models/, registered under their SHA-256.",
        ),
    )
    return Document(title="Train", sections=(Section("Experts", (table,)),))


def _row(one: Trained) -> tuple[str | Claim | None, ...]:
    artifact = one.artifact
    return (
        artifact.task,
        artifact.tier,
        Claim(one.n_train, "count"),
        one.accuracy,
        Claim(one.auroc, "score"),
        Claim(one.ece, "score"),
        Claim(one.seconds, "s"),
        artifact.digest.removeprefix("sha256:")[:12],
    )
