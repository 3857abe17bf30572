"""What a run found of its pairs, kept so that pairs of pictures can be looked up in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup.config import AcceptanceSpec
from dedup.memory import give_back
from dedup.policy.acceptance import MUST_AGREE, colours_differ

_Kind = TypeVar("_Kind", bound=np.generic)

_KEPT: Final = ("similarity", "structure", "close_similarity")  # columns of `candidates`

_Wanted = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class Verified:
    """What the run found of its candidates. Of those that are not similar enough, the most, only
    that is known.
    """

    keys: NDArray[np.uint64]  # of pairs as they stand, sorted
    similarity: NDArray[np.float32]  # of them; NaN where nothing was verified
    structure: NDArray[np.float32]  # of them; NaN where not measured
    close: NDArray[np.float32]  # of them; NaN where not looked
    rejected: NDArray[np.uint64]  # keys of the others, sorted
    framed: pa.Table  # candidates without a frame

    @classmethod
    def of(
        cls, candidates: Iterator[pa.Table], wanted: _Wanted, limits: AcceptanceSpec
    ) -> "Verified":
        """From the parts of the table, one at least; of those between samples that can be asked
        for.
        """
        keys, rejected, framed = [], [], []
        values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _KEPT}
        for whole in candidates:
            part = whole.filter(pa.array(wanted(whole["a"].to_numpy(), whole["b"].to_numpy())))
            as_they_stand = pc.equal(part["unframed"], pa.scalar(0, pa.uint8()))
            framed.append(part.filter(pc.invert(as_they_stand)))
            standing = part.filter(as_they_stand)
            own, found = (
                _keys(standing["a"].to_numpy(), standing["b"].to_numpy()),
                standing["similarity"].to_numpy(),
            )
            below = np.zeros(len(own), bool)
            if limits.min_similarity is not None:
                below = found < np.float32(limits.min_similarity)
            if limits.colour == MUST_AGREE:
                below |= colours_differ(standing)
            rejected.append(own[below])
            keys.append(own[~below])
            for name, parts in values.items():
                parts.append(standing[name].to_numpy()[~below].astype(np.float32))
            del whole, part, standing
            give_back()

        similarity, structure, close = (_emptied(parts) for parts in values.values())

        return cls(
            _emptied(keys),
            similarity,
            structure,
            close,
            _emptied(rejected),
            pa.concat_tables(framed),
        )

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pairs that are similar enough, as they stand."""
        low = np.uint64(0xFFFFFFFF)
        return (self.keys >> np.uint64(32)).astype(np.int64), (self.keys & low).astype(np.int64)

    def look_up(
        self, a: NDArray[np.int64], b: NDArray[np.int64], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The values of pairs of the run's samples: NaN where it has none, 0 where it rejected the
        pair.
        """
        wanted = _keys(a, b)
        at, there = _places(self.keys, wanted)
        found = np.full(len(wanted), np.nan, np.float32)
        found[there] = values[at[there]]
        found[_places(self.rejected, wanted)[1]] = 0

        return found


def _emptied(parts: list[NDArray[_Kind]]) -> NDArray[_Kind]:
    """The parts in one array. Each is let go when it is copied, so that they are not in memory
    twice.
    """
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    parts.reverse()
    stop = 0

    while parts:
        part = parts.pop()
        whole[stop : stop + len(part)] = part
        stop += len(part)

    return whole


def _places(
    keys: NDArray[np.uint64], wanted: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each wanted key stands in sorted ones, and whether it is there."""
    if len(keys) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, np.asarray(keys[at] == wanted)


def _keys(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.uint64]:
    return (a.astype(np.uint64) << np.uint64(32)) | b.astype(np.uint64)
