"""A project whose tiers are the mock upstream, with a lock made by hand (state: declared).

`one` asks one tier. `two` is a cascade: `small` keeps what it is sure of by its log-probabilities,
`big` answers the rest. Prices and the ledger are on; nothing here was measured or certified.
"""

from __future__ import annotations

import json
from pathlib import Path

from stepdown.core.confidence import Calibrator
from stepdown.core.lock import VERSION, Guarantee, Lock, LockedTask, LockedTier
from stepdown.core.policy import cascade, single
from stepdown.core.task import Task
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

TOML = """\
[project]
name = "bench"
baseline = "big"
"""
TIER = """
[tiers.{name}]
model = "openai:{model}"
base_url = "http://127.0.0.1:{port}/v1"
place = "self_hosted"
price = {{ input_usd_per_mtok = {price}, output_usd_per_mtok = {price}, source = "made up" }}
"""
TASK = """
[tasks.{name}]
kind = "draft"
tiers = {tiers}
thresholds = {{ {first} = 0.5 }}
"""
TEXT = "x" * 900  # with the JSON around it a request of 1 KB


def write_project(
    folder: Path, port: int, *, small: str = "words20-unsure20", big: str = "mock"
) -> None:
    """Write stepdown.toml and stepdown.lock; `small` and `big` are models of the mock."""
    folder.mkdir(parents=True, exist_ok=True)
    tiers = [("small", small, 0.1), ("big", big, 10.0)]
    text = TOML + "".join(
        TIER.format(name=name, model=model, port=port, price=price) for name, model, price in tiers
    )
    text += TASK.format(name="one", tiers='["big"]', first="big")
    text += TASK.format(name="two", tiers='["small", "big"]', first="small")
    (folder / "stepdown.toml").write_text(text.replace("thresholds = { big = 0.5 }\n", ""))
    workspace = Workspace.open(folder)
    tasks = {name: _locked(workspace, workspace.project.task(name)) for name in ("one", "two")}
    lock = Lock(version=VERSION, generator="bench", project="bench", tasks=tasks)
    write_lock(workspace.lock_path, lock)


def _locked(workspace: Workspace, task: Task) -> LockedTask:
    many = len(task.tiers) > 1
    return LockedTask(
        policy=cascade(task.tiers, (0.5,)) if many else single(task.tiers[0]),
        contract=task.contract.digest,
        settings=workspace.project.settings_digest(task),
        guarantee=Guarantee(state="declared", promise="none"),
        tiers={
            name: LockedTier(model=t.model, digest=t.digest, place=t.place, price_basis="token")
            for name, t in workspace.locked_tiers(task).items()
        },
        confidence={"small": Calibrator("token_mean")} if many else {},
    )


def request(model: str, *, stream: bool = False) -> bytes:
    """Return the body of a request of 1 KB."""
    said = {"model": model, "messages": [{"role": "user", "content": TEXT}]}
    if stream:
        said |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(said).encode()
