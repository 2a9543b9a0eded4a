"""Let these tests import their fakes and the strategies of core (importlib mode adds no path)."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "core")]
