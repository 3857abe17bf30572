"""dedup: exact and near-duplicates and train/test leakage in image datasets."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.api import audit, calibrate, deduplicate, hash_images, run
    from dedup.bank import Bank, BankPolicy
    from dedup.calibration.table import Calibration
    from dedup.comparison import Comparison, compare
    from dedup.config import Config
    from dedup.errors import (
        BankError,
        ConfigError,
        DedupError,
        InternalError,
        LimitError,
        MissingExtraError,
        RunError,
        SourceError,
        TableError,
    )
    from dedup.gating.gate import gate
    from dedup.gating.verdict import Verdict
    from dedup.runs.result import Run
    from dedup.search import find_pairs

__all__ = [
    "Bank",
    "BankError",
    "BankPolicy",
    "Calibration",
    "Comparison",
    "Config",
    "ConfigError",
    "DedupError",
    "InternalError",
    "LimitError",
    "MissingExtraError",
    "Run",
    "RunError",
    "SourceError",
    "TableError",
    "Verdict",
    "audit",
    "calibrate",
    "compare",
    "deduplicate",
    "find_pairs",
    "gate",
    "hash_images",
    "run",
]

_HOME = {
    **dict.fromkeys(("audit", "calibrate", "deduplicate", "hash_images", "run"), "dedup.api"),
    **dict.fromkeys(("Comparison", "compare"), "dedup.comparison"),
    **dict.fromkeys(("Bank", "BankPolicy"), "dedup.bank"),
    "Calibration": "dedup.calibration.table",
    "Config": "dedup.config",
    "Run": "dedup.runs.result",
    "Verdict": "dedup.gating.verdict",
    "find_pairs": "dedup.search",
    "gate": "dedup.gating.gate",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: numba and SciPy take a second, `dedup --help` needs neither."""
    if name not in __all__:
        message = f"module 'dedup' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOME.get(name, "dedup.errors")), name)
