"""Move every step of an AI pipeline down to the smallest model that still passes the eval.

The package is light to import: the public names below are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Stepdown", "StepdownError", "__version__", "import_eval_set"]

if TYPE_CHECKING:
    from stepdown.errors import StepdownError
    from stepdown.wiring.import_project import import_eval_set
    from stepdown.wiring.runner import Stepdown

_HOMES = {
    "Stepdown": "stepdown.wiring.runner",
    "StepdownError": "stepdown.errors",
    "import_eval_set": "stepdown.wiring.import_project",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562), so that `import stepdown` stays fast."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'stepdown' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
