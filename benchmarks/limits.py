"""Which limits `verify` has from several datasets: chosen on one half of each, scored on the other.

    python -m benchmarks.limits FOLDER... [--work FOLDER] [--sheet PNG]

Each FOLDER is one dataset: any pictures, or `images/` with the `pairs.csv` of `benchmarks.quality`.
What verification says of the pairs of each half is measured by `benchmarks.halves` and kept below
--work, so that limits are tried without another run. Two rules are printed, both on the choosing
halves:

    1. Written down before anything was measured: of the limits whose precision, the mean over the
       datasets, is 99.5 % at each size, those with the highest recall, the mean over datasets,
       sizes and both groups of edits.
    2. Made when the first had led to limits that lose a third of the hard edits of small photos: of
       the limits that keep, edit by edit, the recall promised for photos (`PROMISED`), the most
       precise over all datasets. The limits in force stay as long as none is better by more than
       0.1 point.

Two sources that nobody judged by eye (`limits.csv` beside this file, `verdicts.csv` for caltech101)
are different ones; what was left open as `unsure` does not count, nor do two of one family: frames
of an animation, steps of a lesson, a drawing in two colours. `--sheet` draws those that nobody has
judged yet.
"""

import argparse
import csv
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import quality
from benchmarks.edits import EASY
from benchmarks.halves import (
    CHOOSING,
    NOW,
    SCORING,
    SIZES,
    Limits,
    Measured,
    Sweep,
    counts_at,
    family,
    measured,
    seen,
)
from benchmarks.quality import SEPARATOR, Pair

