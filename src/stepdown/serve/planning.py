"""What will be run for a call: which task, by which policy, on which text, and how it is sent.

It calls nothing. What lies outside the guarantee before anything was called is said here.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from stepdown.core.asked import Asked, Format, Tool
from stepdown.core.call import Call
from stepdown.core.chat import plain_tool
from stepdown.core.contract import ANSWER, Contract, Taken
from stepdown.core.exposure import Arm
from stepdown.core.lock import Lock
from stepdown.core.policy import Policy, single
from stepdown.core.request import Context, Message, encode_answer
from stepdown.core.task import PLACES, TEXTS, Task
from stepdown.core.trace import GuaranteeState
from stepdown.core.withdrawal import Withdrawal, raised
from stepdown.errors import InputError
from stepdown.serve.mapping import Mapped, meant
from stepdown.serve.step import Step
from stepdown.serve.tightening import tightened

DIRECT = "tier:"
_NO_CONTEXT = Context()


class Plan(Struct, frozen=True, kw_only=True):
    """What will be run for a call, and what is already known to lie outside the guarantee.

    `asked` is there where the request is passed on as it is. `context` is what stands around the
    bare text, `shape` what the caller's answer must obey. `streams` says whether an answer can
    be sent while it is written: it is free text that nothing is rendered around. `arm` and
    `session` are of a ramp; `shadow` is what runs beside the answer of today's model. `altered`:
    a hint has answers polished that the certified policy sends as they are.
    """

    step: Step
    text: str
    messages: tuple[Message, ...]
    state: GuaranteeState
    outside: str | None = None
    matched: bool = True
    asked: Asked | None = None
    context: Context = Context()
    streams: bool = False
    arm: Arm | None = None
    session: str | None = None
    shadow: Step | None = None
    shape: Format | None = None
    altered: bool = False


class Planner:
    """Plan calls by a lock. `today` is the date in UTC: a guarantee may fall due while it runs.

    `withdrawn` says whether an alarm has taken a task's promise back.
    """

    def __init__(
        self,
        lock: Lock,
        steps: Mapping[str, Step],
        today: Callable[[], str],
        mapped: Mapping[str, Mapped] = {},
        withdrawn: Callable[[str], Withdrawal | None] = lambda _task: None,
    ) -> None:
        self._withdrawn = withdrawn
        self._lock = lock
        self._steps = steps
        self._today = today
        self._mapped = mapped

    def models(self) -> Sequence[str]:
        """Return the tasks, then the tiers as `tier:NAME`, then the names that are mapped."""
        tiers = dict.fromkeys(t for step in self._steps.values() for t in step.models)
        return [*self._steps, *(DIRECT + tier for tier in tiers), *self._mapped]

    def knows(self, model: str) -> bool:
        """Return whether a call may name this model."""
        return model in self._steps or model in self._mapped or model in self.models()

    def step(self, name: str) -> Step:
        """Return what is needed to answer a task.

        Raises:
            InputError: there is no such task; names the nearest.
        """
        if name not in self._steps:
            raise self._unknown(name)
        return self._steps[name]

    def _unknown(self, name: str) -> InputError:
        known = list(self.models())
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
        return InputError(f"There is no model {name!r}.", hint)

    def state(self, name: str) -> GuaranteeState:
        """Return the state of a task's guarantee: past its review date, and after an alarm, it is
        withdrawn until it is renewed.
        """
        stated = self._lock.tasks[name].guarantee
        if stated.state == "certified" and self._is_overdue(name):
            return "withdrawn"
        return stated.state if self.stepped_up(name) is None else "withdrawn"

    def _is_overdue(self, name: str) -> bool:
        due = self._lock.tasks[name].guarantee.review_by
        return bool(due) and self._today() > due

    def stepped_up(self, name: str) -> Withdrawal | None:
        """Return the alarm that took a task's promise back, None where none did."""
        found = self._withdrawn(name)
        return found if found is not None and found.steps_up else None

    def plan(self, call: Call) -> Plan:
        """Return what will be run for a call.

        Raises:
            InputError: an unknown task or tier, or a request without a user's message.
        """
        if call.model.startswith(DIRECT):
            return self._direct(call)
        if call.model in self._mapped:
            return self._by_template(call, self._mapped[call.model])
        return self._by_policy(call, call.model)

    def _by_template(self, call: Call, mapped: Mapped) -> Plan:
        """Run the task whose template matches; what matches none, or several, has its own tier."""
        name, why = meant(call, mapped, self._steps)
        if name is not None:
            return self._by_policy(call, name)
        step = _of_nobody(call.model, mapped, self._steps)
        return as_it_is(call, tightened(step, call.hints), "none", why)

    def _by_policy(self, call: Call, name: str) -> Plan:
        step = tightened(self.step(name), call.hints)
        state = self.state(name)
        taken = _taken(step.task, call)
        if taken is None:
            return as_it_is(call, _ceiling_only(step), state, "contract")
        if state == "withdrawn":
            step, why = self._stepped_up(step, name)
            return _by_contract(call, step, taken, state, why)
        plan = _by_contract(call, step, taken, state, None)
        is_altered = step.policy is not self.step(name).policy
        return msgspec.structs.replace(plan, altered=True) if is_altered else plan

    def _stepped_up(self, step: Step, name: str) -> tuple[Step, str]:
        """Return what answers after a withdrawal: the ceiling, or a threshold that was raised."""
        found = self.stepped_up(name)
        is_raised = found is not None and found.acts == "raised" and not self._is_overdue(name)
        if found is None or not is_raised or found.signal is None or found.threshold is None:
            return _ceiling_only(step), "withdrawn"
        policy = raised(step.policy, found.signal, found.threshold)
        return msgspec.structs.replace(step, policy=policy), "raised"

    def _direct(self, call: Call) -> Plan:
        tier = call.model.removeprefix(DIRECT)
        name = call.hints.task or self._only_task_of(tier)
        step = tightened(self.step(name), call.hints)
        if tier not in step.models:
            raise InputError(
                f"The task {name!r} has no tier {tier!r}.", f"It has: {', '.join(step.models)}."
            )
        state = self.state(name)
        alone = msgspec.structs.replace(step, policy=single(tier))
        taken = _taken(step.task, call)
        if taken is None:
            return as_it_is(call, alone, state, "direct_call")
        return _by_contract(call, alone, taken, state, "direct_call")

    def _only_task_of(self, tier: str) -> str:
        """The task decides how far the data may travel, so it is never guessed among several."""
        found = [name for name, step in self._steps.items() if tier in step.models]
        if len(found) == 1:
            return found[0]
        if not found:
            raise self._unknown(DIRECT + tier)
        raise InputError(
            f"{DIRECT + tier!r} needs to know the task.",
            'Send metadata {"task": NAME}, or the header x-stepdown-task, or ask for the task.',
        )


