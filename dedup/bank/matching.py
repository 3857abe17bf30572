"""Which entries a picture matches: candidates by codes, exactly, and each of them verified."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dedup.bank.answers import Match
from dedup.bank.picture import MeasuredPicture
from dedup.bank.segments import Segment
from dedup.policy.acceptance import Evidence
from dedup.policy.acceptance import false_probability as doubt_of
from dedup.policy.doubts import false_probability
from dedup.search.codes import permuted
from dedup.tables import THUMBNAIL_SIDE
from dedup.tables.entries import SMALL_SIDE, BankSpec
from dedup.tables.thumbnails import unpacked
from dedup.verify import similarities
from dedup.verify.determinacy import Structure
from dedup.verify.signs import agreement, evidence, shared

MAX_VERIFIED: Final = 10_000
"""Candidates that one check verifies, the nearest first: a tenth of a second. More make the answer
incomplete, and it says so."""

_UNFRAMED: Final = {
    (False, False): None,
    (True, False): "asked",
    (False, True): "entry",
    (True, True): "both",
}
_ROWS_AT_ONCE: Final = 500  # parameters of one statement
_DETAILS: Final = "SELECT n, id, label, uri, width, height, thumbnail FROM entry WHERE n IN "


@dataclass(frozen=True, slots=True)
class View:
    """One way in which the asked picture is searched: as it is, or what is inside its frame."""

    codes: Mapping[str, NDArray[np.uint64]]  # permuted, for `Index.near_permuted`
    signs: NDArray[np.uint8]
    thumbnail: NDArray[np.uint8] | None
    inside: bool
    evidence: float | None  # differences that count; None without a thumbnail


@dataclass(frozen=True, slots=True)
class Found:
    """Candidates: rows of entries within the distance, each with the view that was asked."""

    n: NDArray[np.int64]
    asked_inside: NDArray[np.bool_]
    entry_inside: NDArray[np.bool_]
    distances: NDArray[np.uint16]  # (rows, algorithms)
    signs: NDArray[np.uint8]
    complete: bool

    def __len__(self) -> int:
        return len(self.n)


def views_of(picture: MeasuredPicture, spec: BankSpec) -> list[View]:
    """The views of a picture; none of one without information."""
    if not picture.is_searched:
        return []

    found = [_view(picture.codes, picture.signs, picture.thumbnail, spec, inside=False)]
    if picture.inside is not None:
        of = picture.inside
        found.append(_view(of.codes, of.signs, of.thumbnail, spec, inside=True))

    return found


def _view(
    codes: Mapping[str, bytes],
    signs: bytes,
    thumbnail: bytes | None,
    spec: BankSpec,
    *,
    inside: bool,
) -> View:
    packed = {
        name: permuted(np.frombuffer(codes[name], np.uint64).reshape(1, -1))
        for name in spec.algorithms
    }
    grey = None
    if thumbnail is not None:
        grey = np.frombuffer(thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)

    return View(
        packed,
        np.frombuffer(signs, np.uint8),
        grey,
        inside,
        None if grey is None else evidence(grey),
    )


def candidates(
    views: Sequence[View],
    segments: Sequence[Segment],
    removed: frozenset[int],
    spec: BankSpec,
    max_distance: int,
    after_n: int = 0,
) -> Found:
    """Every row within the distance by any algorithm, of entries after `after_n` that are still
    there.

    Of more than `MAX_VERIFIED` the nearest are kept, and `complete` is False.
    """
    parts = [
        _of_segment(view, segment, spec, max_distance, after_n)
        for view in views
        for segment in segments
        if len(segment) and segment.n[-1] > after_n
    ]
    found = _joined(parts, len(spec.algorithms))
    if removed and len(found):
        found = _chosen(found, ~np.isin(found.n, np.fromiter(removed, np.int64, len(removed))))
    if len(found) <= MAX_VERIFIED:
        return found

    nearest = np.lexsort((found.n, found.distances.min(axis=1)))[:MAX_VERIFIED]

    return _chosen(found, np.sort(nearest), complete=False)


def _of_segment(
    view: View, segment: Segment, spec: BankSpec, max_distance: int, after_n: int
) -> Found:
    near = [
        segment.indexes[name].near_permuted(view.codes[name], max_distance)[0]
        for name in spec.algorithms
    ]
    rows = near[0] if len(near) == 1 else np.unique(np.concatenate(near))
    rows = rows[segment.n[rows] > after_n]
    distances = [
        segment.indexes[name].distances(view.codes[name], rows) for name in spec.algorithms
    ]

    return Found(
        segment.n[rows],
        np.full(len(rows), view.inside),
        segment.inside[rows],
        np.stack(distances, axis=1),
        segment.signs[rows],
        complete=True,
    )


def scores(found: Found, views: Sequence[View]) -> NDArray[np.float32]:
    """How well each candidate's signs fit the view that was asked, 0..1."""
    out = np.zeros(len(found), np.float32)
    for view in views:
        of_view = np.flatnonzero(found.asked_inside == view.inside)
        signs = found.signs[of_view]
        if view.thumbnail is None:
            out[of_view] = shared(view.signs, signs)
        else:
            out[of_view] = agreement(view.thumbnail, signs)

    return np.clip(out, 0.0, 1.0)