VERDICTS: Final = Path(__file__).with_name("limits.csv")
MIN_PRECISION: Final = 0.995
# recall of each of the first edits, of the others
PROMISED: Final = {
    "full": (0.99, 0.95),
    "32 px": (0.95, 0.85),
}
PER_SHEET: Final = 72  # couples
GRID: Final = tuple(
    (round(both / 100, 2), round(close / 100, 2), round(alone / 100, 2))
    for both, close, alone in itertools.product(range(80, 96), range(84, 97), range(88, 99))
    if both <= alone
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a half shows at some limits."""

    easy: float  # mean recall of the first edits
    hard: float
    precision: float


def found(part: Measured, sweep: Sweep, limits: Limits) -> Found:
    hits, wrong = counts_at(sweep, limits)
    recall = hits / max(part.n_edited, 1)
    precision = hits.sum() / max(hits.sum() + wrong, 1)
    return Found(
        float(recall[: len(EASY)].mean()), float(recall[len(EASY) :].mean()), float(precision)
    )


def verdicts(path: Path = VERDICTS) -> dict[tuple[str, Pair], str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {
            (row["dataset"], frozenset((row["a"], row["b"]))): row["verdict"]
            for row in csv.DictReader(file)
        }


def no_false_hits(part: Measured, right: frozenset[Pair]) -> Any:
    """For each row whether its photos, or its tiles, are known to be the same, were left open or
    are of one family.
    """
    couples = list(zip(part.pairs["a"].to_pylist(), part.pairs["b"].to_pylist(), strict=True))
    sources = [tuple(name.split(SEPARATOR)[0] for name in couple) for couple in couples]
    known = [
        {frozenset(one), frozenset(of)} & right for one, of in zip(couples, sources, strict=True)
    ]
    related = [not part.is_listed and family(a) == family(b) for a, b in sources]
    return np.array([bool(one) or two for one, two in zip(known, related, strict=True)], bool)


def means(shown: Iterable[tuple[Measured, Found]]) -> tuple[float, dict[str, float]]:
    """Recall over sizes, datasets and groups, and precision by size over datasets."""
    every = list(shown)
    recall = float(np.mean([(one.easy + one.hard) / 2 for _, one in every]))
    return recall, {
        size: float(np.mean([one.precision for part, one in every if part.size == size]))
        for size in SIZES
    }


def keeps_promise(part: Measured, sweep: Sweep, limits: Limits) -> bool:
    """Whether each edit of these photos is found as often as was promised."""
    easy, hard = PROMISED[part.size]
    recall = counts_at(sweep, limits)[0] / max(part.n_edited, 1)
    return bool((recall[: len(EASY)] >= easy).all() and (recall[len(EASY) :] >= hard).all())


def show_choices(
    choosing: Sequence[tuple[Measured, Sweep]], scoring: Sequence[tuple[Measured, Sweep]]
) -> None:
    """What each rule comes to, and how far the limits in force are from it."""
    tried = {
        limits: means((part, found(part, sweep, limits)) for part, sweep in choosing)
        for limits in GRID
    }

    def line(limits: Limits) -> str:
        halves = [
            tried[limits],
            means((part, found(part, sweep, limits)) for part, sweep in scoring),
        ]
        return f"{limits}  " + "   ".join(
            f"recall {100 * recall:.2f} precision {100 * precision['full']:.2f} /"
            f" {100 * precision['32 px']:.2f}"
            for recall, precision in halves
        )

    print("\nhighest recall at a mean precision, choosing and scoring halves (full size / 32 px)")
    for wanted in (0.975, 0.98, 0.985, 0.99, MIN_PRECISION):
        precise = [
            limits for limits, (_, precision) in tried.items() if min(precision.values()) >= wanted
        ]
        if precise:
            print(
                f"{100 * wanted:.1f} %  {line(max(precise, key=lambda limits: tried[limits][0]))}"
            )
    photos = [(part, sweep) for part, sweep in choosing if part.is_listed]
    kept = [
        limits
        for limits in GRID
        if all(keeps_promise(part, sweep, limits) for part, sweep in photos)
    ]
    kept.sort(key=lambda limits: -float(np.mean(list(tried[limits][1].values()))))
    print(
        f"\n{len(kept)} of {len(GRID)} keep what was promised for photos; the most precise, and"
        " those in force"
    )
    for limits in dict.fromkeys([*kept[:5], *(limits for limits in kept if limits == NOW)]):
        print(line(limits))


def show(title: str, sweeps: Sequence[tuple[Measured, Sweep]], limits: Limits) -> None:
    print(
        f"\n{title}, at {limits}: recall of the first edits / of the others, precision, wrong pairs"
    )
    for part, sweep in sweeps:
        one, (_, wrong) = found(part, sweep, limits), counts_at(sweep, limits)
        print(
            f"{part.dataset:24}{part.size:6}{part.n_edited:5}"
            f"{100 * one.easy:8.1f}{100 * one.hard:8.1f}{100 * one.precision:8.2f}{wrong:6}"
        )
    recall, precision = means((part, found(part, sweep, limits)) for part, sweep in sweeps)
    print(
        f"{'mean':35}{100 * recall:16.2f}  "
        + ", ".join(f"{k} {100 * v:.2f}" for k, v in precision.items())
    )


def draw(couples: Sequence[tuple[str, str, str, int]], work: Path, path: Path) -> None:
    """Contact sheets of couples, four to a row, largest number of pairs first."""
    side = 200
    for k in range(0, len(couples), PER_SHEET):
        few = couples[k : k + PER_SHEET]
        sheet = Image.new("RGB", (4 * (2 * side + 14), -(-len(few) // 4) * (side + 18)), "white")
        for j, (dataset, a, b, n) in enumerate(few):
            x, y = j % 4 * (2 * side + 14), j // 4 * (side + 18)
            for which, name in enumerate((a, b)):
                sheet.paste(
                    seen(work, dataset, name).resize((side, side)), (x + which * side, y + 16)
                )
            ImageDraw.Draw(sheet).text((x, y + 2), f"{k + j} {dataset} ({n})", fill="black")
            print(f"{k + j} {n} {dataset},{a},{b}")
        sheet.save(path.with_stem(f"{path.stem}-{k // PER_SHEET}"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "dedup-limits"))
    parser.add_argument(
        "--sheet", type=Path, help="PNGs of the sources of pairs that nobody has judged"
    )
    parser.add_argument(
        "--at", type=float, nargs=3, default=NOW, help="the limits whose unjudged pairs are drawn"
    )
    options = parser.parse_args()
    by_eye = verdicts()
    sweeps, unjudged = [], defaultdict[tuple[str, str, str], int](int)
    for folder in options.folders:
        judged = {
            pair: verdict for (dataset, pair), verdict in by_eye.items() if dataset == folder.name
        }
        if known := quality.listed(folder):
            judged |= quality.verdicts() | dict.fromkeys(known, "same")
        right = frozenset(pair for pair, verdict in judged.items() if verdict != "different")
        for part in measured(folder, options.work):
            sweep = Sweep(part.pairs, no_false_hits(part, right))
            sweeps.append((part, sweep))
            for row in part.pairs.take(
                sweep.starts[sweep.at(tuple(options.at)) & sweep.wrong]
            ).to_pylist():
                a, b = sorted((row["a"], row["b"]))
                photos = frozenset(name.split(SEPARATOR)[0] for name in (a, b))
                if not {frozenset((a, b)), photos} & judged.keys():
                    unjudged[folder.name, a, b] += 1
    choosing = [(part, sweep) for part, sweep in sweeps if part.half == CHOOSING]
    scoring = [(part, sweep) for part, sweep in sweeps if part.half == SCORING]
    show_choices(choosing, scoring)
    show(CHOOSING, choosing, NOW)
    show(SCORING, scoring, NOW)
    print(f"\n{sum(unjudged.values())} pairs of {len(unjudged)} couples that nobody judged")
    if options.sheet is not None:
        couples = sorted(
            ((*key, n) for key, n in unjudged.items()), key=lambda row: (row[0], -row[3], row[1])
        )
        draw(couples, options.work, options.sheet)


if __name__ == "__main__":
    main()
