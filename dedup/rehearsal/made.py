"""Parts of a run over made pictures, so that the kernels for it are compiled."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from dedup import tables
from dedup.config import Config, Resolved, resolve
from dedup.hashers.close_views import CLOSE_SIDE
from dedup.hashers.quality import quality
from dedup.search import join_hashes_batches, pack
from dedup.stages.candidates import candidates
from dedup.stages.radius import radius
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify import verified
from dedup.verify.additions import Seen
from dedup.verify.closer import close_similarities
from dedup.verify.determinacy import cells
from dedup.verify.frames import without_frames
from dedup.verify.rims import without_rims
from dedup.verify.views import within_frames

# so many that the search is planned, and not every code compared with every other
_PICTURES: Final = 6_000
_COPIED: Final = 8  # of them, so that there are pairs
# of the copies, the first: their codes differ in a bit, those of the others in none
_NEAR: Final = 4
_FRAME: Final = 3  # pixels of the first one's thumbnail
_BUDGET: Final = 20_000  # candidates


def rehearse(part: str, config: Config) -> None:
    """Do one part of a run with these settings on made pictures."""
    resolved = _resolved(config)
    random = np.random.default_rng(0)
    if part == "hashing":
        _hash(config)
        return

    large = [_picture(random) for _ in range(_COPIED)]
    hashes = _hashes(resolved, large, random)
    if part == "search":
        _search_all(hashes, resolved)
    else:
        _verify(hashes, np.stack(large), resolved)


def _resolved(config: Config) -> Resolved:
    """What decides which kernels there are."""
    resolved = resolve(Config(hash=config.hash, search=config.search, verify=config.verify), ())
    return resolved.but(max_candidates=_BUDGET)


def _search_all(hashes: pa.Table, resolved: Resolved) -> None:
    unverified = resolved.but(method="none")
    _search(hashes, unverified)
    _search(hashes.slice(0, _PICTURES + _NEAR), unverified)  # where no two codes are equal
    if resolved.verify.method != "none":
        _search_views(hashes, resolved)


def _search_views(hashes: pa.Table, resolved: Resolved) -> None:
    """Search what is within frames among all pictures."""
    thumbnails, samples = tables.fixed_width(hashes["thumbnail"]), np.arange(len(hashes))
    views = within_frames(
        thumbnails, samples, resolved.hash.algorithms, resolved.hash.bits, ("identity",)
    )
    if len(views.of):  # none are made of codes with more bits than a thumbnail has detail for
        left = [views.codes[name] for name in resolved.hash.algorithms]
        right = [pack(tables.fixed_width(hashes[name])) for name in resolved.hash.algorithms]
        at, limit = [0] * len(left), 100 * _BUDGET
        list(
            join_hashes_batches(
                left,
                right,
                max_distance=at,
                combine=resolved.search.combine,
                limit=limit,
                threads=1,
            )
        )

    without_frames(np.zeros((1, CLOSE_SIDE, CLOSE_SIDE), np.uint8), np.full((1, 4), float(_FRAME)))


def _verify(hashes: pa.Table, large: NDArray[np.uint8], resolved: Resolved) -> None:
    """Compare pictures as a run does: upright, turned, as Arrow has the turns, and with others."""
    thumbnails = tables.fixed_width(hashes["thumbnail"])
    one, two, turns = np.arange(1), np.arange(1, 2), np.zeros(1, np.uint8)
    read_only = pa.array(turns).to_numpy()
    others = thumbnails[:1].reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE).copy()
    for asked in (None, turns, read_only):
        verified(thumbnails, one, two, asked, others=others)

    first = thumbnails[:1].reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    without_rims(first)
    cells(first, np.zeros(1, np.int64))

    if resolved.verify.second_look:
        close_similarities(large, one, two, turns)
        quality(Image.fromarray(large[0]))
        Seen.of(large[:1])
        # A comparison of strangers ends early: one with a shifted copy goes on to its end.
        copies = np.stack([large[0], np.roll(large[0], 1, axis=1)])
        close_similarities(copies, one, two, turns)


def _hash(config: Config) -> None:
    """Hash what every run hashes first: pictures of each form, small and large, grey and in
    colours.
    """
    from dedup.hashers.canaries import canary  # the decoders, of which the other parts have no use
    from dedup.hashers.setup import Setup

    canary(Setup.of(config))


def _search(hashes: pa.Table, resolved: Resolved) -> None:
    resolved = resolved.but(max_distance=radius(hashes, resolved, threads=1))
    list(candidates(hashes, resolved, limit=100 * _BUDGET, threads=1))


def _picture(random: np.random.Generator) -> NDArray[np.uint8]:
    """Soft blots, (128, 128)."""
    blots = Image.fromarray(random.integers(0, 256, (8, 8), np.uint8))
    return np.asarray(blots.resize((CLOSE_SIDE, CLOSE_SIDE), Image.Resampling.BICUBIC))


def _hashes(
    resolved: Resolved, large: Sequence[NDArray[np.uint8]], random: np.random.Generator
) -> pa.Table:
    """What `hashes` has for the search: codes at random; the last samples are copies of the
    first.
    """
    n, side = _PICTURES + _COPIED, THUMBNAIL_SIDE
    small = [
        Image.fromarray(picture).resize((side, side), Image.Resampling.BOX) for picture in large
    ]
    thumbnails = random.integers(0, 256, (_PICTURES, side, side), np.uint8)
    thumbnails[:_COPIED] = [np.asarray(image) for image in small]
    inner = slice(_FRAME, -_FRAME)
    thumbnails[0] = 0
    thumbnails[0, inner, inner] = np.asarray(
        small[0].resize((side - 2 * _FRAME, side - 2 * _FRAME))
    )
    columns = {
        "information": pa.array(np.full(n, 100, np.float32)),
        "pixel_digest": _binary(
            np.arange(n, dtype=np.uint64)[:, None].repeat(tables.DIGEST_BYTES // 8, 1)
        ),
        "thumbnail": _binary(_with_copies(thumbnails)),
    }

    for name in resolved.hash.algorithms:
        codes = _with_copies(
            random.integers(0, 256, (_PICTURES, resolved.hash.bits // 8), np.uint8)
        )
        codes[_PICTURES : _PICTURES + _NEAR, 0] ^= 1
        columns[name] = _binary(codes)
        for turn in tables.ORIENTATIONS[resolved.search.orientations]:
            turned = random.integers(0, 256, codes.shape, np.uint8)
            # turned, they are their neighbours: turned pairs
            turned[1:_COPIED] = codes[: _COPIED - 1]
            columns[tables.code_column(name, turn)] = _binary(turned)

    return pa.table(columns)


def _with_copies(of: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([of, of[:_COPIED]])


def _binary(rows: NDArray[np.generic]) -> pa.Array:
    """Rows of an array as fixed-size binary."""
    rows = np.ascontiguousarray(rows)
    width = rows.nbytes // len(rows)

    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(rows), [None, pa.py_buffer(rows)]
    )
