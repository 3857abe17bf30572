"""Which pictures are searched, and by which codes: of identical ones only the lowest sample."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved
from dedup.search import pack
from dedup.search.sparing import Spared, nobody_spared
from dedup.tables import MIN_INFORMATION
from dedup.verify.views import Views, within_frames

# by column of `hashes`: the codes of the samples that are searched
Codes = Mapping[str, NDArray[np.uint64]]


def equal_codes(
    hashes: pa.Table, name: str, spared: Spared, at_least: int
) -> list[NDArray[np.int64]]:
    """Searched samples with one code of an algorithm, where so many have it and no crowd has
    them.
    """
    samples = searched(hashes)
    samples = samples[~spared.members[samples]]
    codes = pack(tables.fixed_width(hashes[tables.code_column(name)])[samples])
    _, of_row, sizes = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    of_row = of_row.reshape(-1)

    return [samples[of_row == group] for group in np.flatnonzero(sizes >= at_least).tolist()]


def searched(hashes: pa.Table) -> NDArray[np.int64]:
    """Samples that enter the join: the lowest of each class of identical pictures, if it carries
    information.
    """
    informed = pc.greater_equal(hashes["information"], MIN_INFORMATION).fill_null(False).to_numpy()
    first = graph.representatives(hashes["pixel_digest"]) == np.arange(len(hashes))
    return np.flatnonzero(informed & first).astype(np.int64)


def turns(resolved: Resolved) -> tuple[str, ...]:
    """The transforms that are searched besides the identity."""
    return tables.ORIENTATIONS[resolved.search.orientations]


def codes_of(hashes: pa.Table, samples: NDArray[np.int64], resolved: Resolved) -> Codes:
    """The packed codes of samples, by column of `hashes`."""
    columns = [
        tables.code_column(n, t)
        for n in resolved.hash.algorithms
        for t in ("identity", *turns(resolved))
    ]
    return {column: pack(tables.fixed_width(hashes[column])[samples]) for column in columns}


def spared_of(spared: Spared | None, samples: NDArray[np.int64]) -> Spared:
    """What a search of these samples leaves out; nothing where nobody is spared."""
    return nobody_spared(len(samples)) if spared is None else spared.take(samples)


def framed_views(
    thumbnails: NDArray[np.uint8], samples: NDArray[np.int64], resolved: Resolved, spared: Spared
) -> Views:
    """Of what is in a frame; members of crowds have none, as they are not compared with each
    other.
    """
    transforms = ("identity", *turns(resolved))
    rest = np.flatnonzero(~spared.members)
    found = within_frames(
        thumbnails, samples[rest], resolved.hash.algorithms, resolved.hash.bits, transforms
    )

    return Views(rest[found.of], found.thumbnails, found.codes)


def packed_codes(
    hashes: pa.Table, samples: NDArray[np.int64], resolved: Resolved
) -> list[NDArray[np.uint64]]:
    """The upright codes of samples, by algorithm."""
    return [
        pack(tables.fixed_width(hashes[tables.code_column(n)])[samples])
        for n in resolved.hash.algorithms
    ]
