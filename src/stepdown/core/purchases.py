"""What is asked of a tier to buy a signal: the same live and for evals. It calls nothing."""

from __future__ import annotations

import msgspec

from stepdown.core.bought import ALTERNATIVES, VERDICTS, Bought, asked, sample_seed
from stepdown.core.chat import plain_tool
from stepdown.core.request import Capabilities, Request, encode_answer
from stepdown.core.requesting import request_for
from stepdown.core.task import Task


def purchase_requests(
    bought: Bought,
    task: Task,
    request_id: str,
    source: str,
    answer: str,
    *,
    capabilities: Capabilities | None = None,
) -> tuple[Request, ...]:
    """Return what must be asked of `bought.tier` to learn how good `answer` is.

    A vote samples the task itself; the others put one question.
    """
    if bought.kind == "vote":
        plain = request_for(task, bought.tier, request_id, source, capabilities=capabilities)
        once = msgspec.structs.replace(
            plain, temperature=bought.temperature, logprobs=False, top_logprobs=0
        )
        seeds = (sample_seed(source, number) for number in range(bought.samples))
        return tuple(msgspec.structs.replace(once, seed=seed) for seed in seeds)
    able, judges = capabilities or Capabilities(), bought.kind == "judge"
    told = judges and able.logprobs and not able.labels
    messages = asked(bought, _job(task), source, answer)
    request = Request(
        id=request_id,
        task=task.name,
        input=messages[0].text,
        messages=messages,
        labels=VERDICTS if judges and able.labels else (),
        max_tokens=bought.max_tokens,
        logprobs=told,
        top_logprobs=ALTERNATIVES if told else 0,
    )
    return (request,)


def _job(task: Task) -> str:
    """Say what a task wants, in the words of today's caller where there are any."""
    if task.contract.system:
        return task.contract.system.strip()
    if task.labels:
        return f"Choose one of: {', '.join(task.labels)}."
    if task.fields:
        return f"Give a JSON object with {', '.join(task.fields)}; null for what is absent."
    if task.json_schema:
        return f"Give JSON that obeys this schema: {encode_answer(task.json_schema)}"
    if task.kind == "tool_call":
        tools = encode_answer([plain_tool(tool) for tool in task.tools])
        return f"Call the functions that the message needs, or none. Functions: {tools}"
    return f"{task.kind.capitalize()}: {task.name}."
