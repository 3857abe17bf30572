"""Which rows of a view are asked for, and in which order."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.errors import ConfigError
from dedup.review.opened import OpenedRun

SORTS: Final = ("doubt", "similar", "unlike", "own", "id", "size")
"""Most doubtful first; most similar first; least similar first; the view's own order; by id; by
size of the smaller picture, the largest first.
"""

JUDGED: Final = ("", "any", "none", "same", "different", "unsure")

_NONE: Final = "\0"
"""In a filter: no split, or no label."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Query:
    """What a page asks of a view; empty: everything."""

    view: str
    split: str = ""
    label: str = ""
    kind: str = ""
    reason: str = ""
    text: str = ""  # in one of the ids
    min_similarity: float = 0.0
    max_similarity: float = 1.0
    min_side: int = 0  # pixels of the longer side of the smaller picture
    max_side: int = 0  # 0: any
    judged: str = ""
    sort: str = ""
    seed: int = 0
    design: str = "random"

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> "Query":
        """From the address of a view; raises `ConfigError` for what cannot be."""
        known = {field.name: field.type for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, text in asked.items():
            if name in known and text != "":
                values[name] = _value(name, text, known[name])

        query = cls(**{"view": "", **values})
        if query.sort not in ("", *SORTS):
            message = f"sort: {query.sort!r}. Allowed: {', '.join(SORTS)}."
            raise ConfigError(message)

        if query.judged not in JUDGED:
            message = f"judged: {query.judged!r}. Allowed: {', '.join(JUDGED[1:])}."
            raise ConfigError(message)

        return query


def chosen(run: OpenedRun, rows: pa.Table, query: Query, verdicts: Any) -> NDArray[np.int64]:
    """Places of the rows that a query asks for, in its order.

    `verdicts`: a function that gives the verdict of each row as an array of words.
    """
    a, b = rows["a"].to_numpy(), rows["b"].to_numpy()
    mask = np.ones(len(rows), bool)
    for name, column in (("split", run.splits), ("label", run.labels)):
        asked = getattr(query, name)
        if asked:
            mask &= _either(column.is_one(None if asked == _NONE else asked), a, b)

    for name in ("kind", "reason"):
        if asked := getattr(query, name):
            mask &= pc.equal(rows[name], asked).fill_null(False).to_numpy()

    if query.text:
        mask &= _with_text(run, rows, query.text, a, b)

    if query.min_similarity > 0 or query.max_similarity < 1:
        similarity = rows["similarity"].to_numpy()
        mask &= (similarity >= np.float32(query.min_similarity)) & (
            similarity <= np.float32(query.max_similarity)
        )

    if query.min_side or query.max_side:
        side = _smaller_side(run, a, b)
        mask &= (side >= query.min_side) & ((side <= query.max_side) | (query.max_side == 0))

    if query.judged:
        words = verdicts(rows)
        wanted = words != "" if query.judged == "any" else words == query.judged
        mask &= words == "" if query.judged == "none" else wanted

    places = np.flatnonzero(mask)

    return places[np.argsort(_order(run, rows, places, query.sort), kind="stable")]


def _value(name: str, text: str, kind: Any) -> Any:
    try:
        return {"float": float, "int": int}.get(getattr(kind, "__name__", str(kind)), str)(text)
    except ValueError:
        message = f"{name}: {text!r} is not a number."
        raise ConfigError(message) from None


def _either(mask: Mask, a: NDArray[np.int64], b: NDArray[np.int64]) -> Mask:
    """Whether one of the two samples is in the mask."""
    if len(mask) == 0:
        return np.zeros(len(a), bool)
    return np.asarray((mask[a] & (a >= 0)) | (mask[b] & (b >= 0)))


def _with_text(
    run: OpenedRun, rows: pa.Table, text: str, a: NDArray[np.int64], b: NDArray[np.int64]
) -> Mask:
    matching = pc.match_substring(run.ids, text, ignore_case=True).to_numpy(zero_copy_only=False)
    of_files = pc.match_substring(rows["detail"], text, ignore_case=True).fill_null(False)
    return np.asarray(_either(matching, a, b) | (of_files.to_numpy() & (a < 0)))


def _smaller_side(run: OpenedRun, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int32]:
    if run.n_samples == 0:
        return np.zeros(len(a), np.int32)
    one, two = np.where(a >= 0, run.sides[a], 0), np.where(b >= 0, run.sides[b], 0)
    return np.asarray(np.where(b >= 0, np.minimum(one, two), one), np.int32)


def _order(
    run: OpenedRun, rows: pa.Table, places: NDArray[np.int64], sort: str
) -> NDArray[np.float64]:
    """A key for each of the chosen rows, the lowest first."""
    taken = rows.take(pa.array(places))
    if sort == "doubt":
        doubt, similarity = _floats(taken["doubt"], -1.0), _floats(taken["similarity"], 1.0)
        return np.asarray(-doubt * 1e3 + similarity)

    if sort in {"similar", "unlike"}:
        similarity = _floats(taken["similarity"], -1.0 if sort == "similar" else 2.0)
        return -similarity if sort == "similar" else similarity

    if sort == "size":
        side = _smaller_side(run, taken["a"].to_numpy(), taken["b"].to_numpy())
        return -side.astype(np.float64)

    if sort == "id":  # samples are numbered by sorted id
        return np.asarray(taken["a"].to_numpy(), np.float64)

    return np.asarray(taken["rank"].to_numpy(), np.float64)


def _floats(column: pa.ChunkedArray, empty: float) -> NDArray[np.float64]:
    return np.asarray(column.fill_null(empty).to_numpy(), np.float64)


def whole(asked: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number that was asked; raises `ConfigError` for what is not a number."""
    return int(number(asked, name, default))


def number(asked: Mapping[str, Any], name: str, default: float) -> float:
    """A number that was asked; raises `ConfigError` for what is not one."""
    text = asked.get(name, default)
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")

    if not abs(value) < 2**53:
        message = f"{name}: {text!r} is not a number."
        raise ConfigError(message)

    return value
