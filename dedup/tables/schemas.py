"""The tables that pass between the stages: Arrow schemas in pipeline order, and the words that
stand in them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SCHEMA_VERSION: Final = 1

NAMES: Final = (
    *("manifest", "hashes", "crowds", "candidates", "pairs"),
    *("groups", "leakage", "chains", "decisions", "uncompared"),
)

NAMES_OF_PARTS: Final = ("parts", "placements", "overlaps")
"""Tables of a run with `search.parts`, besides the others."""

BROKEN: Final = ("undecodable", "truncated")
"""Statuses of files that are images by their first bytes and cannot be decoded by anyone."""

NOT_DECODED: Final = ("unsupported", "too_large")
"""Statuses of files that may be good pictures, but are not decoded here."""

ABSENT: Final = "absent"
"""Status of a row without an image: nothing is wrong with it."""

NOT_THERE: Final = ("missing", "not_image", "outside")
"""Statuses of what is never written: no file, a file that is not an image, a file outside the
dataset.
"""

STATUSES: Final = ("ok", *BROKEN, *NOT_DECODED, ABSENT, *NOT_THERE)
KINDS: Final = ("bytes", "pixels", "near", "listed", "crop")
ACTIONS: Final = ("keep", "move", "drop", "unreadable")

TRANSFORMS: Final = (
    "identity",
    "mirror",
    "flip",
    "rotate180",
    "transpose",
    "rotate90",
    "transverse",
    "rotate270",
)
"""The eight orientations; `candidates` stores the position in this tuple, `pairs` the name."""

UNFRAMED: Final = (None, "a", "b", "both")
"""Which of two pictures were compared without their frame, in the order of the numbers in
`candidates.unframed`.
"""

FIRST, SECOND, BOTH = 1, 2, 3

ORIENTATIONS: Final = {"upright": (), "mirrored": ("mirror",), "all": TRANSFORMS[1:]}
"""What `search.orientations` searches besides the identity."""

CANARY: Final = b"dedup.canary"
"""In the metadata of `hashes`: digest of what is measured on the canary pictures where the table
was made.
"""

THUMBNAIL_SIDE: Final = 32  # pixels
DIGEST_BYTES: Final = 32  # BLAKE3

MIN_INFORMATION: Final = 1.0
"""Grey levels. Below it a code is decided by noise, so the picture skips the near-duplicate
join.
"""

MANY_WITHOUT_INFORMATION: Final = 0.05
"""Share of the readable samples above which a run warns that so many skip the join."""

MANIFEST: Final = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("label", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("group", pa.string()),
        pa.field("keep_by", pa.string()),
        pa.field("distinct", pa.string()),
        pa.field("row", pa.string()),
    ]
)


def hashes_schema(code_bytes: Mapping[str, int]) -> pa.Schema:
    """Schema of `hashes`; `code_bytes` gives each algorithm's code in bytes."""
    return pa.schema(
        [
            pa.field("sample", pa.int64(), nullable=False),
            pa.field("status", pa.string(), nullable=False),
            pa.field("detail", pa.string()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("format", pa.string()),
            pa.field("n_frames", pa.int32()),
            pa.field("file_digest", pa.binary(DIGEST_BYTES)),
            pa.field("pixel_digest", pa.binary(DIGEST_BYTES)),
            pa.field("information", pa.float32()),
            pa.field("compression", pa.float32()),
            *(pa.field(name, pa.binary(n_bytes)) for name, n_bytes in code_bytes.items()),
            *([pa.field("pdq_quality", pa.uint8())] if "pdq" in code_bytes else []),
            pa.field("thumbnail", pa.binary(THUMBNAIL_SIDE * THUMBNAIL_SIDE)),
        ]
    )


def code_column(algorithm: str, transform: str = "identity") -> str:
    """Name of the column that holds one algorithm's codes, of the pictures as they stand or turned
    first.
    """
    return algorithm if transform == "identity" else f"{algorithm}_{transform}"


def distance_column(algorithm: str) -> str:
    """Name of the column that holds one algorithm's Hamming distance, in bits."""
    return f"distance_{algorithm}"


def candidates_schema(algorithms: Sequence[str]) -> pa.Schema:
    """Schema of `candidates`: ordinals only, one distance per algorithm."""
    return pa.schema(
        [
            pa.field("a", pa.int64(), nullable=False),
            pa.field("b", pa.int64(), nullable=False),
            pa.field("transform", pa.uint8(), nullable=False),
            *(pa.field(distance_column(name), pa.uint16(), nullable=False) for name in algorithms),
            pa.field("similarity", pa.float32()),
            pa.field("unframed", pa.uint8(), nullable=False),
            pa.field("structure", pa.float32()),
            pa.field("close_similarity", pa.float32()),
            pa.field("colour_differs", pa.bool_()),
            pa.field("better", pa.int8()),
        ]
    )


def not_looked_at(n: int) -> list[pa.Array]:
    """The last columns of `candidates` before structure is measured and a second look is taken:
    null, n times.
    """
    return [
        pa.nulls(n, pa.float32()),
        pa.nulls(n, pa.float32()),
        pa.nulls(n, pa.bool_()),
        pa.nulls(n, pa.int8()),
    ]


def with_column(table: pa.Table, name: str, values: NDArray[np.float32]) -> pa.Table:
    """The table with other values in a column; NaN becomes null."""
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, mask=np.isnan(values)))


