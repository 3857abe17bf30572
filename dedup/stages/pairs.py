"""pairs: the accepted candidates, and every member of a class of identical pictures with its
representative.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved
from dedup.policy.acceptance import Evidence, accepts, false_probability
from dedup.policy.doubts import DOUBT
from dedup.policy.judgements import NOT_JUDGED, Judged, Pair

VERIFIED: Final = "verified"
"""Column of `pairs` beside those that are always there, where a bank took part: second_look,
thumbnails or signs.
"""


def pairs(
    candidates: Iterable[pa.Table],
    hashes: pa.Table,
    manifest: pa.Table,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
) -> pa.Table:
    """Pairs sorted by (a, b), each once, from candidates in parts, one at least.

    Identical pictures are paired by the digest of their pixels, never by equal codes: of kind
    `bytes` when the files are equal too, else `pixels`. Two unreadable samples are never a pair.
    Near pairs that a person has judged to be no duplicates are left out; those judged to be some
    are there, of kind `listed` where the thresholds do not say so.
    """
    first_of = graph.representatives(hashes["pixel_digest"])
    near = pa.concat_tables(part.filter(pa.array(accepts(part, resolved))) for part in candidates)
    near, n_near = _judged(_best_views(near), hashes, first_of, resolved, judged)
    members, first = _identical(first_of)
    kinds = _kinds(hashes, n_near, len(near) - n_near, members, first)
    a = np.concatenate([near["a"].to_numpy(), first])
    b = np.concatenate([near["b"].to_numpy(), members])

    columns = {
        "a": a,
        "b": b,
        **_named(manifest, a, b),
        "kind": kinds,
        **_compared(near, n_near, len(members), resolved),
        "first_frames_only": _first_frames_only(hashes, a, b, len(near)),
    }
    columns["label_conflict"] = pc.not_equal(columns["label_a"], columns["label_b"]).fill_null(
        False
    )
    schema = tables.pairs_schema(resolved.hash.algorithms)
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    if DOUBT in near.column_names:
        table = table.append_column(VERIFIED, _verified(near, len(members)))

    return table.take(pa.array(np.lexsort((b, a)))).combine_chunks()


def _kinds(
    hashes: pa.Table,
    n_near: int,
    n_listed: int,
    members: NDArray[np.int64],
    first: NDArray[np.int64],
) -> pa.ChunkedArray:
    """Of near pairs, of those that a person lists, and of identical pictures."""
    same_file = pc.equal(
        hashes["file_digest"].take(pa.array(members)), hashes["file_digest"].take(pa.array(first))
    )
    same_kind = pc.if_else(same_file, "bytes", "pixels").combine_chunks().cast(pa.string())

    return pa.chunked_array(
        [pa.repeat("near", n_near), pa.repeat("listed", n_listed), same_kind], pa.string()
    )


def _named(manifest: pa.Table, a: NDArray[np.int64], b: NDArray[np.int64]) -> dict[str, Any]:
    """Id, split and label of both."""
    named = manifest.select(["id", "split", "label"])
    sides = {"a": named.take(pa.array(a)), "b": named.take(pa.array(b))}

    return {f"{name}_{side}": sides[side][name] for name in named.column_names for side in sides}


def _compared(near: pa.Table, n_near: int, n_same: int, resolved: Resolved) -> dict[str, Any]:
    """What comparing has shown: of near and listed pairs, and behind them of identical pictures."""
    turns = np.concatenate([near["transform"].to_numpy(), np.zeros(n_same, np.uint8)])
    views = np.concatenate([near["unframed"].to_numpy(), np.zeros(n_same, np.uint8)])
    transforms = pa.array(tables.TRANSFORMS, pa.string()).take(pa.array(turns))
    distances = {
        tables.distance_column(name): np.concatenate(
            [near[tables.distance_column(name)].to_numpy(), np.zeros(n_same, np.uint16)]
        )
        for name in resolved.hash.algorithms
    }
    similarity = np.concatenate(
        [near["similarity"].to_numpy(), np.ones(n_same, np.float32)]
    ).astype(np.float32)
    doubt = _doubt(near, n_near, n_same, resolved)

    return {
        "transform": transforms,
        **distances,
        "similarity": pa.array(similarity, mask=np.isnan(similarity)),
        "false_probability": pa.array(doubt, mask=np.isnan(doubt)),
        "unframed": pa.array(tables.UNFRAMED, pa.string()).take(pa.array(views)),
        "close_similarity": pa.chunked_array(
            [*near["close_similarity"].chunks, pa.nulls(n_same, pa.float32())]
        ),
        "colour_differs": pa.chunked_array(
            [*near["colour_differs"].chunks, pa.nulls(n_same, pa.bool_())]
        ),
        "better": pa.chunked_array(
            [_names_of_better(near["better"]), pa.nulls(n_same, pa.string())]
        ),
    }


def _verified(near: pa.Table, n_same: int) -> pa.ChunkedArray:
    """By what each pair was verified: null for identical pictures, those that a person lists, and
    bare thresholds.
    """
    looked = near["close_similarity"].is_valid()
    by_signs = near[DOUBT].is_valid()
    alone = pc.if_else(
        by_signs, "signs", pc.if_else(near["similarity"].is_valid(), "thumbnails", None)
    )
    words = pc.if_else(looked, "second_look", alone).cast(pa.string())

    return pa.chunked_array([*words.chunks, pa.nulls(n_same, pa.string())], pa.string())


def _names_of_better(better: pa.ChunkedArray) -> pa.Array:
    """`a` for 1, `b` for -1, null where neither is the better picture or nobody has looked."""
    number = better.combine_chunks().fill_null(0)

    return pa.array(["b", None, "a"], pa.string()).take(pc.add(number.cast(pa.int64()), 1))


def _doubt(near: pa.Table, n_near: int, n_same: int, resolved: Resolved) -> NDArray[np.float32]:
    """Of near pairs by the rule; 0 of those that a person lists, behind them, and of identical
    pictures.
    """
    if resolved.verify.method == "none":
        by_rule = np.full(n_near, np.nan, np.float32)
    else:
        by_rule = false_probability(Evidence.of(near.slice(0, n_near)))
        if DOUBT in near.column_names:
            by_signs = near[DOUBT].slice(0, n_near).to_numpy()
            by_rule = np.where(np.isnan(by_signs), by_rule, by_signs).astype(np.float32)
    return np.concatenate([by_rule, np.zeros(len(near) - n_near + n_same, np.float32)])


def _first_frames_only(
    hashes: pa.Table, a: NDArray[np.int64], b: NDArray[np.int64], n_near: int
) -> NDArray[np.bool_]:
    """Whether only the first frames of a pair were compared: identical pictures, behind `n_near`,
    agree in all.
    """
    n_frames = hashes["n_frames"].fill_null(1).to_numpy()

    return np.asarray((np.maximum(n_frames[a], n_frames[b]) > 1) & (np.arange(len(a)) < n_near))


def _best_views(near: pa.Table) -> pa.Table:
    """Each pair once: as it is most similar, with frames if that is the same. In any order of the
    candidates.
    """
    a, b = near["a"].to_numpy(), near["b"].to_numpy()
    ascending = (a[1:] > a[:-1]) | ((a[1:] == a[:-1]) & (b[1:] > b[:-1]))
    if ascending.all():  # then each pair is there once, and a long table need not be sorted
        return near

    order = np.lexsort((near["unframed"].to_numpy(), -near["similarity"].to_numpy(), b, a))
    first = np.ones(len(order), bool)
    first[1:] = (a[order][1:] != a[order][:-1]) | (b[order][1:] != b[order][:-1])

    return near.take(pa.array(order[first]))


def _judged(
    near: pa.Table,
    hashes: pa.Table,
    first_of: NDArray[np.int64],
    resolved: Resolved,
    judged: Judged,
) -> tuple[pa.Table, int]:
    """The near pairs that nobody allows, behind them those that somebody lists; and how many are
    near.
    """
    if not judged.allowed and not judged.denied:
        return near, len(near)

    there = set(zip(near["a"].to_pylist(), near["b"].to_pylist(), strict=True))
    allowed, denied = (
        _samples(pairs, hashes, first_of) for pairs in (judged.allowed, judged.denied)
    )
    if gone := allowed & there:
        keys = zip(near["a"].to_pylist(), near["b"].to_pylist(), strict=True)
        near = near.filter(pa.array([key not in gone for key in keys], pa.bool_()))

    listed = sorted(pair for pair in denied - there if pair[0] != pair[1])
    a, b = (pa.array([pair[side] for pair in listed], pa.int64()) for side in (0, 1))
    distances = [
        _distances(hashes[name].take(a), hashes[name].take(b)) for name in resolved.hash.algorithms
    ]
    columns = [
        a,
        b,
        pa.array([0] * len(listed), pa.uint8()),
        *distances,
        pa.nulls(len(listed), pa.float32()),
    ]
    columns += [pa.array([0] * len(listed), pa.uint8()), *tables.not_looked_at(len(listed))]
    columns += [pa.nulls(len(listed), field.type) for field in near.schema if field.name == DOUBT]

    return pa.concat_tables([near, pa.table(columns, schema=near.schema)]), len(near)


def _samples(
    pairs: Iterable[Pair], hashes: pa.Table, first_of: NDArray[np.int64]
) -> set[tuple[int, int]]:
    """The representatives of pairs of pictures, the lower first; of those pictures that are
    there.
    """
    digests = sorted({digest for pair in pairs for digest in pair})
    places = tables.places(hashes["pixel_digest"], pa.array(digests, hashes["pixel_digest"].type))
    first = {
        d: int(first_of[at])
        for d, at in zip(digests, places.to_pylist(), strict=True)
        if at is not None
    }

    return {
        (min(first[p], first[q]), max(first[p], first[q]))
        for p, q in pairs
        if p in first and q in first
    }


def _distances(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
    """Hamming distances of codes, in bits: few, as people list few pairs."""
    bits = [
        (int.from_bytes(x) ^ int.from_bytes(y)).bit_count()
        for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True)
    ]
    return pa.array(bits, pa.uint16())


def _identical(first: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Members of classes of identical pictures that are not their class's first, and those
    firsts.
    """
    members = np.flatnonzero(first != np.arange(len(first))).astype(np.int64)
    return members, first[members]
