"""A project whose tiers are a vendor on this machine, with a lock that declares its policies."""

from __future__ import annotations

from pathlib import Path

from stepdown.core.lock import VERSION, Guarantee, Lock, LockedTask
from stepdown.core.policy import Action, Clause, Policy, Row, single
from stepdown.wiring.environment import Environment
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

TIERS = ("small", "big")
TEXT = """
[project]
name = "surfaces"

[data]
path = "rows.jsonl"
tools = "tools"

[tiers.small]
model = "openai:small"
base_url = "{url}/v1"
price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0, source = "made up" }}

[tiers.big]
model = "openai:big"
base_url = "{url}/v1"
price = {{ input_usd_per_mtok = 10.0, output_usd_per_mtok = 20.0, source = "made up" }}

[tiers.claude]
model = "anthropic:claude"
base_url = "{url}"
api_key_env = "CLAUDE_KEY"

[tiers.encoder]
model = "encoder:static-minilm-256"

[tasks.draft]
kind = "draft"
tiers = ["small", "big"]
contract = {{ system = "You write replies." }}

[tasks.extract]
kind = "extract"
tiers = ["small", "big"]
fields = ["name"]
contract = {{ user = "Read: {{input}}" }}

[tasks.tools]
kind = "tool_call"
tiers = ["small", "big"]
contract = {{ turns = "many" }}

[tasks.talk]
kind = "draft"
tiers = ["claude"]

[tasks.search]
kind = "embed"
tiers = ["encoder"]

[serve.models."gpt-4o"]
tasks = ["draft", "extract"]
otherwise = "big"
"""


def write(folder: Path, url: str) -> Workspace:
    """Write project and lock; return it opened."""
    (folder / "stepdown.toml").write_text(TEXT.format(url=url))
    environment = Environment({"CLAUDE_KEY": "k"}, Environment.current().now)
    workspace = Workspace.open(folder, environment)
    tasks = {
        name: LockedTask(
            policy=_policy(name),
            contract=task.contract.digest,
            settings=workspace.project.settings_digest(task),
            guarantee=Guarantee(state="declared"),
            tiers=workspace.locked_tiers(task),
        )
        for name, task in workspace.project.tasks.items()
    }
    lock = Lock(version=VERSION, generator="tests", project="surfaces", tasks=tasks)
    write_lock(folder / "stepdown.lock", lock)
    return Workspace.open(folder, environment)


def _policy(task: str) -> Policy:
    """The small tier keeps what is valid; a draft is never sure, so the big one writes it."""
    if task in ("talk", "search"):
        return single("claude" if task == "talk" else "encoder")
    signal = "small.confidence" if task == "draft" else "small.schema_valid"
    keep = Clause(signal, 1.0, Action("accept", "small"))
    rows = (
        Row(called=(), otherwise=Action("call", "small"), reason="entry"),
        Row(called=("small",), when=(keep,), otherwise=Action("call", "big")),
        Row(called=TIERS, otherwise=Action("accept", "big"), reason="last_tier"),
    )
    return Policy(tiers=TIERS, rows=rows)
