"""A conversation that stays on its tier: the same policy, begun at a tier that it would reach.

A provider keeps the prompt of a conversation in a cache for some minutes, at one model. Where the
last turn was answered there, the next one begins there; its confidence may still move it on. Pure.
"""

from __future__ import annotations

from msgspec.structs import replace

from stepdown.core.policy import Action, Clause, Policy, Row, pair_in, tiers_in

REASON = "session"


def begun_at(policy: Policy, tier: str) -> Policy | None:
    """Return the policy with `tier` as its entry, None where nothing would change or it cannot.

    The states after the tier are those of the shortest way to it, without the tiers before it:
    their answers are not there, so no clause may read or accept them.
    """
    entry = policy.by_state[()]
    if {str(action) for action in entry.actions} == {f"call {tier}"}:
        return None
    ways = [row.called for row in policy.rows if row.called[-1:] == (tier,)]
    if not ways:
        return None
    way = min(ways, key=len)
    before = way[:-1]
    after = [row for row in policy.rows if row.called[: len(way)] == way]
    begin = Row(called=(), otherwise=Action("call", tier), reason=REASON)
    return Policy(tiers=policy.tiers, rows=(begin, *(_cut(row, before) for row in after)))


def _cut(row: Row, before: tuple[str, ...]) -> Row:
    called = row.called[len(before) :]
    when = tuple(clause for clause in row.when if _stands(clause, before, called))
    otherwise = row.otherwise
    if otherwise.kind == "accept" and otherwise.target not in called:
        otherwise = Action("accept", tiers_in(called)[-1])
    return replace(row, called=called, when=when, otherwise=otherwise)


def _stands(clause: Clause, before: tuple[str, ...], called: tuple[str, ...]) -> bool:
    """Say whether a clause rests on nothing that came before."""
    gone = [step.removeprefix("?") for step in before]
    reads = any(clause.signal == step or clause.signal.startswith(f"{step}.") for step in gone)
    kept = clause.then.kind != "accept" or clause.then.target in called
    return kept and not reads and not pair_in(clause.signal) & set(gone)