def _of_nobody(name: str, mapped: Mapped, steps: Mapping[str, Step]) -> Step:
    """Return what answers a request that is no task's: as careful as the most careful of them."""
    meant_steps = [steps[task] for task in mapped.tasks]
    holder = next(step for step in meant_steps if mapped.otherwise in step.models)
    tasks = [step.task for step in meant_steps]
    boundary = min((task.boundary for task in tasks), key=PLACES.index)
    store = "none" if any(task.store == "none" for task in tasks) else "metadata"
    task = msgspec.structs.replace(holder.task, name=name, boundary=boundary, store=store)
    return msgspec.structs.replace(holder, task=task, policy=single(mapped.otherwise))


def _taken(task: Task, call: Call) -> Taken | None:
    """Return the input, None where the contract does not cover what the caller asks for."""
    asked = call.asked
    if asked.n > 1 or asked.logprobs or not _covers_tools(task, asked):
        return None
    if _wants_json(asked) and not task.structured and task.contract.output == ANSWER:
        return None
    return task.contract.take(call.messages)


def _covers_tools(task: Task, asked: Asked) -> bool:
    """Say whether tools are those that were certified: the task's, or where it has none any."""
    if task.kind != "tool_call":
        return not asked.tools
    is_free = asked.tool_choice is None or asked.tool_choice.mode == "auto"
    if not is_free or asked.parallel_tools is False:
        return False
    if not asked.tools:
        return bool(task.tools)
    return not task.tools or _plain(asked.tools) == _plain(task.tools)


def _plain(tools: Sequence[Tool]) -> list[str]:
    """Return tools in any order, as text: what they are called, say, and take."""
    return sorted(encode_answer(plain_tool(tool)) for tool in tools)


def _wants_json(asked: Asked) -> bool:
    return asked.format is not None and asked.format.kind != "text"


def _by_contract(
    call: Call, step: Step, taken: Taken, state: GuaranteeState, outside: str | None
) -> Plan:
    return Plan(
        step=step,
        text=taken.text,
        messages=call.messages,
        state=state,
        outside=outside,
        streams=_is_bare_text(step.task) and _is_text(call.asked),
        context=_context(step.task, call, taken),
        shape=call.asked.format,
    )


def as_it_is(call: Call, step: Step, state: GuaranteeState, outside: str | None) -> Plan:
    """Pass a request on, and its answer: nobody knows which shape the caller expects."""
    plain: dict[str, Any] = {"labels": (), "fields": (), "json_schema": {}, "tools": ()}
    task = msgspec.structs.replace(step.task, kind="draft", contract=Contract(), **plain)
    return Plan(
        step=msgspec.structs.replace(step, task=task),
        text=_last_text(call.messages),
        messages=call.messages,
        state=state,
        outside=outside,
        matched=False,
        asked=call.asked,
        streams=_is_text(call.asked),
        shape=call.asked.format,
    )


def _context(task: Task, call: Call, taken: Taken) -> Context:
    brings = task.kind == "tool_call" and not task.tools
    tools = call.asked.tools if brings else None
    return Context(history=taken.history, tools=tools) if taken.history or brings else _NO_CONTEXT


def _is_bare_text(task: Task) -> bool:
    text = task.kind in TEXTS and not task.labels and task.schema is None
    return text and task.contract.output == ANSWER


def _is_text(asked: Asked) -> bool:
    shape = asked.format
    return asked.n == 1 and (shape is None or shape.kind == "text")


def _ceiling_only(step: Step) -> Step:
    policy = step.policy
    rows = single(policy.ceiling).rows
    return msgspec.structs.replace(step, policy=Policy(tiers=policy.tiers, rows=rows))


def _last_text(messages: Sequence[Message]) -> str:
    users = [message.text for message in messages if message.role == "user"]
    if not users:
        raise InputError("The request has no user message.", "Send at least one.")
    return users[-1]
