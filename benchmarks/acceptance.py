"""The rule of acceptance, fitted on all datasets but one and scored on the one that was left out,
for each in turn.

    python -m benchmarks.acceptance FOLDER... [--cifar FOLDER] [--work FOLDER]

Each FOLDER is a dataset as for `benchmarks.limits`; its scoring half is used, at both sizes.
--cifar holds train.parquet, test.parquet and pairs.csv (test_index, train_index, verdict); further
verdicts are in `acceptance.csv` beside this file.

The form of the rule was written down before it was scored:
docs/decisions/0014-acceptance-by-evidence.md. Printed are, for each dataset left out, recall,
precision and wrong pairs at limits of the false probability; how often pairs were wrong in bins of
it; and the weights fitted on everything, which those that are shipped round
(`dedup.policy.acceptance`).
"""

import argparse
import csv
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.optimize import minimize

from benchmarks import quality
from benchmarks.edits import EASY, EDITS
from benchmarks.halves import SCORING, Measured, Sweep, measured
from benchmarks.limits import no_false_hits, verdicts
from dedup.config import LEAST_SIMILARITY
from dedup.tables import BOTH

JUDGED: Final = Path(__file__).with_name("acceptance.csv")  # pairs of CIFAR-10
COUPLES: Final = Path(__file__).with_name("couples.csv")  # of the other datasets, beside limits.csv
LIMITS: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
BINS: Final = (0.0, 0.01, 0.05, 0.2, 0.5)
RANGES: Final = ((40.0, 120.0), (120.0, 170.0), (170.0, 200.0))
RIGHT, WRONG, OPEN = 1, 0, -1
LABELS: Final = {"near": RIGHT, "same": RIGHT, "similar": WRONG, "different": WRONG, "unsure": OPEN}

Values = np.ndarray[Any, np.dtype[Any]]
Columns = Callable[["Views"], Values]


@dataclass(frozen=True, slots=True)
class Views:
    """Rows of evidence, one for each view of a pair, and what is known of each pair."""

    similarity: Values
    structure: Values
    close: Values  # NaN where nobody looked closer
    unframed: Values
    pair: Values  # the place of the pair of each row
    label: Values  # of each pair: RIGHT, WRONG or OPEN
    edit: Values  # of each pair: the place of its edit, -1 where it is none
    n_expected: int  # copies of each edit, or pairs that are listed

    @property
    def of_rows(self) -> Values:
        """Labels, row by row."""
        return self.label[self.pair]


@dataclass(frozen=True, slots=True)
class Score:
    """What was found of a dataset at a limit."""

    recall: float
    precision: float
    n_wrong: int


def thumbnails_of(views: Views) -> Values:
    """Columns of the rule for thumbnails alone: constant, what is missing, structure within each
    range.
    """
    within = [np.clip(np.nan_to_num(views.structure), low, high) / 100 for low, high in RANGES]
    return np.stack([np.ones(len(views.similarity)), _missing(views.similarity), *within], axis=1)


def closely(views: Views) -> Values:
    """Columns of the rule for the closer look: constant, what is missing there, what is missing to
    the thumbnails.
    """
    return np.stack(
        [np.ones(len(views.close)), _missing(views.close), _missing(views.similarity)], axis=1
    )


def _missing(similarity: Values) -> Values:
    return np.asarray(np.log(1.02 - similarity.astype(np.float64)))


def fitted(
    parts: Sequence[Views], columns: Columns, *, looked: bool, signs: Sequence[int]
) -> Values:
    """Weights by logistic regression; every dataset counts the same, and no weight has another sign
    than it may.
    """
    rows, wrong, weights = [], [], []
    for views in parts:
        chosen = _best_rows(views, looked=looked)
        if len(chosen):
            rows.append(columns(views)[chosen])
            wrong.append((views.of_rows[chosen] == WRONG).astype(float))
            weights.append(np.full(len(chosen), 1 / len(chosen)))
    x, y, w = np.concatenate(rows), np.concatenate(wrong), np.concatenate(weights)
    w /= w.sum()

    def loss(b: Values) -> tuple[float, Values]:
        z = x @ b
        ridge = np.r_[0, b[1:]]
        value = float((w * (np.logaddexp(0, z) - y * z)).sum() + 1e-5 * (ridge**2).sum())
        return value, x.T @ (w * (1 / (1 + np.exp(-z)) - y)) + 2e-5 * ridge

    bounds = [(None, None), *((0, None) if sign > 0 else (None, 0) for sign in signs)]
    start = np.array([5.0, *(2.0 * sign for sign in signs)])
    return np.asarray(minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x)


