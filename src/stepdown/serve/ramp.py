"""Before and after a request: which arm it is in, where its conversation stands, what runs beside.

It changes a plan and never answers; the decision stays with the policy.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from stepdown.core.call import Call
from stepdown.core.exposure import ALL, Exposure, arm_of, seed_of, shadowed
from stepdown.core.policy import Policy, single
from stepdown.core.staying import begun_at
from stepdown.core.trace import Trace
from stepdown.serve.audits import Audits
from stepdown.serve.cascade import Outcome
from stepdown.serve.planning import Plan, as_it_is
from stepdown.serve.sessions import Sessions, session_digest
from stepdown.serve.shadows import Answered, Shadows
from stepdown.serve.step import Step


class Ramp:
    """Split a task's traffic between its policy and today's model, by its exposure.

    `baseline` is the tier of today; where a task does not have it, or may not reach it, its
    ceiling stands in.
    """

    def __init__(
        self,
        project: str,
        *,
        exposure: Callable[[str], Exposure] = lambda _task: ALL,
        baseline: str | None = None,
        sessions: Sessions | None = None,
        shadows: Shadows | None = None,
        audits: Audits | None = None,
    ) -> None:
        self._project = project
        self.exposure = exposure
        self._baseline = baseline
        self.sessions = sessions
        self.shadows = shadows
        self.audits = audits
        self._seeds: dict[str, int] = {}
        self._begun: dict[tuple[str, str, Policy], Policy | None] = {}

    def seed(self, task: str) -> int:
        """Return the seed of a task's buckets."""
        if task not in self._seeds:
            self._seeds[task] = seed_of(self._project, task)
        return self._seeds[task]

    def session(self, call: Call) -> str | None:
        """Return the digest of the caller's session id, None where there is none."""
        return session_digest(self._project, call.hints.session)

    def placed(self, call: Call, plan: Plan) -> Plan:
        """Return the plan of a call that its contract covers, in its arm, on its session's tier."""
        name = plan.step.task.name
        session = self.session(call)
        exposure = self.exposure(name)
        arm = arm_of(exposure, self.seed(name), session or call.id)
        if arm is not None or session is not None:
            plan = replace(plan, arm=arm, session=session)
        if arm != "today":
            return self._stayed(plan, session)
        beside = plan.step if shadowed(exposure, self.seed(name), call.id) else None
        return self._of_today(call, plan, beside)

    def _of_today(self, call: Call, plan: Plan, beside: Step | None) -> Plan:
        """Pass the caller's own request to today's model: nothing of the policy touches it."""
        tier = today_of(plan.step, self._baseline)
        alone = replace(plan.step, policy=single(tier))
        state = "ceiling" if tier == plan.step.policy.ceiling else "none"
        passed = as_it_is(call, alone, state, None)  # type: ignore[arg-type]
        return replace(
            passed,
            matched=True,
            arm="today",
            session=plan.session,
            shadow=beside,
            text=plan.text,
            context=plan.context,
        )

    def _stayed(self, plan: Plan, session: str | None) -> Plan:
        """Begin where the conversation was answered last, while a prompt cache can be there."""
        if session is None or self.sessions is None:
            return plan
        step = plan.step
        tier = self.sessions.tier(step.task.name, session)
        if tier is None or tier not in step.models or step.tiers[tier].place == "embedded":
            return plan
        begun = self._begun_at(step, tier)
        if begun is None:
            return plan
        outside = plan.outside or "session"
        return replace(plan, step=replace(step, policy=begun), outside=outside)

    def _begun_at(self, step: Step, tier: str) -> Policy | None:
        key = (step.task.name, tier, step.policy)
        if key not in self._begun:
            self._begun[key] = begun_at(step.policy, tier)
        return self._begun[key]

    def after(
        self,
        call: Call,
        plan: Plan,
        outcome: Outcome,
        trace: Trace,
        drawn: Callable[[], float],
    ) -> None:
        """Note where a conversation stands, and offer the answer to be shadowed or audited."""
        if self.audits is not None:
            self.audits.after(plan, outcome, trace, call.hints.segment)
        by, done = outcome.answered_by, outcome.completion
        if by is None or done is None:
            return
        if plan.session is not None and self.sessions is not None and plan.arm != "today":
            self.sessions.remember(trace.task, plan.session, by.partition(">")[0])
        if plan.shadow is None or self.shadows is None:
            return
        self.shadows.offer(
            Answered(
                step=plan.shadow,
                text=plan.text,
                trace_id=trace.id,
                draw=drawn(),
                messages=plan.messages,
                tier=by,
                completion=done,
                latency_s=trace.latency_s,
                cost_usd=trace.cost_usd,
                lock_digest=trace.lock_digest or "",
                segment=call.hints.segment,
                session=plan.session,
                context=plan.context,
            )
        )


def today_of(step: Step, baseline: str | None) -> str:
    """Return the tier that answers a task today: the baseline where the task may reach it."""
    reachable = baseline in step.models and step.out_of_reach(baseline or "") is None
    return baseline if reachable and baseline is not None else step.policy.ceiling
