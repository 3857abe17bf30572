"""The certificate: what was written is read and searched again, with the same settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dedup import graph, tables
from dedup.config import Resolved
from dedup.errors import InternalError, SourceError
from dedup.formats import Source
from dedup.hashers.setup import Setup
from dedup.lists import NOT_JUDGED, Judged
from dedup.memory import give_back
from dedup.readback import KnownBytes, Samples, by_split, measured_of, n_changed, numbers_of, read_back
from dedup.search import join_hashes_batches, pack
from dedup.stages.candidates import candidates, searched, turns
from dedup.stages.chains import chains
from dedup.stages.leakage import leakage
from dedup.stages.manifest import manifest
from dedup.stages.pairs import pairs
from dedup.verify import similarities

_NOT_NEEDED: Final = {
    *("sample", "detail", "width", "height", "format", "compression", "thumbnail"),
    "file_digest",  # which sample of the run a row is says the same
}  # of hashes
_PAIRS_AT_ONCE: Final = 25_000  # their thumbnails are in memory together
_JOINED_AT_ONCE: Final = 65_536  # held-out samples: what they match in train is in memory together
_MATCHES_AT_ONCE: Final = 131_072  # are looked up together

_Kind = TypeVar("_Kind", bound=np.generic)

_Wanted = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]

LISTED: Final = 20  # pairs named in the certificate; all of them are in the tables of an audit of the output


@dataclass(frozen=True, slots=True)
class Searched:
    """What the run knows of its samples."""

    hashes: pa.Table  # with or without thumbnails and digests of files
    candidates: Callable[[], Iterator[pa.Table]]  # parts, with the similarity of each
    file_digests: Callable[[], pa.ChunkedArray]  # of all samples
    thumbnails: Callable[[Sequence[int]], Sequence[bytes | None]]  # of samples


def certificate(
    open_written: Callable[[], Source],
    known: Searched,
    expected: Mapping[str | None, Samples],
    setup: Setup,
    resolved: Resolved,
    judged: Judged = NOT_JUDGED,
    *,
    n_groups: int = 0,
    limit: int,
    threads: int,
    in_order: bool = True,
) -> dict[str, Any]:
    """Search the written samples again and say what is left between train and the held-out splits.

    `open_written` opens them; they are let go of when they are read. Every byte is read again. `expected` has, by
    split, the samples of the run that the written rows must be, in their order (any, without `in_order`).
    Pairs within train are searched only where something leaks, since only then can they lead to a held-out sample.
    Raises `SourceError` when anything else was written than what was hashed: then the dataset has changed meanwhile.
    """
    written = open_written()
    table, row_of_sample = manifest(written.rows, written.name)
    digests = KnownBytes(known.file_digests())
    back = read_back(written, digests, setup)
    wanted = {split: digests.first_of(samples) for split, samples in expected.items()}
    if changed := n_changed(by_split(written.rows["split"], back.samples), wanted, in_order=in_order):
        message = (
            f"{changed:,} of {sum(map(len, wanted.values())):,} samples to be written are not what was hashed: "
            f"the dataset has changed since. Run it again."
        )
        raise SourceError(message)
    del written, digests, wanted  # what it takes to search again comes on top of what is left
    columns = [name for name in known.hashes.column_names if name not in _NOT_NEEDED]
    picture_of = graph.representatives(known.hashes["pixel_digest"])
    judged_by_digest = bool(judged.allowed or judged.denied)
    if not judged_by_digest:
        columns.remove("pixel_digest")
    measured, of_run = measured_of(back, known.hashes, columns, row_of_sample)
    measured = measured.append_column("file_digest", pa.array(of_run))
    if not judged_by_digest:
        numbers = numbers_of(of_run, picture_of, known.hashes["pixel_digest"].is_valid().to_numpy())
        measured = measured.append_column("pixel_digest", numbers)
    del back
    give_back()
    held_out = tuple(name for name in resolved.held_out if name in table["split"].unique().to_pylist())
    inside = pc.is_in(table["split"], pa.array(held_out, pa.string())).to_numpy()
    search = _Search(measured, of_run, picture_of, known, resolved, limit, threads)
    near = list(search.with_held_out(inside))
    give_back()
    found = pairs(near, measured, table, resolved, judged)
    matches = graph.from_pairs(found, len(table))
    leaks = leakage(matches, found, measured, table, held_out)
    chained = 0
    if len(leaks):
        every = [*near, *search.without_held_out(inside)]
        matches = graph.from_pairs(pairs(every, measured, table, resolved, judged), len(table))
        chained = (
            pc.sum(pc.invert(pc.is_in(chains(matches, table, held_out)["split"], pa.array(held_out)))).as_py() or 0
        )
    between = _between_held_out(found, held_out)
    return {
        "clean": len(leaks) == 0 and n_groups == 0,
        "statement": _statement(resolved, len(leaks), n_groups),
        "samples": len(table),
        "readable": pc.sum(pc.equal(measured["status"], "ok")).as_py() or 0,
        "train_held_out_pairs": len(leaks),
        "train_held_out_first": _first(leaks.select(["id", "split", "witness_id", "witness_split", "similarity"])),
        "chained_train_images": chained,
        "groups_in_train_and_held_out": n_groups,
        "held_out_pairs": len(between),
        "held_out_first": _first(between.select(["id_a", "split_a", "id_b", "split_b", "similarity"])),
        "settings": {key: asdict(resolved)[key] for key in ("max_distance", "combine", "method", "min_similarity")},
    }


def groups_across(
    groups: pa.ChunkedArray, splits: pa.ChunkedArray, readable: pa.ChunkedArray, held_out: tuple[str, ...]
) -> int:
    """How many groups have readable samples in train and in a held-out split."""
    outside = pc.is_in(splits, pa.array(held_out, pa.string()))
    sides = [pc.unique(groups.filter(pc.and_(readable, side))).drop_null() for side in (outside, pc.invert(outside))]
    return pc.sum(pc.is_in(sides[0], sides[1])).as_py() or 0


@dataclass(frozen=True, slots=True)
class _Verified:
    """What the run found of its candidates. Of those that are not similar enough, the most, only that is known."""

    keys: NDArray[np.uint64]  # of pairs as they stand, sorted
    similarity: NDArray[np.float32]  # of them; NaN where nothing was verified
    close: NDArray[np.float32]  # of them; NaN where not looked
    rejected: NDArray[np.uint64]  # keys of the others, sorted
    framed: pa.Table  # candidates without a frame

    @classmethod
    def of(cls, candidates: Iterator[pa.Table], wanted: _Wanted, min_similarity: float | None) -> "_Verified":
        """From the parts of the table, one at least; of those between samples that can be asked for."""
        keys, similarity, close, rejected, framed = [], [], [], [], []
        for whole in candidates:
            part = whole.filter(pa.array(wanted(whole["a"].to_numpy(), whole["b"].to_numpy())))
            as_they_stand = pc.equal(part["unframed"], pa.scalar(0, pa.uint8()))
            framed.append(part.filter(pc.invert(as_they_stand)))
            standing = part.filter(as_they_stand)
            own, found = _keys(standing["a"].to_numpy(), standing["b"].to_numpy()), standing["similarity"].to_numpy()
            below = np.zeros(len(own), bool) if min_similarity is None else found < np.float32(min_similarity)
            rejected.append(own[below])
            keys.append(own[~below])
            similarity.append(found[~below].astype(np.float32))
            close.append(standing["close_similarity"].to_numpy()[~below].astype(np.float32))
            del whole, part, standing
            give_back()
        return cls(_emptied(keys), _emptied(similarity), _emptied(close), _emptied(rejected), pa.concat_tables(framed))

    def look_up(self, a: NDArray[np.int64], b: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values of pairs of the run's samples: NaN where it has none, 0 where it rejected the pair."""
        wanted = _keys(a, b)
        at, there = _places(self.keys, wanted)
        found = np.full(len(wanted), np.nan, np.float32)
        found[there] = values[at[there]]
        found[_places(self.rejected, wanted)[1]] = 0
        return found


