"""A model name of today stands for the task whose template a request has."""

from __future__ import annotations

from typing import Any

import pytest
from serve_fakes import FakeModel

from stepdown.core.asked import Asked
from stepdown.core.call import Call, Reply
from stepdown.core.contract import Contract
from stepdown.core.hints import read_hints
from stepdown.core.lock import Guarantee, Lock, LockedTask
from stepdown.core.policy import single
from stepdown.core.request import Completion, Message
from stepdown.core.task import Task
from stepdown.core.tier import Tier
from stepdown.core.trace import Trace
from stepdown.errors import InputError, ModelError
from stepdown.serve.mapping import Mapped
from stepdown.serve.service import Service
from stepdown.serve.step import Step

CONTRACTS = {
    "sort": Contract(user="Sort this: {input}"),
    "draft": Contract(system="You write replies."),
    "loose": Contract(user="Sort this: {input}", output="<{answer}>"),
    "bare": Contract(),
}
PLACES: dict[str, Any] = {"small": "embedded", "big": "vendor"}


class Shop:
    """Tasks that one small tier answers; a big one answers what is no task's."""

    def __init__(self, *meant: str, boundary: Any = "vendor") -> None:
        self.traces: list[Trace] = []
        self.big = FakeModel(Completion(text="by the big one", latency_s=0.1))
        steps, locked = {}, {}
        for name, contract in CONTRACTS.items():
            text = contract.render(name)
            small = FakeModel(Completion(text=text, latency_s=0.1))
            task = Task(
                name=name,
                kind="draft",
                tiers=("small", "big"),
                contract=contract,
                boundary=boundary if name == "draft" else "vendor",
            )
            steps[name] = Step(
                task=task,
                policy=single("small"),
                tiers={n: Tier(name=n, model="fake:x", place=PLACES[n]) for n in PLACES},
                models={"small": small, "big": self.big},
            )
            locked[name] = LockedTask(
                contract="",
                settings="",
                policy=single("small"),
                guarantee=Guarantee(state="certified"),
                tiers={},
            )
        self.service = Service(
            Lock(version=1, generator="t", project="shop", tasks=locked),
            steps,
            self.traces.append,
            mapped={"gpt-4o": Mapped(tasks=meant or ("sort", "draft"), otherwise="big")},
            today=lambda: "2026-01-01",
        )

    async def ask(
        self, *messages: Message, hints: dict[str, str] | None = None, **asked: Any
    ) -> Reply:
        call = Call(
            id="r1",
            model="gpt-4o",
            messages=messages,
            asked=Asked(**asked),
            hints=read_hints(hints or {}),
        )
        return await self.service.answer(call)


SORT = (Message("user", "Sort this: mine"),)
DRAFT = (Message("system", "You write  replies."), Message("user", "hello"))
OTHER = (Message("user", "something else"),)


@pytest.mark.parametrize(("messages", "task"), [(SORT, "sort"), (DRAFT, "draft")])
async def test_the_template_of_a_request_says_which_task_it_is(messages: Any, task: str) -> None:
    reply = await Shop().ask(*messages)
    assert (reply.trace.task, reply.text, reply.model) == (task, task, "gpt-4o")
    assert (reply.trace.guarantee, reply.trace.outside_guarantee) == ("certified", None)


async def test_what_matches_no_task_goes_to_the_stated_tier_as_it_is_and_is_counted() -> None:
    shop = Shop()
    reply = await shop.ask(*OTHER, temperature=0.9, max_tokens=7)
    assert (reply.text, reply.trace.task) == ("by the big one", "gpt-4o")
    assert (reply.trace.outside_guarantee, reply.trace.guarantee) == ("unmatched", "none")
    assert reply.trace.contract_matched is False
    (asked,) = shop.big.asked
    assert (asked.messages, asked.max_tokens, asked.temperature) == (OTHER, 7, 0.9)


async def test_what_matches_two_tasks_is_never_guessed() -> None:
    reply = await Shop("sort", "loose").ask(*SORT)
    assert (reply.trace.answered_by, reply.trace.outside_guarantee) == ("big", "ambiguous")


async def test_a_bare_contract_counts_only_where_it_is_alone() -> None:
    assert (await Shop("sort", "bare").ask(*SORT)).trace.task == "sort"
    assert (await Shop("sort", "bare").ask(*OTHER)).trace.outside_guarantee == "unmatched"
    assert (await Shop("bare").ask(*OTHER)).trace.task == "bare"


async def test_a_hint_that_names_one_of_the_tasks_decides_and_no_other_does() -> None:
    assert (await Shop("sort", "loose").ask(*SORT, hints={"task": "loose"})).text == "<loose>"
    named = await Shop("sort", "loose").ask(*SORT, hints={"task": "draft"})
    assert named.trace.outside_guarantee == "ambiguous"


async def test_what_may_be_of_a_private_task_stays_inside_its_boundary() -> None:
    shop = Shop(boundary="embedded")
    with pytest.raises(ModelError):
        await shop.ask(*OTHER)
    assert shop.big.asked == []


async def test_a_mapped_name_is_listed_and_an_unknown_one_is_still_unknown() -> None:
    service = Shop().service
    assert "gpt-4o" in service.models()
    assert service.knows("gpt-4o")
    assert not service.knows("gpt-5")
    with pytest.raises(InputError, match="no model 'gpt-5'"):
        await service.answer(Call(id="r", model="gpt-5", messages=OTHER))
