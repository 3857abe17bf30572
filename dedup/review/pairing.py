"""One pair for the page: what is known of it, and how its two pictures lie over each other."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup import tables
from dedup.decoding.orientation import INVERSE, turn_matrix
from dedup.policy.acceptance import Evidence, false_probability
from dedup.policy.record import Judgement
from dedup.reporting.words import KINDS
from dedup.review.opened import OpenedRun

_OF_HASHES: Final = (
    *("status", "detail", "width", "height", "format", "n_frames"),
    *("information", "compression", "file_digest", "pixel_digest"),
)
_DECIMALS: Final = 4

Matrix = NDArray[np.float64]
"""A map of the plane, (3, 3): places in the unit square of one picture to those of another."""


def facts(run: OpenedRun, a: int, b: int) -> dict[str, Any]:
    """Everything that the tables have of two samples, the lower one first in the row of `pairs`."""
    low, high = min(a, b), max(a, b)
    row = _row(run, "pairs", low, high)
    accepted = row is not None
    candidate = None if accepted else _row(run, "candidates", low, high)
    found = row or candidate or {}

    if candidate is not None:
        found["transform"] = tables.TRANSFORMS[found["transform"]]
        view = found.get("unframed") or 0
        evidence = Evidence.of_one(
            found.get("similarity"), found.get("structure"), found.get("close_similarity"), view
        )
        if found.get("similarity") is not None:
            found["false_probability"] = float(false_probability(evidence)[0])
        found["unframed"] = tables.UNFRAMED[view]

    sides = _sides(run, [a, b])
    same = sides[0]["pixel_digest"] is not None and (
        sides[0]["pixel_digest"] == sides[1]["pixel_digest"]
    )

    return {
        "accepted": accepted or same,
        "same_pixels": same,
        "transform": _transform(found.get("transform"), swapped=a > b),
        "boxes": _boxes(found, swapped=a > b),
        "unframed": _unframed(found.get("unframed"), swapped=a > b),
        "sides": [_side(run, side) for side in sides],
        "facts": _words(found, same=same, accepted=accepted),
        "keeping": keeping(run, sides, found, swapped=a > b),
    }


def keeping(
    run: OpenedRun, sides: Sequence[Mapping[str, Any]], found: Mapping[str, Any], *, swapped: bool
) -> list[str]:
    """Why the one that is kept is kept, in sentences."""
    decided = [f"{side['name']}: {_decided(side)}" for side in sides]
    one, two = sides
    if one["is_held_out"] != two["is_held_out"]:
        stays, goes = (one, two) if one["is_held_out"] else (two, one)
        decided.append(
            f"{stays['name']} is in the held-out split {stays['split']!r}, which the policy"
            f" {_of_held_out(run)}; {goes['name']} is in {goes['split']!r}."
        )
        return decided

    better = found.get("better")
    if better in ("a", "b"):
        first = (better == "a") != swapped
        decided.append(
            f"{sides[0 if first else 1]['name']} is the better picture of the two: it shows more"
            " detail, or fewer traces of an edit."
        )

    decided += _compared(one, two)

    return decided


def _of_held_out(run: OpenedRun) -> str:
    policy = run.resolved.get("leakage", "drop_from_train")
    return {
        "drop_from_train": "never touches",
        "drop_from_held_out": "cleans of what is in train",
        "regroup": "may move",
    }.get(policy, "only reports")


def _compared(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """Size and compression, in the order in which they count."""
    n_pixels = [(side["width"] or 0) * (side["height"] or 0) for side in (one, two)]
    if n_pixels[0] != n_pixels[1]:
        larger, smaller = (one, two) if n_pixels[0] > n_pixels[1] else (two, one)
        told = f"{larger['width']} × {larger['height']}, not {smaller['width']}"
        return [f"{larger['name']} has more pixels: {told} × {smaller['height']}."]

    losses = [side["compression"] for side in (one, two)]
    if None not in losses and losses[0] != losses[1]:
        finer = one if losses[0] < losses[1] else two
        return [f"Both have as many pixels; {finer['name']} is less compressed."]

    return ["Both have as many pixels and are compressed alike; then the first by id is kept."]


def _decided(side: Mapping[str, Any]) -> str:
    """What becomes of a sample, and by which witness."""
    if side["action"] is None:
        return "not decided"
    witness = f", witness {side['witness_id']}" if side["witness_id"] else ""
    return f"{side['action']} ({side['reason']}{witness})"


def _sides(run: OpenedRun, samples: Sequence[int]) -> list[dict[str, Any]]:
    measured = run.rows("hashes", samples, _OF_HASHES).to_pylist()
    listed = run.rows("manifest", samples, ["id", "split", "label", "uri"]).to_pylist()
    columns = ["action", "reason", "witness_id"]
    decided = run.rows("decisions", samples, columns).to_pylist()

    return [
        {
            **of_hashes,
            **of_manifest,
            **of_decision,
            "sample": sample,
            "name": name,
            "is_held_out": bool(run.is_held_out[sample]),
        }
        for sample, name, of_hashes, of_manifest, of_decision in zip(
            samples, "AB", measured, listed, decided, strict=True
        )
    ]


def _side(run: OpenedRun, side: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of one of the two."""
    size = f"{side['width']} × {side['height']}" if side["width"] else "unknown"
    frames = side["n_frames"] or 1
    lines = [
        ("id", side["id"]),
        ("split", side["split"]),
        ("label", side["label"]),
        ("size", size),
        ("format", side["format"]),
        ("frames", f"{frames:,}" if frames > 1 else None),
        ("compression", _rounded(side["compression"])),
        ("detail", side["detail"]),
        ("path", side["uri"] if side["uri"] != side["id"] else None),
        ("decision", _decided(side)),
        ("file digest", _short(side["file_digest"])),
        ("pixel digest", _short(side["pixel_digest"])),
    ]

    return {
        "sample": side["sample"],
        "id": side["id"],
        "split": side["split"],
        "label": side["label"],
        "width": side["width"],
        "height": side["height"],
        "status": side["status"],
        "lines": [[name, str(value)] for name, value in lines if value is not None],
    }