def _emptied(parts: list[NDArray[_Kind]]) -> NDArray[_Kind]:
    """The parts in one array. Each is let go when it is copied, so that they are not in memory twice."""
    whole = np.empty(sum(map(len, parts)), parts[0].dtype)
    parts.reverse()
    stop = 0
    while parts:
        part = parts.pop()
        whole[stop : stop + len(part)] = part
        stop += len(part)
    return whole


def _places(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each wanted key stands in sorted ones, and whether it is there."""
    if len(keys) == 0:
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, np.asarray(keys[at] == wanted)


class _Search:
    """The search over what was written, with the codes of the run's rows that have its digests.

    A pair of rows that was verified by the run is not verified again: with the same digests it has the same
    thumbnails, and the measure depends on nothing else.
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
        self._measured, self._of_run, self._known, self._resolved = measured, of_run, known, resolved
        self._limit, self._threads = limit, threads
        self._samples = searched(measured)
        self._first = graph.representatives(measured["pixel_digest"])
        self._schema = tables.candidates_schema(resolved.algorithms)
        self._first_of_run = picture_of
        self._verified: _Verified | None = None

    def with_held_out(self, held_out: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """Candidates of which one picture is in a held-out split; all, where turned pictures are searched."""
        yield self._schema.empty_table()
        if not held_out.any():
            return
        self._verified = self._verified_of(held_out, some=True)
        if turns(self._resolved):
            table = self._measured.append_column("thumbnail", self._all_thumbnails())
            for part in candidates(table, self._resolved, limit=self._limit, threads=self._threads):
                yield self._looked_at(part)
            return
        outside, inside = self._sides(held_out)
        for start in range(0, len(inside), _JOINED_AT_ONCE):
            yield from self._joined(inside[start : start + _JOINED_AT_ONCE], outside)
        yield from self._joined(inside, None)
        yield self._without_frames(inside, some=True)
        self._verified = None

    def without_held_out(self, held_out: NDArray[np.bool_]) -> Iterator[pa.Table]:
        """The other candidates."""
        if not turns(self._resolved):
            self._verified = self._verified_of(held_out, some=False)
            outside, inside = self._sides(held_out)
            yield from self._joined(outside, None)
            yield self._without_frames(inside, some=False)

    def _verified_of(self, held_out: NDArray[np.bool_], *, some: bool) -> _Verified:
        """What the run found of pictures that were written, of which some or none is in a held-out split."""
        there = np.flatnonzero(self._of_run < len(self._first_of_run))
        pictures = self._first_of_run[self._of_run[there]]
        written, inside = np.zeros(len(self._first_of_run), bool), np.zeros(len(self._first_of_run), bool)
        written[pictures] = True
        inside[self._first_of_run[self._of_run[there[held_out[there]]]]] = True
        every = bool(turns(self._resolved))

        def wanted(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
            return np.asarray(written[a] & written[b] & (every | ((inside[a] | inside[b]) == some)))

        found = _Verified.of(self._known.candidates(), wanted, self._resolved.min_similarity)
        give_back()
        return found

    def _without_frames(self, inside: NDArray[np.int64], *, some: bool) -> pa.Table:
        """What the run found without frames, of which some or none is `inside`, in the numbers of what was written."""
        verified, first_of_run = self._known_pairs(), self._first_of_run
        if len(verified.framed) == 0:
            return self._schema.empty_table()
        there = np.flatnonzero(self._of_run < len(first_of_run))
        place = np.full(len(first_of_run), -1, np.int64)
        place[first_of_run[self._of_run[there]]] = self._first[there]
        one, two = place[verified.framed["a"].to_numpy()], place[verified.framed["b"].to_numpy()]
        enough = (one >= 0) & (two >= 0) & ((np.isin(one, inside) | np.isin(two, inside)) == some)
        rows = verified.framed.filter(pa.array(enough))
        one, two = one[enough], two[enough]
        views = rows["unframed"].to_numpy()
        views = np.where((one > two) & (views != tables.BOTH), tables.BOTH - views, views).astype(np.uint8)
        columns = [np.minimum(one, two), np.maximum(one, two), *rows.columns[2:-3], views, *rows.columns[-2:]]
        return pa.table(columns, schema=self._schema)

    def _sides(self, held_out: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The searched samples whose picture is in no held-out split, and the others."""
        in_one = np.zeros(len(held_out), dtype=bool)
        in_one[self._first[held_out]] = True
        return self._samples[~in_one[self._samples]], self._samples[in_one[self._samples]]

    def _all_thumbnails(self) -> pa.Array:
        """Those of every written sample; of those without bytes there are none."""
        there = np.flatnonzero(self._of_run < len(self._known.hashes))
        stored = pa.array(self._known.thumbnails(self._of_run[there].tolist()), pa.binary(tables.THUMBNAIL_SIDE**2))
        places = np.full(len(self._of_run), -1, np.int64)
        places[there] = np.arange(len(there))
        return stored.take(pa.array(places, mask=places < 0))

    def _joined(self, left: NDArray[np.int64], right: NDArray[np.int64] | None) -> Iterator[pa.Table]:
        resolved = self._resolved
        names = resolved.algorithms
        if len(left) == 0 or (right is not None and len(right) == 0):
            return
        columns = [tables.fixed_width(self._measured[name]) for name in names]
        for part in join_hashes_batches(
            [pack(column[left]) for column in columns],
            None if right is None else [pack(column[right]) for column in columns],
            max_distance=[resolved.max_distance[name] for name in names],
            combine=resolved.combine,
            limit=self._limit,
            threads=self._threads,
            batch_rows=_MATCHES_AT_ONCE,
        ):
            one, two = left[part.a], (left if right is None else right)[part.b]
            a, b = np.minimum(one, two), np.maximum(one, two)
            similarity = self._similarities(a, b) if resolved.method == "pixels" else np.full(len(a), np.nan, "f4")
            enough = np.ones(len(a), bool)
            if resolved.min_similarity is not None:
                enough = similarity >= np.float32(resolved.min_similarity)
            arrays = [a, b, np.zeros(len(a), np.uint8), *part.distances]
            found = pa.array(similarity[enough], mask=np.isnan(similarity[enough]))
            views = np.zeros(len(found), np.uint8)
            columns = [*(array[enough] for array in arrays), found, views, *tables.not_looked_at(len(found))]
            yield self._looked_at(pa.table(columns, schema=self._schema))

    def _similarities(self, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the run found, and for pairs that it did not verify the same from the stored thumbnails."""
        found = self._known_of(a, b, "similarity")
        a, b = self._of_run[a], self._of_run[b]
        rest = np.flatnonzero(np.isnan(found))
        for start in range(0, len(rest), _PAIRS_AT_ONCE):
            rows = rest[start : start + _PAIRS_AT_ONCE]
            samples, places = np.unique(np.concatenate([a[rows], b[rows]]), return_inverse=True)
            stored = b"".join(of or b"" for of in self._known.thumbnails(samples.tolist()))
            thumbnails = np.frombuffer(stored, np.uint8).reshape(len(samples), -1)
            left, right = places[: len(rows)].astype(np.int64), places[len(rows) :].astype(np.int64)
            found[rows] = similarities(thumbnails, left, right, threads=self._threads)
        return found

    def _known_of(
        self, a: NDArray[np.int64], b: NDArray[np.int64], what: Literal["similarity", "close"]
    ) -> NDArray[np.float32]:
        """What the run found for the same two pictures, as they stand; NaN where it found nothing."""
        known = len(self._first_of_run)
        one, two = (
            np.where(of < known, self._first_of_run[np.minimum(of, known - 1)], of)
            for of in (self._of_run[a], self._of_run[b])
        )
        verified = self._known_pairs()
        return verified.look_up(np.minimum(one, two), np.maximum(one, two), getattr(verified, what))

    def _known_pairs(self) -> _Verified:
        if self._verified is None:
            message = "The certificate asks for pairs before it has read them."
            raise InternalError(message)
        return self._verified

    def _looked_at(self, part: pa.Table) -> pa.Table:
        """With what the run's second look found. A pair that it did not look at stays one: it may leak."""
        close = self._known_of(part["a"].to_numpy(), part["b"].to_numpy(), "close")
        close[part["unframed"].to_numpy() != 0] = np.nan
        at = part.schema.get_field_index("close_similarity")
        return part.set_column(at, part.schema.field(at), pa.array(close, mask=np.isnan(close)))


def _keys(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.uint64]:
    return (a.astype(np.uint64) << np.uint64(32)) | b.astype(np.uint64)


def _between_held_out(found: pa.Table, held_out: tuple[str, ...]) -> pa.Table:
    names = pa.array(held_out, pa.string())
    both = pc.and_(pc.is_in(found["split_a"], names), pc.is_in(found["split_b"], names))
    return found.filter(pc.and_(both, pc.not_equal(found["split_a"], found["split_b"])))


def _first(table: pa.Table) -> list[Mapping[str, Any]]:
    return [
        {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for row in table.slice(0, LISTED).to_pylist()
    ]


def _statement(resolved: Resolved, n_leaks: int, n_groups: int) -> str:
    distances = ", ".join(f"{name} ≤ {bits} of {resolved.bits} bits" for name, bits in resolved.max_distance.items())
    verified = _limits(resolved)
    settings = (
        f"{resolved.combine} of {distances}{verified}" if len(resolved.max_distance) > 1 else f"{distances}{verified}"
    )
    if not resolved.held_out:
        return f"There is no held-out split, so nothing can leak (searched with {settings})."
    number = "No pair" if n_leaks == 0 else f"{n_leaks:,} pair{'s' if n_leaks > 1 else ''}"
    groups = f" {n_groups:,} groups are in train and in a held-out split." if n_groups else ""
    lists = " What a person has judged counts as judged." if {*resolved.lists} - {"prefer_list"} else ""
    return (
        f"{number} between train and a held-out split is left in what was written (searched with {settings})."
        f"{groups}{lists}"
    )


def _limits(resolved: Resolved) -> str:
    together, alone = resolved.min_similarity, resolved.min_thumbnail_similarity
    if together is None or alone is None:
        return ""
    if not resolved.second_look:
        return f" and similarity ≥ {max(together, alone)}"
    close = f"≥ {resolved.min_close_similarity} seen closely, ≥ {max(together, alone)} where not"
    return f" and similarity ≥ {together} ({close})"