def _best_rows(views: Views, *, looked: bool) -> Values:
    """Of each pair with a label the most similar view with, or without, a closer look."""
    here = ~np.isnan(views.close) if looked else np.isnan(views.close)
    usable = here & (views.of_rows != OPEN) & (views.similarity >= np.float32(LEAST_SIMILARITY))
    rows = np.flatnonzero(usable & (views.similarity < 1))
    by = views.close if looked else views.similarity
    order = rows[np.lexsort((-by[rows], views.pair[rows]))]
    first = np.ones(len(order), bool)
    first[1:] = views.pair[order][1:] != views.pair[order][:-1]
    return order[first]


def doubts(views: Views, alone: Values, close: Values) -> Values:
    """False probability of each pair: of its least doubtful view."""
    by_thumbnails, by_look = (
        1 / (1 + np.exp(-columns(views) @ b)) for columns, b in _rules(alone, close)
    )
    of_looked = np.where(views.unframed == BOTH, np.maximum(by_thumbnails, by_look), by_look)
    of_rows = np.where(np.isnan(views.close), by_thumbnails, of_looked)
    of_rows = np.where(views.similarity < np.float32(LEAST_SIMILARITY), 1.0, of_rows)
    found = np.ones(len(views.label))
    np.minimum.at(found, views.pair, of_rows)
    return found


def _rules(alone: Values, close: Values) -> list[tuple[Columns, Values]]:
    return [(thumbnails_of, alone), (closely, close)]


def scored(views: Views, doubt: Values, limit: float) -> Score:
    """Recall is the mean of both groups of edits, or the share of the listed pairs."""
    accepted = doubt <= limit
    n_right, n_wrong = (int((accepted & (views.label == label)).sum()) for label in (RIGHT, WRONG))
    hits = (
        np.bincount(views.edit[accepted & (views.edit >= 0)], minlength=len(EDITS))
        / views.n_expected
    )
    listed = (
        hits[0]
        if views.edit.max(initial=-1) == 0
        else (hits[: len(EASY)].mean() + hits[len(EASY) :].mean()) / 2
    )
    return Score(float(listed), n_right / max(n_right + n_wrong, 1), n_wrong)


def of_halves(part: Measured, right: frozenset[quality.Pair]) -> Views:
    """A half of a dataset that `benchmarks.halves` has measured."""
    sweep = Sweep(part.pairs, no_false_hits(part, right))
    n_rows = len(part.pairs)
    starts = np.zeros(n_rows, np.int64)
    starts[sweep.starts[1:]] = 1
    label = np.where(sweep.edit >= 0, RIGHT, np.where(sweep.wrong, WRONG, OPEN))
    seen = sweep.evidence
    columns = (seen.similarity, seen.structure, seen.close, seen.views)
    return Views(*columns, np.cumsum(starts), label, sweep.edit, part.n_edited)


def of_cifar(folder: Path, work: Path) -> Views:
    """Pairs of test with train, of a run under default settings."""
    path = work / "cifar.parquet"
    if not path.exists():
        run = quality.audited(folder)
        pq.write_table(_with_indices(run, folder), path)
    table = pq.read_table(path)
    judged = _judged(folder)
    keys = list(zip(table["test_index"].to_pylist(), table["train_index"].to_pylist(), strict=True))
    places = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    label = np.array([LABELS.get(judged.get(key, ("unsure", ""))[0], OPEN) for key in places])
    listed = np.array([0 if judged.get(key) == ("near", "ciFAIR") else -1 for key in places])
    names = ("similarity", "structure", "close_similarity", "unframed")
    similarity, structure, close, unframed = (table[name].to_numpy() for name in names)
    n_listed = sum(verdict == ("near", "ciFAIR") for verdict in judged.values())
    pair = np.array([places[key] for key in keys])
    return Views(similarity, structure, close, unframed, pair, label, listed, n_listed)


def _judged(folder: Path) -> dict[tuple[int, int], tuple[str, str]]:
    """Verdict and judge by (test_index, train_index); those of the folder stand before ours."""
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for path in (folder / "pairs.csv", JUDGED):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = int(row["test_index"]), int(row["train_index"])
                found.setdefault(key, (row["verdict"], row["judged"]))
    return found


