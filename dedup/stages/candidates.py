"""candidates: representatives of pictures whose codes lie within the searched distance, with their similarity."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved
from dedup.hashers.thumbnail import MIN_INFORMATION
from dedup.search import Progress, join, pack
from dedup.verify import similarities


def candidates(
    hashes: pa.Table, resolved: Resolved, *, limit: int, threads: int, progress: Progress | None = None
) -> pa.Table:
    """Every pair of representatives within the distance of any (or of all) of the algorithms.

    Pictures with the same pixels are searched as one, by their lowest sample. Pictures without information are not
    searched: their codes are decided by noise. Raises `LimitError` when an algorithm alone passes `limit`.
    """
    samples = searched(hashes)
    chosen = hashes.take(pa.array(samples))
    codes = {name: pack(fixed_width(chosen[name])) for name in resolved.algorithms}
    a, b = _joined(codes, resolved, limit, threads, progress)
    columns: dict[str, NDArray[np.generic]] = {"a": samples[a], "b": samples[b]}
    columns["transform"] = np.zeros(len(a), dtype=np.uint8)
    for name in resolved.algorithms:
        columns[tables.distance_column(name)] = _distances(codes[name], a, b)
    similarity = None
    if resolved.method == "pixels":
        similarity = similarities(fixed_width(chosen["thumbnail"]), a, b, threads=threads)
    schema = tables.candidates_schema(resolved.algorithms)
    arrays = [
        *map(pa.array, columns.values()),
        pa.nulls(len(a), pa.float32()) if similarity is None else similarity,
    ]
    return pa.table(arrays, schema=schema)


def searched(hashes: pa.Table) -> NDArray[np.int64]:
    """Samples that enter the join: the lowest of each class of identical pictures, if it carries information."""
    informed = pc.greater_equal(hashes["information"], MIN_INFORMATION).fill_null(False).to_numpy()  # noqa: FBT003
    first = graph.representatives(hashes["pixel_digest"]) == np.arange(len(hashes))
    return np.flatnonzero(informed & first).astype(np.int64)


def fixed_width(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """A fixed-size binary column without nulls as uint8, shape (n, width), without a copy."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], column.type)
    width = column.type.byte_width
    start = array.offset * width
    return np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8)[start : start + len(array) * width].reshape(
        -1, width
    )


def _joined(
    codes: dict[str, NDArray[np.uint64]],
    resolved: Resolved,
    limit: int,
    threads: int,
    progress: Progress | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions (a, b) of the pairs, sorted, each once."""
    n = len(next(iter(codes.values())))
    every: list[NDArray[np.int64]] = []
    for turn, (name, words) in enumerate(codes.items()):
        report = None
        if progress is not None:
            # The loop variables are bound now: the call comes later, from inside the join.
            def report(share: float, turn: int = turn) -> None:
                progress((turn + share) / len(codes))

        found = join(words, max_distance=resolved.max_distance[name], limit=limit, threads=threads, progress=report)
        every.append(found.a * n + found.b)
    keys, counts = np.unique(np.concatenate(every), return_counts=True)
    if resolved.combine == "all":
        keys = keys[counts == len(codes)]
    return keys // max(n, 1), keys % max(n, 1)


def _distances(codes: NDArray[np.uint64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.uint16]:
    out = np.zeros(len(a), dtype=np.uint16)
    for word in range(codes.shape[1]):
        out += np.bitwise_count(codes[a, word] ^ codes[b, word])
    return out
