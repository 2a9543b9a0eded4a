"""A project as read from its folder: tiers, tasks, pipelines and where its files are."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from stepdown.config.answering import (
    check_answering,
    compare_of,
    schema_of,
    scorer_of,
    tools_from,
)
from stepdown.config.judges import judge_of, read_judges
from stepdown.config.mapped import check_mapped, keeping_of
from stepdown.config.naming import check_task, check_tier, nearest
from stepdown.config.pipelines import check_pipelines, promised_by, steps_of
from stepdown.config.prices import own_prices
from stepdown.config.reviewing import check_review
from stepdown.config.schema import (
    AuditKeys,
    DataKeys,
    FileKeys,
    PipelineKeys,
    ReviewKeys,
    ServeKeys,
    TaskKeys,
    TierKeys,
    struct_in,
)
from stepdown.config.signals import check_finish, check_signals, finish_of
from stepdown.core.bought import Bought
from stepdown.core.digest import digest
from stepdown.core.judge import Judge
from stepdown.core.keeping import Keeping
from stepdown.core.own_price import OwnPrices
from stepdown.core.task import Place, Task, within
from stepdown.core.tier import Price, Tier
from stepdown.errors import ConfigError

FILE = "stepdown.toml"
LOCK = "stepdown.lock"
SECTIONS: Mapping[str, type[Struct]] = {
    "tiers": TierKeys,
    "tasks": TaskKeys,
    "signals": Bought,
    "judges": Judge,
    "pipelines": PipelineKeys,  # or a mere list
}
HOSTED = ("azure", "bedrock", "any-llm")  # a vendor's, whatever their address


class Project(Struct, frozen=True, kw_only=True):
    """Everything that `stepdown.toml` says, checked; paths are absolute.

    `deadlines` holds the seconds that a task's callers wait, where it says so.
    `pipelines` holds the steps of every pipeline, `promised` those that promise something.
    """

    name: str
    root: Path
    tiers: Mapping[str, Tier]
    tasks: Mapping[str, Task]
    rules: Mapping[str, Mapping[str, str]]
    references: Mapping[str, str]
    inputs: Mapping[str, str]
    deadlines: Mapping[str, float]
    pipelines: Mapping[str, tuple[str, ...]]
    promised: Mapping[str, PipelineKeys]
    data: DataKeys | None
    serve: ServeKeys
    keeping: Mapping[str, Keeping]
    audit: AuditKeys
    review: ReviewKeys
    prices: OwnPrices
    baseline: str | None
    review_days: int

    @property
    def lock_path(self) -> Path:
        """Where the lock is."""
        return self.root / LOCK

    @property
    def state(self) -> Path:
        """Folder of what the program writes for itself: runs, ledger, models, reports."""
        return self.root / ".stepdown"

    def task(self, name: str) -> Task:
        """Return a task by name. Raises ConfigError naming the nearest one."""
        if name not in self.tasks:
            raise ConfigError(f"There is no task {name!r}.", nearest(name, self.tasks, "tasks"))
        return self.tasks[name]

    def settings_digest(self, task: Task) -> str:
        """Digest of everything in the file that decides a task's answers.

        The promise of a pipeline rests on all its steps, so it covers them too.
        """
        pipeline = promised_by(self.promised).get(task.name)
        if pipeline is None:
            return digest(self._settings(task))
        keys = self.promised[pipeline]
        return digest(
            [self._settings(task), keys, *(self._settings(self.tasks[s]) for s in keys.steps)]
        )

    def _settings(self, task: Task) -> list[Any]:
        tiers = {name: _deciding(self.tiers[name]) for name in task.tiers}
        # What is kept of a request decides no answer: it may change without a new certificate.
        kept = msgspec.structs.replace(task, store="metadata")
        return [kept, tiers, dict(self.rules.get(task.name, {}))]


def _deciding(tier: Tier) -> dict[str, Any]:
    """Return what of a tier decides its answers: neither what it costs nor how it is called.

    Keys that are younger than version 1 of the lock count where they are set, so that a lock that
    was written without them still holds.
    """
    said: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(tier, price=Price()))
    left_out = {"limits", "api_key_file"}
    left_out |= {name for name in ("api_version", "region") if said[name] is None}
    return {name: value for name, value in said.items() if name not in left_out}


def load_project(root: Path) -> Project:
    """Read and check `stepdown.toml` in a folder.

    Raises:
        ConfigError: the file is missing, is not TOML, or says something that makes no sense.
    """
    path = root if root.is_file() else root / FILE
    return _project(path.parent.resolve(), read_keys(path))


def read_keys(path: Path) -> FileKeys:
    """Return the file's keys, every one of them known and of the right type."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no {path.name} in {path.parent}.", "Write one with `stepdown init`."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.", "Correct the file.") from None
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}.") from None
    _known_keys(raw, FileKeys, "")
    for section, kind in SECTIONS.items():
        named = raw.get(section)
        for name, part in named.items() if isinstance(named, dict) else ():
            if section != "pipelines" or isinstance(part, dict):
                _converted(part, kind, f"{section}.{name}")
    return _converted(raw, FileKeys, "")