def best_of_each(found: Found, similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """The rows that are the most similar of their entries."""
    order = np.lexsort((found.distances.min(axis=1), -similarity, found.n))
    first = np.ones(len(order), bool)
    first[1:] = found.n[order][1:] != found.n[order][:-1]
    return order[first]


def near_matches(
    connection: sqlite3.Connection,
    picture: MeasuredPicture,
    found: Found,
    views: Sequence[View],
    similarity: NDArray[np.float32],
    spec: BankSpec,
    least: float,
) -> list[Match]:
    """Matches of the candidates that may be the same picture: false probability up to `least`."""
    rows = best_of_each(found, similarity)
    details = details_of(connection, found.n[rows].tolist())
    by_thumbnail = _by_thumbnails(found, rows, views, details)
    by_view = {view.inside: view.evidence for view in views}
    matches = []

    for row in rows.tolist():
        entry = details.get(int(found.n[row]))
        if entry is None:  # removed meanwhile
            continue
        similar, verified = float(similarity[row]), "signs"
        small = picture.is_small or min(entry["width"] or 0, entry["height"] or 0) < SMALL_SIDE
        if row in by_thumbnail:
            (similar, probability), verified = by_thumbnail[row], "thumbnails"
        else:
            table = "shared_signs" if views[0].thumbnail is None else verified
            counted = by_view[bool(found.asked_inside[row])]
            probability = false_probability(similar, table, small=small, evidence=counted)
        if probability <= least:
            matches.append(_match(entry, found, row, spec, similar, probability, verified))

    return matches


def _by_thumbnails(
    found: Found,
    rows: NDArray[np.int64],
    views: Sequence[View],
    details: Mapping[int, sqlite3.Row],
) -> dict[int, tuple[float, float]]:
    """(similarity, false probability) by row, where entry and asked picture both have a
    thumbnail.
    """
    grey = {view.inside: view.thumbnail for view in views if view.thumbnail is not None}
    kept = [
        row
        for row in rows.tolist()
        if bool(found.asked_inside[row]) in grey
        and not found.entry_inside[row]
        and int(found.n[row]) in details
        and details[int(found.n[row])]["thumbnail"] is not None
    ]
    if not kept:
        return {}

    asked = [grey[bool(found.asked_inside[row])] for row in kept]
    theirs = [unpacked(details[int(found.n[row])]["thumbnail"]) for row in kept]
    a = np.arange(len(kept))
    small = np.stack([*asked, *theirs])
    alike = similarities(small, a, a + len(kept))
    structure = Structure(small).of(a, a + len(kept), alike)
    views_ = np.zeros(len(kept), np.uint8)
    doubt = doubt_of(Evidence(alike, structure, np.full(len(kept), np.nan, np.float32), views_))

    return {row: (float(alike[k]), float(doubt[k])) for k, row in enumerate(kept)}


def _match(
    entry: sqlite3.Row,
    found: Found,
    row: int,
    spec: BankSpec,
    similarity: float,
    probability: float,
    verified: str,
) -> Match:
    distances = dict(zip(spec.algorithms, map(int, found.distances[row]), strict=True))
    return Match(
        id=entry["id"],
        kind="near",
        similarity=round(similarity, 4),
        false_probability=probability,
        verified=verified,
        distances=distances,
        unframed=_UNFRAMED[bool(found.asked_inside[row]), bool(found.entry_inside[row])],
        uri=entry["uri"],
        label=entry["label"],
    )


def identical(connection: sqlite3.Connection, picture: MeasuredPicture) -> list[Match]:
    """Entries with the same file or the same decoded pixels."""
    matches = []
    for kind, digest in (("bytes", picture.file_digest), ("pixels", picture.pixel_digest)):
        if digest is None:
            continue
        column = "file_digest" if kind == "bytes" else "pixel_digest"
        statement = f"SELECT id, label, uri FROM entry WHERE {column} = ? ORDER BY n LIMIT ?"
        rows = connection.execute(statement, (digest, MAX_VERIFIED))
        matches += [
            Match(row["id"], kind, 1.0, 0.0, kind, uri=row["uri"], label=row["label"])
            for row in rows
        ]

    # The same file goes before the same pixels.
    first = {match.id: match for match in reversed(matches)}

    return [match for match in matches if first[match.id] is match]


def details_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, sqlite3.Row]:
    """Rows of the entries of these numbers that are still there."""
    rows: dict[int, sqlite3.Row] = {}
    for start in range(0, len(numbers), _ROWS_AT_ONCE):
        part = numbers[start : start + _ROWS_AT_ONCE]
        asked = ",".join("?" * len(part))
        rows |= {row["n"]: row for row in connection.execute(f"{_DETAILS}({asked})", part)}

    return rows


def _joined(parts: Sequence[Found], n_algorithms: int) -> Found:
    if not parts:
        empty = np.empty(0, np.int64)
        nothing = np.empty(0, bool)
        distances, signs = np.empty((0, n_algorithms), np.uint16), np.empty((0, 68), np.uint8)
        return Found(empty, nothing, nothing, distances, signs, complete=True)
    return Found(
        np.concatenate([part.n for part in parts]),
        np.concatenate([part.asked_inside for part in parts]),
        np.concatenate([part.entry_inside for part in parts]),
        np.concatenate([part.distances for part in parts]),
        np.concatenate([part.signs for part in parts]),
        complete=True,
    )


def _chosen(
    found: Found, rows: NDArray[np.bool_] | NDArray[np.int64], *, complete: bool = True
) -> Found:
    return Found(
        found.n[rows],
        found.asked_inside[rows],
        found.entry_inside[rows],
        found.distances[rows],
        found.signs[rows],
        complete=found.complete and complete,
    )
