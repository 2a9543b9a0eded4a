"""Check what `stepdown.toml` says of pipelines, and of what they promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepdown.config.naming import nearest
from stepdown.config.schema import FileKeys, PipelineKeys, TaskKeys
from stepdown.core.task import Promise
from stepdown.errors import ConfigError


def steps_of(said: Sequence[str] | PipelineKeys) -> tuple[str, ...]:
    """Return the steps of a pipeline, in order."""
    return tuple(said.steps if isinstance(said, PipelineKeys) else said)


def promised_by(promised: Mapping[str, PipelineKeys]) -> dict[str, str]:
    """Return task -> the pipeline whose promise covers it."""
    return {step: name for name, keys in promised.items() for step in keys.steps}


def check_pipelines(keys: FileKeys) -> None:
    """Refuse pipelines that could not be certified.

    Raises:
        ConfigError: an unknown step, a step that takes what is not there yet, a promise that a
            pipeline cannot make, a task in two promised pipelines; names the key.
    """
    seen: dict[str, str] = {}
    for name, said in keys.pipelines.items():
        for step in steps_of(said):
            if step not in keys.tasks:
                hint = nearest(step, keys.tasks, "tasks")
                raise ConfigError(f"pipelines.{name}: no task {step!r}.", hint)
        if isinstance(said, PipelineKeys):
            _check_steps(name, said, keys.tasks, seen)
            _check_promise(name, said.promise)
            _check_takes(name, said, keys.tasks)


def _check_steps(
    name: str, said: PipelineKeys, tasks: Mapping[str, TaskKeys], seen: dict[str, str]
) -> None:
    """Note the steps in `seen`: task -> the promised pipeline that it is a step of."""
    where = f"pipelines.{name}"
    if name in tasks:
        raise ConfigError(
            f"{where}: a task has the name {name!r} too, and `stepdown certify {name}` could mean "
            "either.",
            "Rename one of them.",
        )
    if not said.steps:
        raise ConfigError(f"{where}.steps: there is none.", "Name at least one task.")
    for step in said.steps:
        if step in seen:
            twice = "twice in" if seen[step] == name else f"in {seen[step]!r} and"
            raise ConfigError(
                f"{where}: the task {step!r} is {twice} {name!r}, and has one policy.",
                "A task can be a step of one promised pipeline, once; define a second task.",
            )
        if tasks[step].thresholds:
            raise ConfigError(
                f"{where}: the step {step!r} has `thresholds` set by hand, which are not tested.",
                "Remove them, or write the pipeline as a mere list, which promises nothing.",
            )
        if tasks[step].kind == "embed":
            raise ConfigError(
                f"{where}: the step {step!r} is an embed task, and a vector answers no message.",
                "Leave it out, or write the pipeline as a mere list, which promises nothing.",
            )
        seen[step] = name


def _check_promise(name: str, promise: Promise) -> None:
    plain = Promise(max_loss=promise.max_loss, delta=promise.delta)
    if promise != plain:
        other = next(
            f for f in Promise.__struct_fields__ if getattr(promise, f) != getattr(plain, f)
        )
        raise ConfigError(
            f"pipelines.{name}.promise: a pipeline cannot promise `{other}`.",
            "It promises `max_loss` for each message, wrong with chance `delta` at most.",
        )


def _check_takes(name: str, said: PipelineKeys, tasks: Mapping[str, TaskKeys]) -> None:
    if not said.takes:
        return
    from stepdown.certify.pipelines import feeders  # loads numpy: only where it is needed

    for step, takes in said.takes.items():
        where = f"pipelines.{name}.takes.{step}"
        if step not in said.steps:
            raise ConfigError(f"{where}: no step {step!r}.", nearest(step, said.steps, "steps"))
        _check_before(where, step, feeders(takes), said.steps)
        if tasks[step].inputs is not None:
            raise ConfigError(
                f"{where}: the task {step!r} has `inputs` of its own, so its input would be two "
                "things.",
                f"Remove `inputs` from [tasks.{step}], or `{step}` from `takes`.",
            )


def _check_before(where: str, step: str, named: Sequence[str], steps: Sequence[str]) -> None:
    before = steps[: steps.index(step)]
    if not named:
        raise ConfigError(
            f"{where}: it names no step.", "Name an earlier step, such as `{draft}`, or drop it."
        )
    for other in named:
        if other in steps and other not in before:
            raise ConfigError(
                f"{where}: {other!r} does not come before {step!r}.",
                "A step takes answers of earlier steps; change the order of `steps`.",
            )
        if other not in steps:
            raise ConfigError(
                f"{where}: no step {other!r}.", nearest(other, [*before, "text"], "names")
            )
