"""dedup: exact and near-duplicates and train/test leakage in image datasets.

    run = dedup.audit("photos")            what is wrong with a dataset: a path, or an object in
    memory run.summary, run.leakage, run.pairs    what was found, as a dict and as Arrow tables
    clean = run.filter(dataset)            the rows that stay, in the form in which they were given

    clean, run = dedup.deduplicate(splits) a DatasetDict without duplicates and leaks
    run = dedup.run("my.yaml")             the whole stage of a config: splits, certificate, report
    run = dedup.load("runs/photos")        a finished run from its folder
    run = dedup.decide(run, min_similarity=0.95), dedup.report(run), dedup.gate(run, max_leakage=0)

    dedup.calibrate(dataset)               what each distance would let in on this data
    dedup.compare("a.jpg", "b.jpg")        one pair explained
    dedup.hash_images(images, algorithm="phash"), dedup.find_pairs(codes, max_distance=10)

Options are the settings of the config by their own names: `dedup.audit("photos", max_distance=8,
workers=2)`. Bad data is a row with a status; a bad request is a `dedup.DedupError`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup.api import audit, calibrate, decide, deduplicate, hash_images, load, report, run
    from dedup.bank import Bank, BankPolicy
    from dedup.calibration.table import Calibration
    from dedup.client import Client
    from dedup.comparison import Comparison, compare
    from dedup.config import Config
    from dedup.errors import (
        BankError,
        ConfigError,
        DedupError,
        InternalError,
        LimitError,
        MissingExtraError,
        OptionError,
        RunError,
        ServiceError,
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
    "Client",
    "Comparison",
    "Config",
    "ConfigError",
    "DedupError",
    "InternalError",
    "LimitError",
    "MissingExtraError",
    "OptionError",
    "Run",
    "RunError",
    "ServiceError",
    "SourceError",
    "TableError",
    "Verdict",
    "audit",
    "calibrate",
    "compare",
    "decide",
    "deduplicate",
    "find_pairs",
    "gate",
    "hash_images",
    "load",
    "report",
    "run",
]

_HOME = {
    **dict.fromkeys(
        ("audit", "calibrate", "decide", "deduplicate", "hash_images", "load", "report", "run"),
        "dedup.api",
    ),
    **dict.fromkeys(("Comparison", "compare"), "dedup.comparison"),
    **dict.fromkeys(("Bank", "BankPolicy"), "dedup.bank"),
    "Calibration": "dedup.calibration.table",
    "Client": "dedup.client",
    "Config": "dedup.config",
    "Run": "dedup.runs.result",
    "Verdict": "dedup.gating.verdict",
    "find_pairs": "dedup.search",
    "gate": "dedup.gating.gate",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: numba and SciPy take a second, `dedup --help`
    needs neither.
    """
    if name not in __all__:
        message = f"module 'dedup' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOME.get(name, "dedup.errors")), name)


def __dir__() -> list[str]:
    """The public names, for completion."""
    return [*__all__, "__doc__", "__file__", "__name__", "__path__"]
