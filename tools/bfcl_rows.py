"""Print rows of a tool_call task made of files of the Berkeley Function Calling Leaderboard, v4.

python tools/bfcl_rows.py BFCL_v4_simple_python.json possible_answer/BFCL_v4_simple_python.json

Without the second file nothing is to be called (`irrelevance`). Use the rows with
`[data] tools = "tools"` and a task of kind tool_call with `reference = "calls"`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from stepdown.errors import StepdownError
from stepdown.evals.bfcl import bfcl_rows


def rows_in(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file, one a line as the leaderboard has them."""
    for line in path.read_bytes().splitlines():
        if line.strip():
            yield msgspec.json.decode(line)


def main(arguments: list[str]) -> None:
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    questions, *answers = (rows_in(Path(each)) for each in arguments)
    try:
        for row in bfcl_rows(questions, *answers):
            sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
    except (OSError, msgspec.DecodeError, StepdownError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