def _with_indices(run: Any, folder: Path) -> pa.Table:
    """Candidates of test with train that may be pairs, with the indices that pairs.csv has."""
    ids = [name.split("/") for name in run.manifest["id"].to_pylist()]
    stored = {
        split: pq.read_table(folder / f"{split}.parquet", columns=["index"])
        for split in ("test", "train")
    }
    index = np.array([stored[split]["index"][int(row)].as_py() for split, row in ids])
    in_test = np.array([split == "test" for split, _ in ids])
    table = run.candidates
    a, b = table["a"].to_numpy(), table["b"].to_numpy()
    similar = table["similarity"].to_numpy() >= np.float32(LEAST_SIMILARITY)
    rows = np.flatnonzero(similar & (in_test[a] != in_test[b]))
    a, b, table = a[rows], b[rows], table.take(pa.array(rows))
    test, train = np.where(in_test[a], index[a], index[b]), np.where(in_test[a], index[b], index[a])
    return table.append_column("test_index", pa.array(test)).append_column(
        "train_index", pa.array(train)
    )


def show(sets: dict[str, list[Views]]) -> None:
    """The table: for each limit and dataset left out recall, precision and wrong pairs."""
    found: dict[str, list[tuple[Views, Values]]] = {}
    for left in sets:
        others = [views for name, parts in sets.items() if name != left for views in parts]
        weights = both(others)
        found[left] = [(views, doubts(views, *weights)) for views in sets[left]]
    print("left out: recall / precision in % (wrong pairs), each size, at a limit of")
    print(f"{'':24}" + "".join(f"{limit:>22}" for limit in LIMITS))
    for left, parts in found.items():
        for size, (views, doubt) in enumerate(parts):
            scores = [scored(views, doubt, limit) for limit in LIMITS]
            cells = [
                f"{100 * s.recall:5.1f} / {100 * s.precision:6.2f} ({s.n_wrong})" for s in scores
            ]
            print(f"{left:20}{size:4}" + "".join(f"{cell:>22}" for cell in cells))
    for limit in LIMITS:
        every = [scored(views, doubt, limit) for parts in found.values() for views, doubt in parts]
        recall, precision = (
            100 * np.mean([getattr(s, name) for s in every]) for name in ("recall", "precision")
        )
        least = 100 * min(s.precision for s in every)
        print(f"{limit}: mean recall {recall:.2f}, precision {precision:.2f}, least {least:.2f}")
    show_bins(found)
    print(
        "fitted on all:",
        *(np.round(b, 2).tolist() for b in both([v for parts in sets.values() for v in parts])),
    )


def both(parts: Sequence[Views]) -> tuple[Values, Values]:
    """Weights for thumbnails alone and for the closer look."""
    alone = fitted(parts, thumbnails_of, looked=False, signs=(1, -1, -1, -1))
    return alone, fitted(parts, closely, looked=True, signs=(1, 1))


def show_bins(found: dict[str, list[tuple[Views, Values]]]) -> None:
    """How many pairs of each bin were wrong, beside how many were to be expected."""
    print("\nwrong of pairs (expected) with a false probability of up to")
    print(f"{'':20}" + "".join(f"{100 * end:>20.0f} %" for end in BINS[1:]))
    for left, parts in found.items():
        doubt = np.concatenate([doubt for _, doubt in parts])
        label = np.concatenate([views.label for views, _ in parts])
        cells = []
        for low, high in pairwise(BINS):
            here = (doubt > low) & (doubt <= high) & (label != OPEN)
            cells.append(
                f"{int((label[here] == WRONG).sum())} of {here.sum()} ({doubt[here].sum():.1f})"
            )
        print(f"{left:20}" + "".join(f"{cell:>22}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--cifar", type=Path, help="the folder with five classes of CIFAR-10")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "dedup-limits"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    by_eye, sets = verdicts() | verdicts(COUPLES), dict[str, list[Views]]()
    for folder in options.folders:
        judged = {
            pair: verdict for (dataset, pair), verdict in by_eye.items() if dataset == folder.name
        }
        if known := quality.listed(folder):
            judged |= quality.verdicts() | dict.fromkeys(known, "same")
        right = frozenset(pair for pair, verdict in judged.items() if verdict != "different")
        halves = [part for part in measured(folder, options.work) if part.half == SCORING]
        sets[folder.name] = [of_halves(part, right) for part in halves]
    if options.cifar is not None:
        sets["cifar10"] = [of_cifar(options.cifar, options.work)]
    show(sets)


if __name__ == "__main__":
    main()