def _words(found: Mapping[str, Any], *, same: bool, accepted: bool) -> list[list[str]]:
    """What was measured of the two together."""
    kind = found.get("kind")
    prefix = tables.distance_column("")
    turned = found.get("transform")
    named = [
        ("verdict of the run", "pair" if accepted or same else "not a pair"),
        ("kind", KINDS.get(kind, kind) if kind else ("same pixels" if same else None)),
        ("false probability", _rounded(found.get("false_probability"))),
        ("similarity", _rounded(found.get("similarity"))),
        ("similarity at 128 px", _rounded(found.get("close_similarity"))),
        *(
            (f"{name.removeprefix(prefix)} distance", f"{value} bits")
            for name, value in found.items()
            if name.startswith(prefix) and value is not None
        ),
        ("orientation", turned if turned not in (None, "identity") else None),
        ("without frame", found.get("unframed")),
        ("colours differ", "yes" if found.get("colour_differs") else None),
        ("labels differ", "yes" if found.get("label_conflict") else None),
    ]

    return [[name, str(value)] for name, value in named if value is not None]


def _row(run: OpenedRun, name: str, low: int, high: int) -> dict[str, Any] | None:
    """The best row of a table about two samples."""
    path = run.folder / f"{name}.parquet"
    where = [("a", "=", low), ("b", "=", high)]
    rows: list[dict[str, Any]] = pq.read_table(path, filters=where, partitioning=None).to_pylist()
    return max(rows, key=lambda row: row.get("similarity") or 0.0, default=None)


def _transform(transform: str | None, *, swapped: bool) -> str:
    if transform is None:
        return tables.TRANSFORMS[0]
    return tables.TRANSFORMS[INVERSE[tables.TRANSFORMS.index(transform)]] if swapped else transform


def _unframed(which: str | None, *, swapped: bool) -> str | None:
    return {"a": "b", "b": "a"}.get(which or "", which) if swapped else which


def _boxes(found: Mapping[str, Any], *, swapped: bool) -> list[list[int] | None]:
    boxes = [found.get("box_a"), found.get("box_b")]
    return boxes[::-1] if swapped else boxes


def box_matrix(box: Sequence[int], width: int, height: int) -> Matrix:
    """From the unit square to a box of a picture, in its unit square."""
    left, top, right, bottom = (
        value / side for value, side in zip(box, (width, height, width, height), strict=True)
    )
    return np.array([[right - left, 0.0, left], [0.0, bottom - top, top], [0.0, 0.0, 1.0]])


def of_boxes(
    boxes: Sequence[Sequence[int]], sizes: Sequence[tuple[int, int]], transform: str
) -> Matrix:
    """From the second picture of a crop to the first: its box, turned, onto the other box."""
    first, second = (box_matrix(box, *size) for box, size in zip(boxes, sizes, strict=True))
    return np.asarray(first @ turn_matrix(transform) @ np.linalg.inv(second))


def rounded(matrix: Matrix) -> list[float]:
    """The first two rows, for the page."""
    return [round(float(value), 6) for value in matrix[:2].reshape(-1)]


def judged(row: Judgement | None) -> dict[str, str] | None:
    """A judgement for the page."""
    return None if row is None else {"verdict": row.verdict, "by": row.by, "at": row.at}


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.{_DECIMALS}f}"


def _short(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()[:16]
