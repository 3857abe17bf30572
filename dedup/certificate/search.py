"""The search over what was written: the join once more, with what the run has measured and
verified.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.certificate.known_pairs import Verified
from dedup.config import Resolved
from dedup.errors import InternalError
from dedup.memory import give_back
from dedup.policy.leading import numbers_by_sample
from dedup.search import distances, join_hashes_batches, pack, with_total
from dedup.search.sparing import Spared, nobody_spared
from dedup.stages.candidates import candidates
from dedup.stages.searched import searched, turns
from dedup.verify import similarities
from dedup.verify.determinacy import Structure

_PAIRS_AT_ONCE: Final = 25_000  # their thumbnails are in memory together
_JOINED_AT_ONCE: Final = 65_536  # held-out samples: what they match in train is in memory together
_MATCHES_AT_ONCE: Final = 131_072  # are looked up together


@dataclass(frozen=True, slots=True)
class Searched:
    """What the run knows of its samples."""

    hashes: pa.Table  # with or without thumbnails and digests of files
    candidates: Callable[[], Iterator[pa.Table]]  # parts, with the similarity of each
    file_digests: Callable[[], pa.ChunkedArray]  # of all samples
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]]  # of samples
    crowds: pa.Table = field(default_factory=tables.CROWDS.empty_table)


class SecondSearch:
    """The search over what was written, with the codes of the run's rows that have its digests.

    A pair of rows that was verified by the run is not verified again: with the same digests it has
    the same thumbnails, and the measure depends on nothing else.
    """

    def __init__(
        self,
        measured: pa.Table,
        of_run: NDArray[np.int64],
        picture_of: NDArray[np.int64],
        known: Searched,
        resolved: Resolved,
        limit: int,
        threads: int,
    ) -> None:
        self._measured, self._of_run, self._known, self._resolved = (
            measured,
            of_run,
            known,
            resolved,
        )
        self._limit, self._threads = limit, threads
        self._samples = searched(measured)
        self._first = graph.representatives(measured["pixel_digest"])
        self._schema = tables.candidates_schema(resolved.hash.algorithms)
        self._first_of_run = picture_of
        self._verified: Verified | None = None
        self._spared_of_run = spared_by(known.crowds, len(picture_of))
        self._spared = self._spared_of_written()

    def with_held_out(self, held_out: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """Candidates of which one picture is in a held-out split; all, where turned pictures are
        searched.
        """
        yield self._schema.empty_table()
        if not held_out.any():
            return

        self._verified = self._verified_of(held_out, some=True)
        if turns(self._resolved):
            table = self._measured.append_column("thumbnail", self._all_thumbnails())
            spared = self._spared
            for part in candidates(
                table, self._resolved, limit=self._limit, threads=self._threads, spared=spared
            ):
                yield self._looked_at(part)
            yield from self._inside_crowds(held_out, some=None)
            return

        outside, inside = self._sides(held_out)
        for start in range(0, len(inside), _JOINED_AT_ONCE):
            yield from self._joined(inside[start : start + _JOINED_AT_ONCE], outside)

        yield from self._joined(inside, None)
        yield from self._inside_crowds(held_out, some=True)
        yield self._without_frames(inside, some=True)
        self._verified = None

    def without_held_out(self, held_out: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """The other candidates."""
        if not turns(self._resolved):
            self._verified = self._verified_of(held_out, some=False)
            outside, inside = self._sides(held_out)
            yield from self._joined(outside, None)
            yield from self._inside_crowds(held_out, some=False)
            yield self._without_frames(inside, some=False)

    def _verified_of(self, held_out: NDArray[np.bool_], *, some: bool) -> Verified:
        """What the run found of pictures that were written, of which some or none is in a held-out
        split.
        """
        there = np.flatnonzero(self._of_run < len(self._first_of_run))
        pictures = self._first_of_run[self._of_run[there]]
        written, inside = (
            np.zeros(len(self._first_of_run), bool),
            np.zeros(len(self._first_of_run), bool),
        )
        written[pictures] = True
        inside[self._first_of_run[self._of_run[there[held_out[there]]]]] = True
        every = bool(turns(self._resolved))

        def wanted(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
            return np.asarray(written[a] & written[b] & (every | ((inside[a] | inside[b]) == some)))

        found = Verified.of(self._known.candidates(), wanted, self._resolved.acceptance)
        give_back()

        return found

    def _without_frames(self, inside: NDArray[np.int64], *, some: bool) -> pa.Table:
        """What the run found without frames, of which some or none is `inside`, in the numbers of
        what was written.
        """
        verified = self._known_pairs()
        if len(verified.framed) == 0:
            return self._schema.empty_table()

        place = self._place_of_pictures()
        one, two = place[verified.framed["a"].to_numpy()], place[verified.framed["b"].to_numpy()]
        enough = (one >= 0) & (two >= 0) & ((np.isin(one, inside) | np.isin(two, inside)) == some)
        rows = verified.framed.filter(pa.array(enough))
        one, two = one[enough], two[enough]
        views = rows["unframed"].to_numpy()
        views = np.where((one > two) & (views != tables.BOTH), tables.BOTH - views, views).astype(
            np.uint8
        )
        columns = dict(zip(rows.column_names, rows.columns, strict=True))
        columns |= {"a": np.minimum(one, two), "b": np.maximum(one, two), "unframed": views}

        return pa.table(list(columns.values()), schema=self._schema)

    def _sides(self, held_out: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The searched samples whose picture is in no held-out split, and the others."""
        in_one = np.zeros(len(held_out), dtype=bool)
        in_one[self._first[held_out]] = True
        return self._samples[~in_one[self._samples]], self._samples[in_one[self._samples]]

    def _all_thumbnails(self) -> pa.Array:
        """Those of every written sample; of those without bytes there are none."""
        there = np.flatnonzero(self._of_run < len(self._known.hashes))
        stored = pa.array(
            self._known.thumbnails(self._of_run[there].tolist()),
            pa.binary(tables.THUMBNAIL_SIDE**2),
        )
        places = np.full(len(self._of_run), -1, np.int64)
        places[there] = np.arange(len(there))

        return stored.take(pa.array(places, mask=places < 0))

    def _joined(
        self, left: NDArray[np.int64], right: NDArray[np.int64] | None
    ) -> Iterator[pa.Table]:
        """Candidates between two sets of samples, or within one, without those that crowds leave
        out.
        """
        member = self._spared.members
        rest, members = left[~member[left]], left[member[left]]
        if right is None:
            yield from self._searched(rest, None)
            yield from self._searched(rest, members)
            return

        others = right[~member[right]]
        yield from self._searched(rest, right)
        yield from self._searched(members, others)

    def _searched(
        self, left: NDArray[np.int64], right: NDArray[np.int64] | None
    ) -> Iterator[pa.Table]:
        resolved = self._resolved
        names = resolved.hash.algorithms
        if len(left) == 0 or (right is not None and len(right) == 0):
            return

        columns = [tables.fixed_width(self._measured[name]) for name in names]
        of_left = [pack(column[left]) for column in columns]
        of_right = None if right is None else [pack(column[right]) for column in columns]
        of_left, distance = with_total(of_left, names, resolved.search.max_distance)
        if of_right is not None:
            of_right, _ = with_total(of_right, names, resolved.search.max_distance)

        for part in join_hashes_batches(
            of_left,
            of_right,
            max_distance=distance,
            combine=resolved.search.combine,
            limit=self._limit,
            threads=self._threads,
            batch_rows=_MATCHES_AT_ONCE,
        ):
            one, two = left[part.a], (left if right is None else right)[part.b]
            a, b = np.minimum(one, two), np.maximum(one, two)
            wanted = ~self._spared.leaves_out(a, b)
            yield self._rows(
                a[wanted], b[wanted], [of[wanted] for of in part.distances[: len(names)]]
            )

    def _rows(
        self, a: NDArray[np.int64], b: NDArray[np.int64], distances: Sequence[NDArray[np.uint16]]
    ) -> pa.Table:
        """Rows of `candidates` for pairs of written samples, without what is not similar enough to
        be a pair.
        """
        resolved = self._resolved
        unknown = np.full(len(a), np.nan, np.float32)
        verified = resolved.verify.method == "pixels"
        similarity, structure = self._similarities(a, b) if verified else (unknown, unknown)
        enough = np.ones(len(a), bool)
        if resolved.acceptance.min_similarity is not None:
            enough = similarity >= np.float32(resolved.acceptance.min_similarity)

        arrays: list[NDArray[Any]] = [a, b, np.zeros(len(a), np.uint8), *distances]
        found = pa.array(similarity[enough], mask=np.isnan(similarity[enough]))
        views = np.zeros(len(found), np.uint8)
        columns = [
            *(array[enough] for array in arrays),
            found,
            views,
            *tables.not_looked_at(len(found)),
        ]
        table = tables.with_column(
            pa.table(columns, schema=self._schema), "structure", structure[enough]
        )

        return self._looked_at(table)

    def _inside_crowds(
        self, held_out: NDArray[np.bool_], *, some: bool | None
    ) -> Iterator[pa.Table]:
        """What the run compared inside crowds, of which some, none or (with None) any is held
        out.
        """
        one, two = self._known_pairs().pairs()
        left_out = self._spared_of_run.leaves_out(one, two)
        place = self._place_of_pictures()
        one, two = place[one[left_out]], place[two[left_out]]
        a, b = np.minimum(one, two), np.maximum(one, two)
        inside = np.zeros(len(held_out), bool)
        inside[self._first[held_out]] = True
        wanted = (a >= 0) & (a != b)
        wanted &= True if some is None else (inside[a] | inside[b]) == some
        a, b = a[wanted], b[wanted]
        if len(a):
            yield self._rows(
                a, b, [self._distances(name, a, b) for name in self._resolved.hash.algorithms]
            )

    def _distances(
        self, name: str, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> NDArray[np.uint16]:
        codes = pack(tables.fixed_width(self._measured[name]))
        return distances(codes, codes, a, b)

    def _place_of_pictures(self) -> NDArray[np.int64]:
        """Of each picture of the run its first written sample, -1: it was not written."""
        there = np.flatnonzero(self._of_run < len(self._first_of_run))
        place = np.full(len(self._first_of_run), -1, np.int64)
        place[self._first_of_run[self._of_run[there]]] = self._first[there]
        return place

    def _spared_of_written(self) -> Spared:
        """What the search leaves out: what the run left out."""
        spared = nobody_spared(len(self._of_run))
        there = np.flatnonzero(self._of_run < len(self._first_of_run))
        pictures = self._first_of_run[self._of_run[there]]
        spared.members[there] = self._spared_of_run.members[pictures]
        spared.crowd[there] = self._spared_of_run.crowd[pictures]

        return spared

    def _similarities(
        self, a: NDArray[np.int64], b: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Similarity and structure as the run found them; what it did not verify, from the stored
        thumbnails.
        """
        found, structure = self._known_of(a, b, "similarity"), self._known_of(a, b, "structure")
        a, b = self._of_run[a], self._of_run[b]
        rest = np.flatnonzero(np.isnan(found))

        for start in range(0, len(rest), _PAIRS_AT_ONCE):
            rows = rest[start : start + _PAIRS_AT_ONCE]
            samples, places = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
            stored = b"".join(of or b"" for of in self._known.thumbnails(samples.tolist()))
            thumbnails = np.frombuffer(stored, np.uint8).reshape(len(samples), -1)
            left, right = places[: len(rows)].astype(np.int64), places[len(rows) :].astype(np.int64)
            found[rows] = similarities(thumbnails, left, right, threads=self._threads)
            structure[rows] = Structure(thumbnails).of(left, right, found[rows])

        return found, structure

    def _known_of(
        self,
        a: NDArray[np.int64],
        b: NDArray[np.int64],
        what: Literal["similarity", "structure", "close"],
    ) -> NDArray[np.float32]:
        """What the run found for the same two pictures, as they stand; NaN where it found
        nothing.
        """
        known = len(self._first_of_run)
        one, two = (
            np.where(of < known, self._first_of_run[np.minimum(of, known - 1)], of)
            for of in (self._of_run[a], self._of_run[b])
        )
        verified = self._known_pairs()

        return verified.look_up(np.minimum(one, two), np.maximum(one, two), getattr(verified, what))

    def _known_pairs(self) -> Verified:
        if self._verified is None:
            message = "The certificate asks for pairs before it has read them."
            raise InternalError(message)
        return self._verified

    def _looked_at(self, part: pa.Table) -> pa.Table:
        """With what the run's second look found. A pair that it did not look at stays one: it may
        leak.
        """
        close = self._known_of(part["a"].to_numpy(), part["b"].to_numpy(), "close")
        close[part["unframed"].to_numpy() != 0] = np.nan
        at = part.schema.get_field_index("close_similarity")
        return part.set_column(at, part.schema.field(at), pa.array(close, mask=np.isnan(close)))


def spared_by(crowds: pa.Table, n_samples: int) -> Spared:
    """Which pairs of samples the table `crowds` leaves out; what was compared all the same is not
    in it.
    """
    spared = nobody_spared(n_samples)
    number, role = numbers_by_sample(crowds, n_samples)
    spared.members[np.isin(role, ("member", "left_out"))] = True
    spared.crowd[role != "leader"] = number[role != "leader"]

    return spared
