"""The views of a run: each a table of rows to look at, in the same columns."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dedup import tables
from dedup.policy.precision import drawn
from dedup.reporting.leaks import worst_first
from dedup.review.opened import OpenedRun, Samples, pair_keys, strings

ROWS: Final = pa.schema(
    [
        ("a", pa.int64()),  # -1: the row is about a file, not a sample
        ("b", pa.int64()),  # -1: about one sample
        ("kind", pa.string()),
        ("transform", pa.string()),
        ("similarity", pa.float32()),
        ("doubt", pa.float32()),  # false_probability
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("conflict", pa.bool_()),
        ("group", pa.int64()),
        ("size", pa.int64()),  # of the group
        ("rank", pa.int64()),  # the view's own order
    ]
)

MAX_REJECTED: Final = 20_000
"""Rejected candidates that are shown, those nearest to the limit: nobody looks at more."""

_OF_PAIRS: Final = (
    *("a", "b", "kind", "transform", "similarity", "false_probability", "label_conflict"),
)


def pairs(run: OpenedRun) -> pa.Table:
    """All accepted pairs."""
    found = run.read("pairs", _OF_PAIRS)
    return rows_of(
        found["a"].to_numpy(),
        found["b"].to_numpy(),
        kind=found["kind"],
        transform=found["transform"],
        similarity=found["similarity"],
        doubt=found["false_probability"],
        conflict=found["label_conflict"],
    )


def leaks(run: OpenedRun) -> pa.Table:
    """The train side first; in its own order what is worst: another label, the same file."""
    columns = ["id", "witness_id", "kind", "transform", "distance", "similarity", "label_conflict"]
    found = run.read("leakage", columns)
    a, b = (_samples(run, found[name]) for name in ("id", "witness_id"))
    rank = np.empty(len(found), np.int64)
    rank[worst_first(found)] = np.arange(len(found))

    return _with_doubt(
        run,
        rows_of(
            a,
            b,
            kind=found["kind"],
            transform=found["transform"],
            similarity=found["similarity"],
            conflict=found["label_conflict"],
            rank=rank,
        ),
    )


def conflicts(run: OpenedRun) -> pa.Table:
    """Pairs of the same picture under different labels."""
    every = pairs(run)
    return every.filter(every["conflict"].fill_null(False))


def groups(run: OpenedRun) -> pa.Table:
    """Each member with its keeper; in their own order the largest group first."""
    found = run.read("groups", ["group", "sample", "keeper", "similarity"])
    number, sample = found["group"].to_numpy(), found["sample"].to_numpy()
    is_keeper = found["keeper"].to_numpy()
    sizes = np.bincount(number) if len(number) else np.zeros(0, np.int64)
    keeper = np.zeros(len(sizes), np.int64)
    keeper[number[is_keeper]] = sample[is_keeper]
    a, b, of = keeper[number[~is_keeper]], sample[~is_keeper], number[~is_keeper]
    rank = np.empty(len(of), np.int64)
    rank[np.lexsort((b, of, -sizes[of]))] = np.arange(len(of))
    found = found.filter(pa.array(~is_keeper))
    rows = rows_of(a, b, similarity=found["similarity"], group=of, size=sizes[of], rank=rank)

    return _with_doubt(run, rows)


def dropped(run: OpenedRun) -> pa.Table:
    """What does not stay where it was, with the reason and the witness."""
    columns = ["sample", "action", "reason", "witness_id", "similarity"]
    found = run.read(
        "decisions", columns, ["action", "reason"], where=[("action", "in", ["drop", "move"])]
    )
    witness = _samples(run, found["witness_id"])
    rows = rows_of(
        found["sample"].to_numpy(),
        witness,
        similarity=found["similarity"],
        reason=found["reason"].cast(pa.string()),
    )

    return _with_doubt(run, rows)


def unreadable(run: OpenedRun) -> pa.Table:
    """Samples that could not be decoded, and why."""
    found = run.read(
        "hashes", ["sample", "status", "detail"], ["status"], where=[("status", "!=", "ok")]
    )
    sample = found["sample"].to_numpy()
    nobody = np.full(len(sample), -1)

    return rows_of(sample, nobody, reason=found["status"].cast(pa.string()), detail=found["detail"])


def not_read(run: OpenedRun) -> pa.Table:
    """Files of the dataset's folder that are not part of it."""
    if not run.has("not_read"):
        return ROWS.empty_table()

    found = run.read("not_read", ["path", "reason"])
    nobody = np.full(len(found), -1)

    return rows_of(nobody, nobody, reason=found["reason"], detail=found["path"])


def sample(run: OpenedRun, population: pa.Table, design: str, seed: int) -> pa.Table:
    """The random sample, in random order."""
    chosen, _, strata = drawn(population, run.pixels, design=design, seed=seed)
    found = population.take(pa.array(chosen))

    return rows_of(
        found["a"].to_numpy(),
        found["b"].to_numpy(),
        kind=found["kind"],
        transform=found["transform"],
        similarity=found["similarity"],
        doubt=found["false_probability"],
        conflict=found["label_conflict"],
        group=strata if design != "random" else None,
    )


