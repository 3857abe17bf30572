"""How far mode `fast` is from ImageHash's own codes, which mode `compat` gives: bits of 64 by algorithm.

    python -m benchmarks.modes [--photos DIR] [--exotic DIR] [--every 5]

Pictures without information are left out: no code of theirs is searched.
"""

import argparse
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.hashers.thumbnail import MIN_INFORMATION

ALGORITHMS: Final = ("ahash", "phash", "dhash", "whash")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/caltech101/images"))
    parser.add_argument("--exotic", type=Path, default=Path("../shared/data/photos"))
    parser.add_argument("--every", type=int, default=5)
    parser.add_argument("--worst", type=int, default=0, help="name so many of the furthest files of each algorithm")
    options = parser.parse_args()
    photos = distances(sorted(options.photos.rglob("*.jpg"))[:: options.every])
    exotic = distances(sorted(path for path in options.exotic.rglob("*") if path.is_file()))
    usual = {path: of for path, of in exotic.items() if of["side"] >= 64 and of["longer"] <= 4 * of["side"]}
    rest = {path: of for path, of in exotic.items() if path not in usual}
    print("| bits of 64, mean / 99th percentile | files | " + " | ".join(ALGORITHMS) + " |")
    print("|---" * (2 + len(ALGORITHMS)) + "|")
    for name, found in {
        "photos": photos,
        "exotic files, 64 px or more": usual,
        "exotic files, smaller or very long": rest,
        "all exotic files": exotic,
        "all": photos | exotic,
    }.items():
        print(f"| {name} | {len(found)} | {' | '.join(said(found.values(), each) for each in ALGORITHMS)} |")
    for algorithm in ALGORITHMS if options.worst else ():
        furthest = sorted(exotic, key=lambda path: -exotic[path][algorithm])[: options.worst]
        print(algorithm, *(f"{path.name}: {exotic[path][algorithm]}" for path in furthest), sep="\n  ")


def distances(paths: Iterable[Path]) -> dict[Path, Mapping[str, Any]]:
    """By file: bits between the modes, and the sides."""
    found: dict[Path, Mapping[str, Any]] = {}
    setups = [Setup(ALGORITHMS, 64, mode, "#ffffff", 100_000_000) for mode in ("fast", "compat")]
    for path in paths:
        ours, theirs = (
            {name: column[0].as_py() for name, column in measure([path.read_bytes()], setup).items()}
            for setup in setups
        )
        if ours["status"] != "ok" or ours["information"] < MIN_INFORMATION:
            continue
        sides = sorted((ours["width"], ours["height"]))
        bits = {name: (int.from_bytes(ours[name]) ^ int.from_bytes(theirs[name])).bit_count() for name in ALGORITHMS}
        found[path] = {**bits, "side": sides[0], "longer": sides[1]}
    return found


def said(found: Iterable[Mapping[str, Any]], algorithm: str) -> str:
    values = [of[algorithm] for of in found]
    return f"{np.mean(values):.2f} / {math.ceil(np.percentile(values, 99))}" if values else "none"


if __name__ == "__main__":
    main()
