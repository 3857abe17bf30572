"""What the data are: classes by split, leaks by class, sizes and formats."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


MAX_CLASSES: Final = 40
"""Rows of a table by class: those with most pairs; the rest is counted in one row."""

MAX_PLACES: Final = 12  # columns of pairs of splits
_NO_LABEL: Final = "(no label)"
_NO_SPLIT: Final = "(no split)"


def by_class(stored: Mapping[str, pa.Table]) -> dict[str, Any]:
    """For each class, the ones with most pairs first: images, dropped images, and its pairs by the
    two splits that they join. A pair of two classes counts in both.
    """
    pairs, manifest = stored["pairs"], stored["manifest"]
    images = _counted(manifest["label"])
    gone = pc.is_in(stored["decisions"]["action"], pa.array(["drop"]))
    dropped = _counted(manifest["label"].filter(gone))
    crossed: Counter[tuple[str | None, str]] = Counter()
    for label, other, joined in _joined(pairs):
        for name in {label, other}:
            crossed[name, joined] += 1

    places = Counter[str]()
    totals = Counter[str | None]()
    for (label, place), n in crossed.items():
        places[place] += n
        totals[label] += n

    columns = sorted(name for name, _ in places.most_common(MAX_PLACES))
    ordered = sorted(images, key=lambda name: (-totals[name], name is None, name or ""))
    rows = [
        {
            "label": _NO_LABEL if name is None else name,
            "images": images[name],
            "dropped": dropped[name],
            "pairs": [crossed[name, place] for place in columns],
        }
        for name in ordered[:MAX_CLASSES]
    ]

    return {"columns": columns, "rows": rows, "more": max(0, len(ordered) - MAX_CLASSES)}


def largest_groups(groups: pa.Table, n_groups: int, n_members: int = 6) -> list[list[int]]:
    """Samples of the largest groups, the keeper first, at most `n_members` of each."""
    numbers, samples = groups["group"].to_numpy(), groups["sample"].to_numpy()
    sizes = np.bincount(numbers) if len(numbers) else np.empty(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    largest = np.argsort(-sizes, kind="stable")[:n_groups]

    return [
        samples[starts[k] : starts[k] + min(int(sizes[k]), n_members)].tolist() for k in largest
    ]


def sizes_and_formats(hashes: pa.Table) -> list[dict[str, Any]]:
    """For each file format, the most frequent first: images, and the longer side of the smallest,
    the median and the largest in pixels.
    """
    names = hashes["format"].to_pylist()
    longer = np.maximum(*(hashes[side].fill_null(0).to_numpy() for side in ("width", "height")))
    sides: dict[str, list[int]] = {}
    for name, side in zip(names, longer.tolist(), strict=True):
        if name is not None and side:
            sides.setdefault(name, []).append(side)

    ordered = sorted(sides.items(), key=lambda one: (-len(one[1]), one[0]))

    return [
        {
            "format": name,
            "images": len(found),
            "smallest": min(found),
            "median": int(np.median(found)),
            "largest": max(found),
        }
        for name, found in ordered
    ]


def _counted(column: pa.ChunkedArray) -> Counter[str | None]:
    return Counter({one["values"]: one["counts"] for one in column.value_counts().to_pylist()})


def _joined(pairs: pa.Table) -> Any:
    """Of each pair both labels, and the two splits in words."""
    names = ("label_a", "label_b", "split_a", "split_b")
    for label, other, split, further in zip(
        *(pairs[name].to_pylist() for name in names), strict=True
    ):
        one, two = sorted((split or _NO_SPLIT, further or _NO_SPLIT))
        yield label, other, one if one == two else f"{one} – {two}"


def rounded_mean(column: pa.ChunkedArray) -> float | None:
    """To four decimals; None of no values."""
    mean = pc.mean(column).as_py()
    return None if mean is None else round(mean, 4)


def n_by_value(column: pa.ChunkedArray) -> Counter[str]:
    """How often each value is there."""
    return Counter({one["values"]: one["counts"] for one in pc.value_counts(column).to_pylist()})


def share_of(inside: Mask, leaks: Mask) -> dict[str, Any]:
    """Of the samples inside a split, how many leak, and their share."""
    n, leaking = int(inside.sum()), int((leaks & inside).sum())
    return {"images": n, "leaking": leaking, "share": leaking / n}
