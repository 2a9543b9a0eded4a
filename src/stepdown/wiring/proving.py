"""What a trained artifact is worth: its answers to held-out rows beside those of other tiers.

Only rows of the tune part are asked; no recipe has seen them. It registers nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from stepdown.core.digest import seed_from
from stepdown.core.outcome import Outcome
from stepdown.core.report import Claim
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.errors import InputError, LockError, WeightsError
from stepdown.evals.dataset import Sample
from stepdown.ports.model import Model
from stepdown.stats.calibrate import auroc, ece
from stepdown.stats.intervals import paired_difference, proportion_interval, quantile
from stepdown.wiring.evaluating import Watch, ready, run_one
from stepdown.wiring.kept import kept_answers
from stepdown.wiring.workspace import Workspace

LEVEL = 0.95
SOURCE = "tune rows"


class Beside(Struct, frozen=True, kw_only=True):
    """Another artifact or tier on the same rows; `difference` is the new score less this one's.

    `role` says what it is: `promoted` (today's artifact of the same tier), `answers now`, `tier`,
    or `ceiling`.
    """

    name: str
    role: str
    score: Claim
    difference: Claim
    cost_usd: Claim
    p50_s: Claim


class Proof(Struct, frozen=True, kw_only=True):
    """How an artifact did on rows that it was not trained on; `auroc` and `ece` of confidence.

    `by_the_hour` says that its cost is time on a machine: two measurements of that differ with
    what else the machine does, so it tells no two artifacts of one tier apart.
    """

    score: Claim
    auroc: float | None
    ece: float | None
    cost_usd: Claim
    p50_s: Claim
    beside: tuple[Beside, ...]
    by_the_hour: bool = False
    notes: tuple[str, ...] = ()

    def against(self, role: str) -> Beside | None:
        """Return what stands beside it in a role, None when nothing does."""
        return next((one for one in self.beside if one.role == role), None)


async def prove(
    workspace: Workspace,
    task: Task,
    tier: Tier,
    model: Model,
    watch: Watch | None = None,
    *,
    today: Task | None = None,
) -> tuple[Proof, Sequence[Outcome]]:
    """Ask a trained model about the tune rows and compare it with what is there.

    `task` is asked of the model; `today` is the task as the other tiers are asked it, where a
    prompt was trained: the tier is then compared with itself.
    """
    samples = workspace.part(task, "tune")
    found = (await run_one(workspace, task, tier.name, samples, watch, model)).outcomes
    seed = seed_from(workspace.whole_split.data_digest)
    now = Now(today or task, changed=today is not None and today != task)
    others, notes = await _others(workspace, now, tier, samples, model.digest, watch)
    known = [row for row in found if row.score is not None]
    right = [row.score or 0.0 for row in known]
    sure = [row.signals.get("label_prob") for row in known]
    told = None not in sure and bool(known)
    proof = Proof(
        score=_score(known, seed),
        auroc=auroc([one or 0.0 for one in sure], right) if told and _is_binary(right) else None,
        ece=ece([one or 0.0 for one in sure], right) if told and _is_binary(right) else None,
        cost_usd=_cost(found),
        p50_s=_latency(found),
        beside=tuple(beside_of(name, role, rows, found, seed) for name, role, rows in others),
        by_the_hour=tier.price.usd_per_hour is not None,
        notes=tuple(notes),
    )
    return proof, found


class Now(Struct, frozen=True):
    """A task as it is asked today; `changed` says that the new artifact is asked another way."""

    task: Task
    changed: bool


async def _others(
    workspace: Workspace,
    asked: Now,
    tier: Tier,
    samples: Sequence[Sample],
    digest: str,
    watch: Watch | None,
) -> tuple[list[tuple[str, str, Sequence[Outcome]]], list[str]]:
    """Return today's artifact of the tier, and the other tiers as far as their answers are kept.

    Nobody is paid for a comparison: of tiers that cost money only kept answers are read. A tier
    that cannot be opened (a damaged file, no key) is told of, and stops nothing.
    """
    found: list[tuple[str, str, Sequence[Outcome]]] = []
    notes: list[str] = []
    task, now = asked.task, _answers_now(workspace, asked.task)
    for name in ready(workspace, task):
        own = name == tier.name
        try:
            if own and not asked.changed and workspace.model(task, name).digest == digest:
                continue  # the same bytes
            own_here = own and tier.place == "embedded"
            rows = await _answers(workspace, task, name, samples, watch, ask=own_here)
        except (InputError, WeightsError) as error:
            notes.append(f"{name} could not be asked: {error.message}")
            continue
        if rows:
            found.append((name, _role(task, tier, name, now), rows))
        elif name != tier.name:
            notes.append(
                f"No answers of {name} to these rows are kept: run `stepdown eval {task.name}` to "
                "see them here."
            )
    return found, notes


async def _answers(
    workspace: Workspace,
    task: Task,
    name: str,
    samples: Sequence[Sample],
    watch: Watch | None,
    *,
    ask: bool = False,
) -> Sequence[Outcome]:
    one = workspace.tiers[name]
    if ask or one.recorded or (one.place == "embedded" and one.adapter != "llama"):
        return (await run_one(workspace, task, name, samples, watch)).outcomes
    return [kept.outcome for kept in kept_answers(workspace, task, name, samples).values()]


def _role(task: Task, tier: Tier, name: str, now: str | None) -> str:
    if name == tier.name:
        return "promoted"
    if name == task.ceiling:
        return "ceiling"
    return "answers now" if name == now else "tier"


def _answers_now(workspace: Workspace, task: Task) -> str | None:
    """Return the tier that is asked first today: of the lock, else the project's baseline."""
    if not workspace.lock_path.exists():
        return workspace.project.baseline
    try:
        locked = workspace.lock().tasks.get(task.name)
    except LockError:
        return None
    if locked is None:
        return workspace.project.baseline
    first = next((row.otherwise for row in locked.policy.rows if not row.called), None)
    return first.target if first is not None and first.kind == "call" else None


def beside_of(
    name: str, role: str, rows: Sequence[Outcome], new: Sequence[Outcome], seed: int
) -> Beside:
    """Return another's outcomes as they stand beside the new ones."""
    known = [row for row in rows if row.score is not None]
    return Beside(
        name=name,
        role=role,
        score=_score(known, seed),
        difference=difference(new, rows, seed),
        cost_usd=_cost(rows),
        p50_s=_latency(rows),
    )


def difference(new: Sequence[Outcome], old: Sequence[Outcome], seed: int) -> Claim:
    """Return the mean score of `new` less that of `old` on the rows that both scored, paired."""
    before = _by_id(old)
    pairs = [(row, before[row.query_id]) for row in new if row.query_id in before]
    known = [(a, b) for a, b in pairs if a.score is not None and b.score is not None]
    if not known:
        return Claim(None, "score", n=0)
    after, was = [[pair[i].score or 0.0 for pair in known] for i in (0, 1)]
    found = paired_difference(after, was, _groups([a for a, _ in known]), LEVEL, seed)
    mean = (sum(after) - sum(was)) / len(known)
    return Claim(mean, "score", found.low, found.high, LEVEL, len(known), SOURCE)


def _by_id(rows: Sequence[Outcome]) -> Mapping[str, Outcome]:
    return {row.query_id: row for row in rows}


def _groups(rows: Sequence[Outcome]) -> list[str] | None:
    """Return the groups of rows, None where no two rows share one."""
    names = [row.group or row.query_id for row in rows]
    return None if len(set(names)) == len(names) else names


def _score(rows: Sequence[Outcome], seed: int) -> Claim:
    if not rows:
        return Claim(None, "score", n=0)
    values = [row.score or 0.0 for row in rows]
    groups = _groups(rows)
    found = proportion_interval(values, groups, LEVEL, seed)
    return Claim(
        sum(values) / len(values), "score", found.low, found.high, LEVEL, len(values), SOURCE
    )


def _is_binary(values: Sequence[float]) -> bool:
    return all(value in (0.0, 1.0) for value in values)


def _cost(rows: Sequence[Outcome]) -> Claim:
    """Return the dollars of a thousand calls; unknown where the cost of any call is."""
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    if not rows or len(known) < len(rows):
        return Claim(None, "usd", n=len(known))
    return Claim(1000 * sum(known) / len(known), "usd", n=len(known), source=SOURCE)


def _latency(rows: Sequence[Outcome]) -> Claim:
    known = [row.latency_s for row in rows if row.latency_s is not None]
    return Claim(quantile(known, 0.5), "s", n=len(known), source=SOURCE)