def pairs_schema(algorithms: Sequence[str]) -> pa.Schema:
    """Schema of `pairs`: accepted candidates and members of classes of identical pictures."""
    return pa.schema(
        [
            pa.field("a", pa.int64(), nullable=False),
            pa.field("b", pa.int64(), nullable=False),
            pa.field("id_a", pa.string(), nullable=False),
            pa.field("id_b", pa.string(), nullable=False),
            pa.field("split_a", pa.string()),
            pa.field("split_b", pa.string()),
            pa.field("label_a", pa.string()),
            pa.field("label_b", pa.string()),
            pa.field("kind", pa.string(), nullable=False),
            pa.field("transform", pa.string(), nullable=False),
            *(pa.field(distance_column(name), pa.uint16(), nullable=False) for name in algorithms),
            pa.field("similarity", pa.float32()),
            pa.field("false_probability", pa.float32()),
            pa.field("unframed", pa.string()),
            pa.field("close_similarity", pa.float32()),
            pa.field("colour_differs", pa.bool_()),
            pa.field("better", pa.string()),
            pa.field("first_frames_only", pa.bool_(), nullable=False),
            pa.field("label_conflict", pa.bool_(), nullable=False),
        ]
    )


ROLES: Final = ("leader", "member", "rejected", "left_out")
"""In a crowd: who leads it, whom the leader accepts, and whom it rejects.

What is rejected is compared with everything but the members, of whom it meets those that decide
about it; where that would be too much, it is `left_out` of the comparisons with the other rejected
ones too.
"""

CROWDS: Final = pa.schema(
    [
        pa.field("crowd", pa.int64(), nullable=False),
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("leader", pa.int64(), nullable=False),
        pa.field("leader_id", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("similarity", pa.float32()),
    ]
)

UNCOMPARED: Final = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("crowd", pa.int64(), nullable=False),
        pa.field("held_out", pa.int64(), nullable=False),
        pa.field("train", pa.int64(), nullable=False),
    ]
)

GROUPS: Final = pa.schema(
    [
        pa.field("group", pa.int64(), nullable=False),
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("keeper", pa.bool_(), nullable=False),
        pa.field("distance", pa.uint16()),
        pa.field("similarity", pa.float32()),
    ]
)

LEAKAGE: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("label", pa.string()),
        pa.field("witness_id", pa.string(), nullable=False),
        pa.field("witness_split", pa.string()),
        pa.field("witness_label", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("transform", pa.string(), nullable=False),
        pa.field("distance", pa.uint16()),
        pa.field("similarity", pa.float32()),
        pa.field("label_conflict", pa.bool_(), nullable=False),
    ]
)

CHAINS: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("witness_id", pa.string(), nullable=False),
        pa.field("witness_split", pa.string()),
        pa.field("hops", pa.int32(), nullable=False),
        pa.field("similarity", pa.float32()),
        pa.field("path", pa.list_(pa.field("element", pa.string())), nullable=False),
    ]
)

