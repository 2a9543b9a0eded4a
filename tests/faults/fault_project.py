"""A project whose tiers are peers under test, with a lock that declares its policies.

The lock is written by hand, as `declared`: nothing is measured, and the tiers only fail or answer.
"""

from __future__ import annotations

from pathlib import Path

from fault_peer import Peer, closed_port
from fault_table import FIRST_BYTE_S, IDLE_S, TIMEOUT_S

from stepdown.core.lock import VERSION, Guarantee, Lock, LockedTask
from stepdown.core.policy import cascade, single
from stepdown.wiring.environment import Environment
from stepdown.wiring.lockfile import write_lock
from stepdown.wiring.workspace import Workspace

KEY = "sk-planted-4f1c9b7e2d8a6053"
FAULTY = ("peer", "refused", "lost", "tls", "quiet", "slow")  # the last two: `peer` without a past

TIER = """
[tiers.{name}]
model = "openai:m"
base_url = "{url}"
api_key_env = "FAULT_KEY"
timeout_s = {timeout}
price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 2.0, source = "made up" }}

[tiers.{name}.limits]
first_byte_s = {first}
idle_s = {idle}
connect_s = 1.0
retries = 1
breaker_failures = {failures}
breaker_s = {breaker_s}
"""
TASK = """
[tasks.{name}]
kind = "draft"
tiers = {tiers}
"""


def write(
    folder: Path,
    peer: Peer,
    tls: Peer,
    good: Peer,
    *,
    failures: int = 10_000,
    breaker_s: float = 10.0,
) -> Path:
    """Write project and lock: a task for each faulty tier alone, one with `good` after it."""
    urls = {
        "peer": peer.url,
        "refused": f"http://127.0.0.1:{closed_port()}/v1",
        "lost": "http://no-such-host.invalid/v1",
        "tls": tls.url,
        "quiet": peer.url,
        "slow": peer.url,
        "good": good.url,
    }
    tiers = [
        TIER.format(
            name=name,
            url=url,
            timeout=TIMEOUT_S,
            first=FIRST_BYTE_S,
            idle=IDLE_S,
            failures=failures,
            breaker_s=breaker_s,
        )
        for name, url in urls.items()
    ]
    tasks = [TASK.format(name=f"alone-{at}", tiers=f'["{at}"]') for at in FAULTY]
    tasks += [TASK.format(name=f"then-{at}", tiers=f'["{at}", "good"]') for at in FAULTY]
    folder.mkdir(parents=True, exist_ok=True)
    text = '[project]\nname = "faults"\n' + "".join([*tiers, *tasks])
    (folder / "stepdown.toml").write_text(text)
    lock(folder)
    return folder


def lock(folder: Path) -> None:
    """Lock every task as declared: its tiers in order, each kept where it is sure."""
    environment = Environment({"FAULT_KEY": KEY}, Environment.current().now)
    workspace = Workspace.open(folder, environment)
    tasks = {}
    for name, task in workspace.project.tasks.items():
        one = len(task.tiers) == 1
        tasks[name] = LockedTask(
            policy=single(task.tiers[0]) if one else cascade(task.tiers, (0.0,)),
            contract=task.contract.digest,
            settings=workspace.project.settings_digest(task),
            guarantee=Guarantee(state="declared"),
            tiers=workspace.locked_tiers(task),
        )
    write_lock(
        folder / "stepdown.lock",
        Lock(version=VERSION, generator="tests", project="faults", tasks=tasks),
    )