Keys = TypeVar("Keys", bound=Struct)


def _converted(raw: Any, kind: type[Keys], place: str) -> Keys:
    """Return raw TOML as its Struct; `place` is its key, which msgspec writes as `[...]`."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        said = str(error).replace("Object missing", "missing")
        here = "`$" if place else "`$."
        where = said.replace(here, f"`{place}") if "`$" in said else f"{said} - at `{place}`"
        raise ConfigError(f"{FILE}: {where}.", "See docs/configuration.md.") from None


def _known_keys(raw: Any, kind: type[Struct], where: str) -> None:
    """Refuse a key that the Struct does not have, at any depth, and name the nearest."""
    if not isinstance(raw, dict):
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in raw.items():
        if key not in fields:
            place = f"{where}.{key}".lstrip(".")
            raise ConfigError(f"{FILE}: unknown key `{place}`.", nearest(key, fields, "keys"))
        inner, mapped = struct_in(fields[key].type)
        if inner is None:
            continue
        nested = value if mapped and isinstance(value, dict) else {"": value}
        for name, part in nested.items():
            _known_keys(part, inner, ".".join(p for p in (where, key, name) if p))


def _project(root: Path, keys: FileKeys) -> Project:
    tiers = {name: _tier(name, said) for name, said in keys.tiers.items()}
    check_signals(keys, tiers)
    keys = msgspec.structs.replace(keys, judges=read_judges(root, keys.judges, tiers))
    tasks = {name: _task(root, name, keys, tiers) for name in keys.tasks}
    check_pipelines(keys)
    baseline = keys.project.baseline
    if baseline is not None and baseline not in tiers:
        hint = nearest(baseline, tiers, "tiers")
        raise ConfigError(f"project.baseline: no tier {baseline!r}.", hint)
    _check_shares(keys.data)
    _check_served(keys)
    check_review(keys.review)
    check_mapped(keys, tiers)
    return Project(
        name=keys.project.name,
        root=root,
        tiers=tiers,
        tasks=tasks,
        rules={name: said.rules for name, said in keys.tasks.items()},
        references={n: said.references for n, said in keys.tasks.items() if said.references},
        inputs={n: said.inputs for n, said in keys.tasks.items() if said.inputs},
        deadlines={n: t.deadline_ms / 1000 for n, t in keys.tasks.items() if t.deadline_ms},
        pipelines={name: steps_of(said) for name, said in keys.pipelines.items()},
        promised={n: said for n, said in keys.pipelines.items() if isinstance(said, PipelineKeys)},
        data=_data(keys.data),
        serve=keys.serve,
        keeping={
            **keeping_of(keys),
            **{n: Keeping(said.store, said.store_share) for n, said in keys.tasks.items()},
        },
        audit=keys.audit,
        review=keys.review,
        prices=own_prices(keys.prices),
        baseline=baseline,
        review_days=keys.project.review_days,
    )


def _check_served(keys: FileKeys) -> None:
    """Refuse a share, a shadow or an audit of a task that there is none of."""
    shadow, audit = keys.serve.shadow, keys.serve.audit
    named = [("share", name) for name in keys.serve.share]
    named += [("shadow.tasks", name) for name in (shadow.tasks if shadow else ())]
    named += [("audit.tasks", name) for name in (audit.tasks if audit else ())]
    for section, name in named:
        if name not in keys.tasks:
            hint = nearest(name, keys.tasks, "tasks")
            raise ConfigError(f"serve.{section}: no task {name!r}.", hint)


def _data(keys: DataKeys | None) -> DataKeys | None:
    """Return the keys as the rows have them; the rows of trajectories are made, field by field."""
    if keys is None or keys.trajectory is None:
        return keys
    return msgspec.structs.replace(
        keys, input="text", history="history", group=keys.group or "trajectory"
    )


def _check_shares(data: DataKeys | None) -> None:
    if data is None:
        return
    wanted = {"train", "tune", "certify"}
    given = data.shares.values()
    if set(data.shares) != wanted or min(given) <= 0 or not abs(sum(given) - 1) <= 1e-9:
        raise ConfigError(
            f"data.shares must give train, tune and certify, each above 0, and sum to 1, got "
            f"{data.shares}.",
            "For example: shares = { train = 0.5, tune = 0.15, certify = 0.35 }.",
        )


def _tier(name: str, said: TierKeys) -> Tier:
    check_tier(name)
    if ":" not in said.model:
        raise ConfigError(
            f"tiers.{name}.model: {said.model!r} names no adapter.",
            "Write ADAPTER:WHAT, such as `llama:smollm2-135m-instruct` or `openai:MODEL`.",
        )
    price = Price()
    if said.price is not None:
        amounts = {k: getattr(said.price, k) for k in said.price.__struct_fields__ if k != "source"}
        basis = "hardware" if said.price.usd_per_hour is not None else "your_rate"
        price = Price(**amounts, basis=basis, source=said.price.source)  # type: ignore[arg-type]
    return Tier(
        name=name,
        model=said.model,
        place=said.place or _place(said),
        price=price,
        priced_as=said.priced_as,
        recording=said.recording,
        timeout_s=said.timeout_s,
        base_url=said.base_url,
        api_key_env=said.api_key_env,
        api_key_file=said.api_key_file,
        api_version=said.api_version,
        region=said.region,
        limits=said.limits,
        dimensions=said.dimensions,
        vision=said.vision,
    )


def _place(said: TierKeys) -> Place:
    adapter = said.model.partition(":")[0]
    if adapter in HOSTED:
        return "vendor"
    if adapter not in ("openai", "anthropic"):
        return "embedded"
    return "vendor" if said.base_url is None else "self_hosted"


def _task(root: Path, name: str, keys: FileKeys, tiers: Mapping[str, Tier]) -> Task:
    said, (scorer, scoring) = keys.tasks[name], scorer_of(keys.tasks[name])
    check_task(name)
    for tier in [*said.tiers, *said.prompts, *said.thresholds]:
        if tier not in tiers:
            raise ConfigError(f"tasks.{name}: no tier {tier!r}.", nearest(tier, tiers, "tiers"))
    for tier in said.tiers:
        if not within(tiers[tier].place, said.boundary):
            raise ConfigError(
                f"tasks.{name}: the tier {tier!r} is at {tiers[tier].place!r}, outside the "
                f"boundary {said.boundary!r}; its data may never go there.",
                "Remove the tier from `tiers`, or widen `boundary`.",
            )
    problem = _task_problem(said)
    if problem:
        raise ConfigError(f"tasks.{name}: {problem}")
    check_answering(name, said, keys.data)
    check_finish(name, said)
    return Task(
        name=name,
        kind=said.kind,
        tiers=tuple(said.tiers),
        labels=tuple(said.labels),
        fields=tuple(said.fields),
        json_schema=schema_of(root, name, said),
        tools=tools_from(root, name, said),
        contract=said.contract,
        prompts=said.prompts,
        scorer=scorer,
        scoring=scoring,
        judge=judge_of(name, said, (scorer, scoring), keys.judges, tiers),
        compare=compare_of(said),
        reference=said.reference or _reference(name, said, keys.data),
        reference_is=said.reference_is,
        promise=said.promise,
        boundary=said.boundary,
        customer_facing=said.customer_facing,
        finish=finish_of(said),
        polish_by=said.polish_by,
        polish_below=said.polish_below,
        signals={signal: keys.signals[signal] for signal in said.signals},
        store=said.store,
        thresholds=said.thresholds,
        fallback=said.fallback,
    )


def _reference(name: str, said: TaskKeys, data: DataKeys | None) -> str:
    """Return where the right answer stands when nobody says so."""
    if data is None or data.trajectory is None:
        return name
    return "step.calls" if said.kind == "tool_call" else "step.text"


def _task_problem(said: TaskKeys) -> str:
    if not said.tiers or len(set(said.tiers)) != len(said.tiers):
        return "`tiers` must name at least one tier, and none twice."
    twice = [one for one in said.labels if said.labels.count(one) > 1]
    if twice:
        return f"`labels` names {twice[0]!r} twice."
    bad = said.inputs is not None and not all(said.inputs.rpartition(":")[::2])
    return f"`inputs` must be FILE:FIELD, got {said.inputs!r}." if bad else ""
