"""Write the table of rows that certificates need, which the audit looks up: the exact plan is slow.

python tools/plan_rows.py [--check]

Every number is `stats.planning.plan_max_loss`, the plan of the test that ships, at the share of
delta that the first start of the path may spend. `--check` compares with the table that is there.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import stepdown
from stepdown.audit.proof import SCENARIOS, Cell, Plans
from stepdown.core.digest import digest
from stepdown.stats.planning import plan_max_loss
from stepdown.stats.sequence import FIRST_SHARE

TABLE = Path(stepdown.__file__).parent / "audit" / "rows_to_certify.json"
LIMITS = (0.01, 0.02, 0.03, 0.05)
KEPT = (0.3, 0.5, 0.7, 0.9, 0.95, 1.0)
DELTA, POWER = 0.1, 0.8


def cells() -> Iterator[Cell]:
    """Yield the rows for each limit, share kept and scenario."""
    for limit in LIMITS:
        for kept in KEPT:
            for name, seen in SCENARIOS.items():
                yield Cell(limit, kept, name, rows(limit, kept, name))
                print(limit, kept, name, seen, file=sys.stderr)


def rows(limit: float, kept: float, scenario: str) -> int | None:
    """Return the rows that the shipped test needs, None: more than it looks at."""
    seen = SCENARIOS[scenario]
    share = DELTA * FIRST_SHARE
    return plan_max_loss(kept, seen.disagree, seen.loss, seen.gain, limit, share, POWER).rows


def main(arguments: list[str]) -> None:
    found = tuple(cells())
    if "--check" in arguments:
        kept = msgspec.json.decode(TABLE.read_bytes(), type=Plans)
        sys.exit(0 if kept.cells == found else "error: the table differs from the test that ships")
    plans = Plans(
        source="stats.planning.plan_max_loss: exact sums over outcomes of the test that certifies",
        generator="tools/plan_rows.py",
        date=datetime.now(UTC).date().isoformat(),
        delta=DELTA,
        first_share=FIRST_SHARE,
        power=POWER,
        scenarios=dict(SCENARIOS),
        digest=digest(msgspec.to_builtins(found)),
        cells=found,
    )
    TABLE.write_text(written(plans), encoding="utf-8")


def written(plans: Plans) -> str:
    """Return the table as JSON with one line for each cell."""
    head = msgspec.to_builtins(plans) | {"cells": []}
    text = msgspec.json.format(msgspec.json.encode(head), indent=1).decode()
    lines = ",\n".join(f"  {msgspec.json.encode(cell).decode()}" for cell in plans.cells)
    return text.replace('"cells": []', f'"cells": [\n{lines}\n ]') + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