VIEWS: Final[Mapping[str, tuple[str, Callable[[OpenedRun], pa.Table], str]]] = {
    "leaks": ("Leaks", leaks, "doubt"),
    "pairs": ("Pairs", pairs, "doubt"),
    "conflicts": ("Label conflicts", conflicts, "doubt"),
    "groups": ("Groups", groups, "own"),
    "dropped": ("Dropped", dropped, "doubt"),
    "unreadable": ("Unreadable", unreadable, "own"),
    "not_read": ("Not read", not_read, "own"),
}
"""Views of stored tables: heading, how its rows are made, and by what they are sorted at first."""


def n_rows(run: OpenedRun, name: str) -> int | None:
    """Rows of a view where that is known without making it."""
    summary = run.summary
    if name == "pairs":
        return sum(map(int, summary["pairs"]["by_kind"].values()))
    if name == "conflicts":
        return int(summary["pairs"]["label_conflicts"])
    if name == "dropped":
        return int(summary["decisions"]["drop"] + summary["decisions"].get("move", 0))
    if name == "unreadable":
        return int(summary["samples"]["total"] - summary["samples"]["readable"])

    if name in {"leaks", "not_read"} and run.has("leakage"):
        table = "leakage" if name == "leaks" else name
        return _n_stored(run, table)

    return None


def _n_stored(run: OpenedRun, name: str) -> int | None:
    path = run.folder / f"{name}.parquet"
    if not path.is_file():
        return None

    n_rows: int = pq.read_metadata(path).num_rows

    return n_rows


def rows_of(a: Samples, b: Samples, **columns: Any) -> pa.Table:
    """A table of ROWS; what is not given is null, and the rank is the order given."""
    n = len(a)
    given = {"a": a, "b": b, "rank": np.arange(n), **columns}
    arrays = []

    for field in ROWS:
        values = given.get(field.name)
        if values is None:
            arrays.append(pa.nulls(n, field.type))
        elif isinstance(values, pa.ChunkedArray):
            arrays.append(values.cast(field.type))
        else:
            arrays.append(pa.array(values).cast(field.type))

    return pa.table(arrays, schema=ROWS).combine_chunks()


def _samples(run: OpenedRun, ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """The samples with these ids; -1 for null."""
    asked = ids.combine_chunks()
    distinct = pc.unique(asked).drop_null()
    places = tables.places(pa.chunked_array([run.ids]), distinct)
    found = places.take(pc.index_in(asked, distinct))

    return np.asarray(found.fill_null(-1).to_numpy(), np.int64)


def _with_doubt(run: OpenedRun, rows: pa.Table) -> pa.Table:
    """The rows with what `pairs` has of the same two samples; of identical pictures there is
    nothing to doubt, even where they are not a row there.
    """
    known = run.read("pairs", _OF_PAIRS)
    n = run.n_samples
    keys = pair_keys(known["a"].to_numpy(), known["b"].to_numpy(), n)
    asked = pair_keys(rows["a"].to_numpy(), rows["b"].to_numpy(), n)
    order = np.argsort(keys, kind="stable")
    places = np.searchsorted(keys[order], asked)
    places = np.minimum(places, max(len(keys) - 1, 0))
    there = (keys[order][places] == asked) if len(keys) else np.zeros(len(asked), bool)
    chosen = pa.array(np.where(there, order[places] if len(keys) else 0, 0), mask=~there)

    for name, source in (
        ("doubt", "false_probability"),
        ("kind", "kind"),
        ("transform", "transform"),
        ("conflict", "label_conflict"),
    ):
        values = pc.coalesce(rows[name], known[source].take(chosen).cast(ROWS.field(name).type))
        at = ROWS.get_field_index(name)
        rows = rows.set_column(at, ROWS.field(at), values)

    return _identical(run, rows)


def _identical(run: OpenedRun, rows: pa.Table) -> pa.Table:
    """Rows without a kind whose two pictures have the same pixels."""
    unknown = np.flatnonzero(rows["kind"].is_null().to_numpy())
    b = rows["b"].to_numpy()[unknown]
    unknown, b = unknown[b >= 0], b[b >= 0]
    if len(unknown) == 0:
        return rows

    a = rows["a"].to_numpy()[unknown]
    same = pc.equal(run.pixels.take(pa.array(a)), run.pixels.take(pa.array(b)))
    kinds = rows["kind"].to_pylist()
    doubts = rows["doubt"].to_pylist()
    for place, is_same in zip(unknown.tolist(), same.to_pylist(), strict=True):
        if is_same:
            kinds[place], doubts[place] = "pixels", 0.0

    rows = rows.set_column(ROWS.get_field_index("kind"), ROWS.field("kind"), strings(kinds))
    column = pa.array(doubts, pa.float32())

    return rows.set_column(ROWS.get_field_index("doubt"), ROWS.field("doubt"), column)
