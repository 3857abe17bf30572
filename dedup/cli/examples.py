"""An example or two for the help of every command."""

from typing import Final

EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "run": (
        "dedup run my.yaml",
        "dedup run my.yaml --set search.orientations=mirrored -o runs/mirrored",
    ),
    "audit": (
        "dedup audit photos -o runs/audit",
        "dedup audit train.parquet --max-leakage 0",
        "dedup audit mine hf://datasets/org/benchmark",
    ),
    "clean": ("dedup clean photos -o runs/photos",),
    "split": ("dedup split photos -o runs/splits --to train=0.8,validation=0.1,test=0.1 --seed 0",),
    "init": ("dedup init photos", "dedup init photos -o configs/photos.yaml"),
    "warm": ("dedup warm", "NUMBA_CPU_NAME=x86-64-v3 NUMBA_CPU_FEATURES= dedup warm"),
    "serve": ("dedup serve shop.bank", "dedup serve shop.bank --config serve.yaml --workers 2"),
    "compare": ("dedup compare a.jpg b.png",),
    "decide": ("dedup decide runs/photos --set verify.min_similarity=0.95 -o runs/strict",),
    "gate": ("dedup gate runs/photos --max-leakage 0 --junit gate.xml",),
    "calibrate": ("dedup calibrate photos --max-fdr 0.01",),
    "report": ("dedup report runs/photos",),
    "review": ("dedup review runs/photos", "dedup review runs/before runs/after"),
    "demo": ("dedup demo", "dedup demo somewhere --workers 2"),
}


def epilog(name: str) -> str | None:
    """The examples of a command, each in a line."""
    lines = EXAMPLES.get(name)
    return None if lines is None else "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines)
