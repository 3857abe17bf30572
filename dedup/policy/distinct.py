"""Rows that share an image and say different things of it: questions, answers, captions."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import Resolved
from dedup.graph import Graph, numbers, representatives
from dedup.tables.drawn import BOXES

DUPLICATE: Final = "duplicate of a kept sample"
"""The reason of a sample that goes because of one that is kept."""

AUTO_MIN_SHARE: Final = 0.1
"""Above this share of rows that share stored bytes with another one and differ, a dataset is one of
texts.

In sets of questions or captions nearly every image has several rows; in a set of images such rows
are mistakes.
"""


@dataclass(frozen=True, slots=True)
class Differing:
    """Rows that share the stored bytes of another row of their split, and differ from it in an
    annotation.
    """

    n_rows: int
    share: float  # of the rows with an image
    columns: tuple[str, ...]  # in which they differ


def differing(manifest: pa.Table, hashes: pa.Table) -> Differing:
    """Count them."""
    n_images = len(hashes) - hashes["file_digest"].null_count
    if n_images == 0 or manifest["distinct"].null_count == len(manifest):
        return Differing(0, 0.0, ())

    place = representatives(hashes["file_digest"]) * (len(manifest) + 1) + numbers(
        manifest["split"]
    )
    key = numbers(manifest["distinct"])
    _, of_place, n_in_place = np.unique(place, return_inverse=True, return_counts=True)
    different = np.unique(np.stack([of_place, key]), axis=1)[0]
    n_different = np.bincount(different, minlength=len(n_in_place))
    rows = np.flatnonzero((n_different > 1)[of_place])

    return Differing(len(rows), len(rows) / n_images, _columns(manifest, rows, of_place[rows]))


def _columns(
    manifest: pa.Table, rows: NDArray[np.int64], places: NDArray[np.int64]
) -> tuple[str, ...]:
    """The columns in which rows of one place differ; a thousand rows tell them."""
    first: dict[int, list[str]] = {}
    found: dict[str, None] = {}
    some = rows[np.argsort(places, kind="stable")][:1000]
    of_row = dict(zip(rows.tolist(), places.tolist(), strict=True))

    for row, text in zip(
        some.tolist(), manifest["distinct"].take(pa.array(some)).to_pylist(), strict=True
    ):
        said = (text or "").split(" ")
        other = first.setdefault(of_row[row], said)
        found |= dict.fromkeys(one.partition("=")[0] for one in {*said} ^ {*other})

    return tuple(sorted(name for name in found if name))


def rule(resolved: Resolved, manifest: pa.Table, hashes: pa.Table) -> str:
    """What `policy.distinct: auto` resolves to, or what is set. Other boxes alone do not make
    another sample.
    """
    if resolved.policy.distinct != "auto":
        return resolved.policy.distinct

    found = differing(manifest, hashes)

    return "row" if found.share > AUTO_MIN_SHARE and found.columns != (BOXES,) else "image"


def by_row(graph: Graph, manifest: pa.Table) -> Graph:
    """The graph in which only samples that say the same of their images match each other.

    Its classes are those of identical pictures, divided by what the rows say. Linear in samples and
    pairs, but for near pairs of classes of which both have many rows.
    """
    key = numbers(manifest["distinct"]) + 1  # nulls say the same
    n, n_keys = graph.n_samples, int(key.max(initial=0)) + 1
    codes, first, of_sample = np.unique(
        graph.class_of * n_keys + key, return_index=True, return_inverse=True
    )
    starts = np.searchsorted(codes, np.arange(n + 1) * n_keys)

    # Each near pair once for every key of its first class, where the second one has that key, too.
    counts = np.diff(starts)[graph.near_a]
    pair = np.repeat(np.arange(len(graph.near_a)), counts)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    source = starts[graph.near_a[pair]] + within
    wanted = graph.near_b[pair] * n_keys + codes[source] % n_keys
    target = np.minimum(np.searchsorted(codes, wanted), max(len(codes) - 1, 0))
    there = codes[target] == wanted if len(codes) else np.zeros(0, bool)

    a, b, row = first[source[there]], first[target[there]], graph.near_row[pair[there]]
    order = np.lexsort((b, a))

    return Graph(
        class_of=first[of_sample].astype(np.int64),
        near_a=a[order],
        near_b=b[order],
        near_row=row[order],
        near_start=np.searchsorted(a[order], np.arange(n + 1)).astype(np.int64),
        distance=graph.distance,
        similarity=graph.similarity,
        # of every sample, as any of them may be a representative here
        n_better=graph.n_better[graph.class_of],
    )


def warnings(
    manifest: pa.Table, hashes: pa.Table, decisions: pa.Table, resolved: Resolved
) -> list[str]:
    """What the rule does about such rows, where there are any."""
    found = differing(manifest, hashes)
    if found.n_rows == 0 or (found.columns == (BOXES,) and resolved.policy.distinct != "row"):
        return []

    columns = ", ".join(map(repr, found.columns))
    rows = (
        f"{found.n_rows:,} rows ({100 * found.share:.1f} %) have the image of another row of their"
        " split, and differ"
    )
    if resolved.policy.distinct == "row":
        message = (
            f"{rows} in {columns}: they are kept. Set policy.distinct: image to keep one row of"
            " each image."
        )
        return [message]

    dropped = _n_dropped(manifest, decisions)
    if dropped == 0:
        return []

    one = dropped == 1
    message = (
        f"{rows} in {columns}. {dropped:,} {'row is' if one else 'rows are'} dropped as"
        f" {'a duplicate' if one else 'duplicates'} though {'it differs' if one else 'they differ'}"
        f" so from the kept one. Set policy.distinct: row to keep {'it' if one else 'them'}."
    )

    return [message]


def _n_dropped(manifest: pa.Table, decisions: pa.Table) -> int:
    """How many duplicates say something else than their witness."""
    dropped = decisions.filter(pc.equal(decisions["reason"], DUPLICATE))
    rows = pa.array(dropped["sample"].to_numpy())
    witnesses = pc.index_in(dropped["witness_id"], manifest["id"].combine_chunks())
    one, other = (manifest["distinct"].take(at).fill_null("") for at in (rows, witnesses))

    return pc.sum(pc.not_equal(one, other)).as_py() or 0