DECISIONS: Final = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("action", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("witness_id", pa.string()),
        pa.field("witness_split", pa.string()),
        pa.field("distance", pa.uint16()),
        pa.field("similarity", pa.float32()),
        pa.field("witness_kept", pa.bool_()),
        pa.field("conflict_id", pa.string()),
        pa.field("new_split", pa.string()),
    ]
)


def places(column: pa.ChunkedArray, wanted: pa.Array) -> pa.Array:
    """The first row of a long column in which each of a few values stands; null where none does.

    `index_in` alone would put the column into a hash table, not the values.

    >>> places(pa.chunked_array([["a", "b"], ["b", None]]), pa.array(["b", "c", "a"])).to_pylist()
    [1, None, 0]
    """
    rows = np.flatnonzero(pc.is_in(column, wanted).to_numpy())
    there = column.take(pa.array(rows, pa.int64())).combine_chunks()
    return pa.array(rows, pa.int64()).take(pc.index_in(wanted, there))


def fixed_width(column: pa.ChunkedArray) -> NDArray[np.uint8]:
    """A fixed-size binary column as uint8, shape (n, width), anything where it is null; not copied
    if in one piece.
    """
    if column.num_chunks == 1:
        array = column.chunk(0)  # `combine_chunks` would copy it
    else:
        array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

    width = column.type.byte_width
    start = array.offset * width

    return np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8)[
        start : start + len(array) * width
    ].reshape(-1, width)


def algorithms_of(table: pa.Table) -> tuple[str, ...]:
    """The algorithms whose distances a candidates or pairs table holds, in column order."""
    prefix = distance_column("")
    return tuple(
        name.removeprefix(prefix) for name in table.column_names if name.startswith(prefix)
    )


PARTS: Final = pa.schema(
    [
        pa.field("sample", pa.int64(), nullable=False),
        pa.field("n_points", pa.int32(), nullable=False),
        pa.field("descriptors", pa.binary(), nullable=False),
        pa.field("places", pa.binary(), nullable=False),
        # of the mirrored picture; 0 if not asked
        pa.field("n_mirrored", pa.int32(), nullable=False),
        pa.field("mirrored_descriptors", pa.binary(), nullable=False),
        pa.field("mirrored_places", pa.binary(), nullable=False),
    ]
)

BOX: Final = pa.list_(pa.field("element", pa.int32(), nullable=False), 4)
"""Left, top, right and bottom of a region, in pixels of the upright picture."""

PLACEMENTS: Final = pa.schema(
    [
        pa.field("a", pa.int64(), nullable=False),
        pa.field("b", pa.int64(), nullable=False),
        pa.field("transform", pa.uint8(), nullable=False),  # the nearest of the eight orientations
        pa.field("matches", pa.int32(), nullable=False),
        pa.field("share_a", pa.float32(), nullable=False),  # of the area that is in the overlap
        pa.field("share_b", pa.float32(), nullable=False),
        pa.field("box_a", BOX, nullable=False),
        pa.field("box_b", BOX, nullable=False),
        pa.field("similarity", pa.float32()),  # null: a picture could not be decoded again
        pa.field("structure", pa.float32()),
        pa.field("close_similarity", pa.float32()),
    ]
)

OVERLAPS: Final = pa.schema(
    [
        pa.field("a", pa.int64(), nullable=False),
        pa.field("b", pa.int64(), nullable=False),
        pa.field("id_a", pa.string(), nullable=False),
        pa.field("id_b", pa.string(), nullable=False),
        pa.field("split_a", pa.string()),
        pa.field("split_b", pa.string()),
        pa.field("label_a", pa.string()),
        pa.field("label_b", pa.string()),
        pa.field("kind", pa.string(), nullable=False),  # crop, overlap or overlay
        pa.field("transform", pa.string(), nullable=False),
        pa.field("share_a", pa.float32(), nullable=False),
        pa.field("share_b", pa.float32(), nullable=False),
        pa.field("box_a", BOX, nullable=False),
        pa.field("box_b", BOX, nullable=False),
        pa.field("similarity", pa.float32()),
        pa.field("close_similarity", pa.float32()),
        pa.field("false_probability", pa.float32()),
    ]
)
