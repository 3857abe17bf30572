"""One pair explained: two pictures are measured and compared as a run would do it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup.comparison.evidence import Comparison, Side, passes
from dedup.config import (
    ALGORITHMS,
    BITS,
    TOTAL,
    HashConfig,
    build,
    resolve,
)
from dedup.decoding.pictures import Unreadable
from dedup.errors import ConfigError, SourceError
from dedup.formats import read_bytes
from dedup.formats.source import encoded
from dedup.hashers import compare_work
from dedup.hashers.close_views import CLOSE_SIDE, COLOUR_SIDE, CloseView
from dedup.hashers.setup import Setup
from dedup.hashers.work import work
from dedup.limited import Content, results, task
from dedup.policy.acceptance import Evidence
from dedup.stages.candidates import candidates
from dedup.tables import BOTH, THUMBNAIL_SIDE, TRANSFORMS, UNFRAMED, code_column
from dedup.verify import similarities
from dedup.verify.closer import colours_differ
from dedup.verify.determinacy import cells
from dedup.verify.second_look import look


def compare(a: str | Path | bytes, b: str | Path | bytes, *, bits: int = 64) -> Comparison:
    """Compare two pictures, given as paths or as encoded bytes, in every way that a run would.

    A file whose header does not show that it costs little is decoded in a process of its own, with
    the limits that a run has by default. Raises `SourceError` when one of them cannot be read.
    """
    if bits not in BITS:
        message = f"bits: got {bits!r}, allowed: {', '.join(map(str, BITS))}."
        raise ConfigError(message)

    given = {"a": a, "b": b}
    names = [_name_of(picture, side) for side, picture in given.items()]
    contents = [
        read_bytes(encoded(str(picture)), None)
        if isinstance(picture, str | Path)
        else bytes(picture)
        for picture in given.values()
    ]

    settings = HashConfig()
    algorithms = tuple(name for name in ALGORITHMS if bits in ALGORITHMS[name])
    turned = TRANSFORMS[1:]
    setup = Setup(algorithms, bits, settings.mode, settings.background, settings.max_pixels, turned)
    table = _measured(names, contents, setup)

    of_a, of_b = table.to_pylist()
    small = np.stack(
        [
            np.frombuffer(row["thumbnail"], np.uint8).reshape(THUMBNAIL_SIDE, -1)
            for row in (of_a, of_b)
        ]
    )
    turns = np.arange(len(TRANSFORMS), dtype=np.uint8)
    alike = similarities(
        small, np.zeros(len(turns), np.int64), np.ones(len(turns), np.int64), turns
    )
    best = 1 + int(np.argmax(alike[1:]))
    similarity = float(alike[0])
    views = [_close_view(row) for row in (of_a, of_b) if row["full_digest"] is not None]
    closer = (views[0], views[1]) if len(views) == 2 else None
    default = resolve(build({"hash": {"bits": bits}}), []).search.max_distance
    unframed, unframed_similarity, unframed_structure = _without_frames(table, bits)

    return Comparison(
        a=_side(names[0], contents[0], of_a, small[0]),
        b=_side(names[1], contents[1], of_b, small[1]),
        mode=settings.mode,
        same_bytes=of_a["file_digest"] == of_b["file_digest"],
        same_class=of_a["pixel_digest"] == of_b["pixel_digest"],
        same_pixels=closer is not None and of_a["full_digest"] == of_b["full_digest"],
        distances={name: _distance(of_a[name], of_b[name]) for name in algorithms},
        bits=bits,
        similarity=similarity,
        structure=float(cells(small).min()),
        close_similarity=look(*closer, similarity) if closer else None,
        colour_differs=_colours_differ(closer) if closer else None,
        unframed=None if unframed is None else UNFRAMED[unframed],
        unframed_similarity=unframed_similarity,
        unframed_structure=unframed_structure,
        unframed_close_similarity=(
            look(*closer, unframed_similarity, views=unframed, thumbnails=small)
            if closer and unframed
            else None
        ),
        best_turn=TRANSFORMS[best],
        turned_distances={
            name: _distance(of_a[name], of_b[code_column(name, TRANSFORMS[best])])
            for name in algorithms
        },
        turned_similarity=float(alike[best]),
        turned_close_similarity=(
            look(*closer, float(alike[best]), transform=best) if closer else None
        ),
        max_distance=default[settings.algorithms[0]],
        max_total_distance=default.get(TOTAL, 0),
    )


def _name_of(picture: object, side: str) -> str:
    """What a picture is called in messages. Raises `ConfigError` for what is neither a path nor the
    bytes of a file.
    """
    if isinstance(picture, str | Path):
        return str(picture)
    if isinstance(picture, bytes | bytearray | memoryview):
        return f"the bytes given as {side}"

    message = f"{side}: got {type(picture).__name__}; give a path or the bytes of a file."
    raise ConfigError(message)


def _measured(names: Sequence[str], contents: Sequence[Content], setup: Setup) -> pa.Table:
    """What `compare_work` finds of the two. Raises `SourceError` for one that cannot be read."""
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, Unreadable):
            message = f"{name}: {content.status}: {content.detail}."
            raise SourceError(message)

    tasks = [task([(None, content)]) for content in contents if isinstance(content, bytes)]
    table = pa.Table.from_batches(results(compare_work.WORK, work(setup), tasks))

    for name, row in zip(names, table.select(["status", "detail"]).to_pylist(), strict=True):
        if row["status"] != "ok":
            message = f"{name}: {row['status']}: {row['detail']}."
            raise SourceError(message)

    return table


def _close_view(row: Mapping[str, Any]) -> CloseView:
    """The view of a picture as `compare_work` sends it."""
    grey = np.frombuffer(row["grey"], np.uint8).reshape(CLOSE_SIDE, CLOSE_SIDE)
    chroma = np.frombuffer(row["chroma"], np.uint8).reshape(COLOUR_SIDE, COLOUR_SIDE, 2)

    return CloseView(row["side"], grey, chroma)


def _without_frames(table: pa.Table, bits: int) -> tuple[int | None, float, float]:
    """Which of the two a run with defaults sees without its frame when they are candidates so.

    With their similarity and structure then.
    """
    config = build({"hash": {"bits": bits}})
    parts = candidates(table, resolve(config, []), limit=config.search.max_candidates, threads=1)
    rows = [row for row in pa.concat_tables(parts).to_pylist() if row["unframed"]]
    if not rows:
        return None, 0.0, 0.0

    def by_thumbnails(row: Mapping[str, Any]) -> bool:
        return passes(Evidence.of_one(row["similarity"], row["structure"], None, BOTH))

    best = max(
        rows, key=lambda row: (row["unframed"] != BOTH or by_thumbnails(row), row["similarity"])
    )

    return int(best["unframed"]), float(best["similarity"]), float(best["structure"] or 0.0)


def _side(
    name: str, content: bytes | Unreadable, row: Mapping[str, Any], small: NDArray[np.uint8]
) -> Side:
    n_bytes = len(content) if isinstance(content, bytes) else 0
    return Side(
        name, n_bytes, row["width"], row["height"], row["format"], row["information"], small
    )


def _colours_differ(views: tuple[CloseView, CloseView]) -> bool:
    chroma = np.stack([view.chroma for view in views])
    return bool(colours_differ(chroma, np.array([0]), np.array([1]), np.zeros(1, np.uint8))[0])


def _distance(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a) ^ int.from_bytes(b)).bit_count()
