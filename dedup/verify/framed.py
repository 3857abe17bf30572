"""candidates, the part that frames hide: pictures with a frame, searched by the code of what is
inside it.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.search import join_hashes_batches, with_total
from dedup.verify.determinacy import Structure
from dedup.verify.similarity import INVERSES, verified
from dedup.verify.views import Views


def framed_candidates(
    codes: Mapping[str, NDArray[np.uint64]],
    samples: NDArray[np.int64],
    thumbnails: NDArray[np.uint8],
    views: Views,
    resolved: Resolved,
    *,
    limit: int,
    threads: int,
) -> pa.Table:
    """Pairs of samples of which one or both are seen without their frame; sorted by (a, b,
    unframed), each once.

    The views are joined with everything: pictures as they stand, and other views. Raises
    `LimitError`.
    """
    parts = []
    for turn in (
        ("identity", *tables.ORIENTATIONS[resolved.search.orientations]) if len(views.of) else ()
    ):
        left = [views.codes[tables.code_column(name, turn)] for name in resolved.hash.algorithms]
        right = [
            np.concatenate([codes[name], views.codes[name]]) for name in resolved.hash.algorithms
        ]
        left, distance = with_total(left, resolved.hash.algorithms, resolved.search.max_distance)
        right, _ = with_total(right, resolved.hash.algorithms, resolved.search.max_distance)
        for found in join_hashes_batches(
            left,
            right,
            max_distance=distance,
            combine=resolved.search.combine,
            limit=limit,
            threads=threads,
        ):
            distances = found.distances[: len(resolved.hash.algorithms)]
            part = _rows(
                found.a, found.b, distances, tables.TRANSFORMS.index(turn), samples, views, resolved
            )
            parts.append(part)

    schema = tables.candidates_schema(resolved.hash.algorithms)
    rows = _nearest(pa.concat_tables([schema.empty_table(), *parts]), resolved)

    return _verified(rows, samples, thumbnails, views, threads)


def merged(standing: Iterator[pa.Table], inside: pa.Table) -> Iterator[pa.Table]:
    """Both in one order: by (a, b, unframed)."""
    keys = _keys(inside)
    done = 0
    for part in standing:
        if len(part) == 0:
            continue
        until = int(np.searchsorted(keys, _keys(part.slice(len(part) - 1))[0], side="right"))
        yield (
            _in_order(pa.concat_tables([part, inside.slice(done, until - done)]))
            if until > done
            else part
        )
        done = until

    if done < len(inside):
        yield inside.slice(done)


def _rows(
    of_view: NDArray[np.int64],
    other: NDArray[np.int64],
    distances: tuple[NDArray[np.uint16], ...],
    turn: int,
    samples: NDArray[np.int64],
    views: Views,
    resolved: Resolved,
) -> pa.Table:
    """Matches of a view, turned, with a picture or (behind the pictures) another view, as rows of
    `candidates`.
    """
    n = len(samples)
    is_view = other >= n
    place = np.where(is_view, views.of[np.maximum(other - n, 0)], other)
    one, two = samples[place], samples[views.of[of_view]]  # the turned one is the second
    swapped = one > two
    a, b = np.where(swapped, two, one), np.where(swapped, one, two)
    transform = np.where(swapped, INVERSES[turn], turn).astype(np.uint8)
    unframed = np.where(
        is_view, tables.BOTH, np.where(swapped, tables.FIRST, tables.SECOND)
    ).astype(np.uint8)
    keep = a != b
    arrays = [a, b, transform, *distances, np.zeros(len(a), np.float32), unframed]
    columns = [*(array[keep] for array in arrays), *tables.not_looked_at(int(keep.sum()))]

    return pa.table(columns, schema=tables.candidates_schema(resolved.hash.algorithms))


def _nearest(rows: pa.Table, resolved: Resolved) -> pa.Table:
    """Of rows with the same (a, b, unframed) the one with the smallest distance, under the first
    transform.
    """
    columns = [rows[tables.distance_column(name)].to_numpy() for name in resolved.hash.algorithms]
    a, b, unframed, transform = (
        rows[name].to_numpy() for name in ("a", "b", "unframed", "transform")
    )
    order = np.lexsort((*columns, transform, np.minimum.reduce(columns), unframed, b, a))
    a, b, unframed = a[order], b[order], unframed[order]
    first = np.ones(len(order), bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1]) | (unframed[1:] != unframed[:-1])

    return rows.take(pa.array(order[first]))


def _verified(
    rows: pa.Table,
    samples: NDArray[np.int64],
    thumbnails: NDArray[np.uint8],
    views: Views,
    threads: int,
) -> pa.Table:
    view_of = np.full(len(thumbnails), -1, np.int64)
    view_of[samples[views.of]] = len(thumbnails) + np.arange(len(views.of))
    a, b, unframed = (rows[name].to_numpy() for name in ("a", "b", "unframed"))
    one = np.where((unframed == tables.FIRST) | (unframed == tables.BOTH), view_of[a], a)
    two = np.where((unframed == tables.SECOND) | (unframed == tables.BOTH), view_of[b], b)
    found = verified(
        thumbnails, one, two, rows["transform"].to_numpy(), others=views.thumbnails, threads=threads
    ).similarity
    small = (
        thumbnails.reshape(-1, tables.THUMBNAIL_SIDE**2),
        views.thumbnails.reshape(-1, tables.THUMBNAIL_SIDE**2),
    )
    cells = _structure(*small, one, two, found, threads)

    return tables.with_column(tables.with_column(rows, "similarity", found), "structure", cells)


def _structure(
    thumbnails: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    one: NDArray[np.int64],
    two: NDArray[np.int64],
    similarity: NDArray[np.float32],
    threads: int,
) -> NDArray[np.float32]:
    """Structure of pairs of which the second or both are places behind the thumbnails; only these
    are copied.
    """
    used, places = np.unique(np.concatenate([one, two]), return_inverse=True)
    n = len(thumbnails)
    standing = thumbnails[used[used < n]]
    of_used = Structure(np.concatenate([standing, inside[used[used >= n] - n]]), threads=threads)

    return of_used.of(places[: len(one)], places[len(one) :], similarity)


def _keys(rows: pa.Table) -> NDArray[np.uint64]:
    a, b = (rows[name].to_numpy().astype(np.uint64) for name in ("a", "b"))
    keys: NDArray[np.uint64] = (a << np.uint64(32)) | b
    return keys


def _in_order(rows: pa.Table) -> pa.Table:
    a, b, unframed = (rows[name].to_numpy() for name in ("a", "b", "unframed"))
    return rows.take(pa.array(np.lexsort((unframed, b, a))))
