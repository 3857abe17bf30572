"""Which placed regions are the same picture, and what they are called: crops and overlaps."""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import tables
from dedup.config import Resolved
from dedup.policy.acceptance import Evidence, Limits, accepted, false_probability
from dedup.policy.judgements import NOT_JUDGED, Judged

CROP_FROM: Final = 0.5
"""Share of one of two pictures that a crop has more of than this: less is a part, and no copy."""


def evidence_of(placements: pa.Table) -> Evidence:
    """What is known of the regions; none is seen without a frame."""
    whole = np.zeros(len(placements), np.uint8)
    names = ("similarity", "structure", "close_similarity")
    similarity, structure, close = (
        placements[name].fill_null(float("nan")).to_numpy().astype(np.float32) for name in names
    )

    return Evidence(similarity, structure, close, whole)


def same_region(placements: pa.Table, resolved: Resolved) -> NDArray[np.bool_]:
    """For each placement whether the region is accepted as the same picture, by the rule for whole
    ones.

    A region that nobody looked at closely is not: at 32 pixels a part of a picture is too little.
    """
    evidence = evidence_of(placements)
    looked = ~np.isnan(evidence.close)
    return np.asarray(looked & accepted(evidence, Limits.of(resolved.settings())))


def is_crop(placements: pa.Table) -> NDArray[np.bool_]:
    """For each placement whether the region is more than half of one of the pictures."""
    larger = pc.max_element_wise(placements["share_a"], placements["share_b"])
    return np.asarray(pc.greater(larger, pa.scalar(CROP_FROM, pa.float32())).to_numpy())


def with_crops(
    pairs: pa.Table,
    placements: pa.Table,
    hashes: pa.Table,
    manifest: pa.Table,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
) -> pa.Table:
    """The pairs with boxes, null so far, and behind them the crops that are not pairs already;
    sorted. Crops that a person has judged to be none are left out.
    """
    empty = pa.nulls(len(pairs), tables.BOX)
    boxed = pairs.append_column("box_a", empty).append_column("box_b", empty)
    if resolved.parts.crops == "report":
        return boxed

    chosen = same_region(placements, resolved) & is_crop(placements) & ~_among(placements, pairs)
    if judged.allowed:
        chosen &= ~_judged_different(placements, hashes, judged)

    crops = _rows(placements.filter(pa.array(chosen)), hashes, manifest, resolved, boxed.schema)
    together = pa.concat_tables([boxed, crops])
    order = np.lexsort((together["b"].to_numpy(), together["a"].to_numpy()))

    return together.take(pa.array(order)).combine_chunks()


def overlaps(
    placements: pa.Table, pairs: pa.Table, manifest: pa.Table, resolved: Resolved
) -> pa.Table:
    """The accepted regions that are not pairs: parts of pictures, and crops that are only
    reported.
    """
    chosen = same_region(placements, resolved) & ~_among(placements, pairs)
    rows = placements.filter(pa.array(chosen))
    named = manifest.select(["id", "split", "label"])
    of_a, of_b = named.take(rows["a"]), named.take(rows["b"])
    kinds = np.where(is_crop(rows), "crop", "overlap")
    columns = {
        "id_a": of_a["id"],
        "id_b": of_b["id"],
        "split_a": of_a["split"],
        "split_b": of_b["split"],
        "label_a": of_a["label"],
        "label_b": of_b["label"],
        "kind": pa.array(kinds, pa.string()),
        "transform": _names(rows),
        "false_probability": pa.array(false_probability(evidence_of(rows))),
    }
    own = [columns[name] if name in columns else rows[name] for name in tables.OVERLAPS.names]

    return pa.table(own, schema=tables.OVERLAPS).combine_chunks()


def _judged_different(placements: pa.Table, hashes: pa.Table, judged: Judged) -> NDArray[np.bool_]:
    """Whether a person has judged the two pictures of each placement to be no duplicates."""
    sides = [hashes["pixel_digest"].take(placements[side]).to_pylist() for side in ("a", "b")]
    pictures = ((min(one, two), max(one, two)) for one, two in zip(*sides, strict=True))
    return np.fromiter((pair in judged.allowed for pair in pictures), bool, len(placements))


def _among(placements: pa.Table, pairs: pa.Table) -> NDArray[np.bool_]:
    """Whether each placement is of two samples that are a pair."""
    keys = [(table["a"].to_numpy() << 32) | table["b"].to_numpy() for table in (placements, pairs)]
    return np.isin(keys[0], keys[1])


def _names(rows: pa.Table) -> pa.Array:
    return pa.array(tables.TRANSFORMS, pa.string()).take(rows["transform"].combine_chunks())


def _rows(
    rows: pa.Table, hashes: pa.Table, manifest: pa.Table, resolved: Resolved, schema: pa.Schema
) -> pa.Table:
    """Placements as rows of `pairs`."""
    named = manifest.select(["id", "split", "label"])
    of_a, of_b = named.take(rows["a"]), named.take(rows["b"])
    n_frames = [hashes["n_frames"].fill_null(1).take(rows[side]) for side in ("a", "b")]
    several = pc.greater(pc.max_element_wise(*n_frames), 1)
    conflict = pc.not_equal(of_a["label"], of_b["label"]).fill_null(False)
    columns = {
        "id_a": of_a["id"],
        "id_b": of_b["id"],
        "split_a": of_a["split"],
        "split_b": of_b["split"],
        "label_a": of_a["label"],
        "label_b": of_b["label"],
        "kind": pa.repeat("crop", len(rows)),
        "transform": _names(rows),
        "false_probability": pa.array(false_probability(evidence_of(rows))),
        "first_frames_only": several,
        "label_conflict": conflict,
        **{
            tables.distance_column(name): _distances(hashes[name], rows)
            for name in resolved.hash.algorithms
        },
    }
    columns |= {name: rows[name] for name in rows.column_names if name not in columns}
    # What else is known of pairs was measured on whole pictures, and says nothing of a part.
    own = [columns.get(field.name, pa.nulls(len(rows), field.type)) for field in schema]

    return pa.table(own, schema=schema)


def _distances(codes: pa.ChunkedArray, rows: pa.Table) -> pa.Array:
    """Hamming distances of the pictures' own codes, in bits: large, since a crop has another
    code.
    """
    one, two = (tables.fixed_width(codes.take(rows[side])) for side in ("a", "b"))
    differing = np.unpackbits(one ^ two, axis=1).sum(axis=1)
    return pa.array(differing.astype(np.uint16))
