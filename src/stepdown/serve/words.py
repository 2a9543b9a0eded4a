"""What a tier is asked for one request, and what can be read off its answer. It calls nothing."""

from __future__ import annotations

from stepdown.core.answer_shape import shape_signals
from stepdown.core.asked import Asked, Format
from stepdown.core.fitness import lacks
from stepdown.core.formats import breach
from stepdown.core.passing import as_asked, read_as_it_is
from stepdown.core.request import Completion, Context, Message, Request
from stepdown.core.requesting import Answer, read_answer, request_for
from stepdown.core.signals import answer_signals, read_signals
from stepdown.errors import Unavailable
from stepdown.serve.step import Step


class Words:
    """The words of one request, towards each tier and back. What breaks `shape` is no answer."""

    def __init__(
        self,
        step: Step,
        text: str,
        request_id: str,
        messages: tuple[Message, ...] | None,
        asked: Asked | None,
        context: Context,
    ) -> None:
        self._step = step
        self._text = text
        self._request_id = request_id
        self._messages = messages
        self._asked = asked
        self._context = context
        self.shape: Format | None = None

    def lacks(self, tier: str, request: Request) -> Unavailable | None:
        """Return why a tier cannot take a request that it would be sent, as an error."""
        why = lacks(request, self._step.models[tier].capabilities, self._step.estimate)
        return None if why is None else Unavailable(f"{tier} cannot take this request: {why}.")

    def request(self, tier: str) -> Request:
        """Return what a tier is asked: its own prompt, or what the caller wrote."""
        request = request_for(
            self._step.task,
            tier,
            self._request_id,
            self._text,
            context=self._context,
            capabilities=self._step.models[tier].capabilities,
            messages=self._messages,
            weighed=tier in self._step.weighed,
        )
        if self._messages is None or self._asked is None:
            return request
        return as_asked(request, self._messages, self._asked)

    def answer(self, tier: str, done: Completion) -> Answer:
        """Return the answer in a completion; of a request that is passed on, as it came."""
        if self._asked is not None:
            return self._shaped(read_as_it_is(done), done)
        task = self._step.task
        answer = read_answer(task, tier, done, self._context)
        unasked = done.tool_calls and task.kind != "tool_call"
        return self._shaped(Answer(answer.text or "") if unasked else answer, done)

    def _shaped(self, answer: Answer, done: Completion) -> Answer:
        """Return an answer, or why it breaks the shape that the caller asked for.

        One that was cut, refused or calls tools is not held to it: its end says what it is.
        """
        if self.shape is None or answer.text is None or done.finish_reason != "stop":
            return answer
        wrong = breach(self.shape, self._step.task.contract.render(answer.text))
        return Answer(None, "invalid_output", wrong) if wrong else answer

    def signals(self, tier: str, done: Completion, answer: str | None) -> dict[str, float | None]:
        """Return everything that can be read off an answer for nothing.

        The text of an answer that cannot be used is read as it came: so outcomes hold it.
        """
        task, text = self._step.task, done.text if answer is None else answer
        signals = read_signals(done, task, tier, answer)
        signals |= answer_signals(task, self._text, text)
        if tier in self._step.shapes:
            found = shape_signals(self._text, text)
            signals |= {n: v for n, v in found.items() if f"{tier}.{n}" in self._step.reads}
        return signals
