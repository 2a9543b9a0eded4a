"""Let these tests import their peer, table and project (importlib mode adds no path)."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "wiring")]
