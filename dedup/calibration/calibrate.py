"""Calibration: what each distance would let in on this dataset, from the stored codes and
thumbnails. No pixels.

Which decoys serve depends on what is searched. Upright and mirrored searches take flipped and
half-turned pictures: both keep what makes strangers look alike (a dark middle on white, a horizon),
and hardly anybody stores copies upside down. A search of all orientations looks for these too, so
there the flips that verification confirms are taken out as everywhere, and negatives are the second
decoy. For each further orientation searched chance has one more try.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from dedup import files, tables
from dedup.calibration.plot import plot
from dedup.calibration.table import MIN_PICTURES, Calibration, Hits, calibrated
from dedup.config import Resolved, VerifyConfig, acceptance_limits
from dedup.errors import RunError
from dedup.hashers.families import picture_codes
from dedup.policy.acceptance import Evidence, Limits, accepted
from dedup.runs import folder
from dedup.runs.result import Run, search_threads
from dedup.runs.stored import load
from dedup.search import join_hashes, join_orientations, pack
from dedup.stages.searched import searched, turns
from dedup.tables import THUMBNAIL_SIDE
from dedup.verify import similarities
from dedup.verify.determinacy import Structure

DECOYS: Final = {
    "upright": ("flip", "half-turn"),
    "mirrored": ("flip", "half-turn"),
    "all": ("flip", "negative"),
}
"""By `search.orientations`."""

_THUMBNAILS_AT_ONCE: Final = 4096

Codes = NDArray[np.uint64]
Thumbnails = NDArray[np.uint8]  # (n, 32, 32)


@dataclass(frozen=True, slots=True)
class _Searched:
    """The pictures that take part."""

    resolved: Resolved
    codes: Mapping[str, Codes]  # by algorithm
    turned: Mapping[str, Mapping[int, Codes]]  # by algorithm and transform
    thumbnails: Thumbnails
    limits: Limits
    threads: int

    @property
    def distances(self) -> list[int]:
        return [self.resolved.search.max_distance[name] for name in self.resolved.hash.algorithms]

    @property
    def limit(self) -> int:
        """More pairs than a search within the budget can give."""
        return 4 * len(self.codes) * self.resolved.max_candidates + len(self.thumbnails)


def of_folder(run_folder: Path) -> Calibration:
    """The calibration of a finished run."""
    return calibrate(load(run_folder, (), ("manifest", "hashes", "crowds"), thumbnails=True))


def write(calibration: Calibration, run_folder: Path) -> None:
    """Write `calibration.json` and `calibration.svg`."""
    with folder.adding(run_folder, (folder.CALIBRATION, folder.CALIBRATION_PLOT)):
        files.write_json(run_folder / folder.CALIBRATION, asdict(calibration))
        files.write_text(run_folder / folder.CALIBRATION_PLOT, plot(calibration))


def calibrate(run: Run) -> Calibration:
    """What each distance up to that of the run would let in.

    Of a crowd of look-alikes the leader takes part: members say nothing of chance, and their pairs
    are k².

    Raises `RunError` for fewer than `MIN_PICTURES` pictures that carry information.
    """
    members = run.crowds["sample"].filter(
        pc.is_in(run.crowds["role"], pa.array(["member", "left_out"]))
    )
    samples = np.setdiff1d(searched(run.hashes), members.to_numpy())
    if len(samples) < MIN_PICTURES:
        message = (
            f"Calibration needs at least {MIN_PICTURES} different pictures that are not blank,"
            f" flat, bare gradients or members of a crowd; of {len(run.hashes):,} samples"
            f" {len(samples):,} are. With fewer, no share of chance pairs can be told."
        )
        raise RunError(message)

    pictures = _searched(run, samples)
    found = _found(pictures)
    decoys = {name: _decoys(pictures, name) for name in DECOYS[run.resolved.search.orientations]}
    max_distance = dict(zip(run.resolved.hash.algorithms, pictures.distances, strict=True))
    alone, both = calibrated(len(samples), found, decoys, max_distance)

    return Calibration(
        pictures=len(samples),
        bits=run.resolved.hash.bits,
        max_distance=max_distance,
        orientations=run.resolved.search.orientations,
        min_similarity=max(
            pictures.limits.min_similarity, pictures.limits.min_thumbnail_similarity
        ),
        max_false_probability=pictures.limits.max_false_probability,
        taken_out={name: int(hits.confirmed.sum()) // 2 for name, hits in decoys.items()},
        alone=alone,
        both=both,
    )


def decoy_thumbnails(thumbnails: Thumbnails, name: str) -> Thumbnails:
    """The thumbnails altered as a decoy."""
    if name == "negative":
        return 255 - thumbnails
    return np.ascontiguousarray(
        thumbnails[:, ::-1] if name == "flip" else thumbnails[:, ::-1, ::-1]
    )


def thumbnail_codes(thumbnails: Thumbnails, algorithm: str, bits: int, mode: str) -> Codes:
    """Codes of thumbnails taken as pictures: about one bit of 64 from those of the pictures
    themselves.

    Turning the bits of the stored codes instead would be free, but it is wrong where neighbouring
    pixels are equal: a dHash turned by 180° that way is up to 34 bits off in pictures with flat
    areas.
    """
    parts = [
        picture_codes(
            [Image.fromarray(grey) for grey in thumbnails[start : start + _THUMBNAILS_AT_ONCE]],
            algorithm,
            bits,
            mode,
        )
        for start in range(0, len(thumbnails), _THUMBNAILS_AT_ONCE)
    ]
    return pack(np.concatenate(parts))


def _searched(run: Run, samples: NDArray[np.int64]) -> _Searched:
    resolved, chosen = run.resolved, run.hashes.take(pa.array(samples))
    return _Searched(
        resolved=resolved,
        codes={
            name: pack(tables.fixed_width(chosen[tables.code_column(name)]))
            for name in resolved.hash.algorithms
        },
        turned={
            name: {
                tables.TRANSFORMS.index(turn): pack(
                    tables.fixed_width(chosen[tables.code_column(name, turn)])
                )
                for turn in turns(resolved)
            }
            for name in resolved.hash.algorithms
        },
        thumbnails=tables.fixed_width(chosen["thumbnail"]).reshape(
            -1, THUMBNAIL_SIDE, THUMBNAIL_SIDE
        ),
        limits=Limits.of(resolved.settings()) or Limits(**acceptance_limits(VerifyConfig())),
        threads=search_threads(run.config),
    )


def _found(pictures: _Searched) -> Hits:
    """The pairs themselves."""
    codes, distances = list(pictures.codes.values()), pictures.distances
    if any(pictures.turned.values()):
        oriented = join_orientations(
            codes,
            list(pictures.turned.values()),
            max_distance=distances,
            limit=pictures.limit,
            threads=pictures.threads,
        )
        a, b, by_hash, transforms = oriented.a, oriented.b, oriented.distances, oriented.transform
    else:
        plain = join_hashes(
            codes, max_distance=distances, limit=pictures.limit, threads=pictures.threads
        )
        a, b, by_hash, transforms = (
            plain.a,
            plain.b,
            plain.distances,
            np.zeros(len(plain), np.uint8),
        )

    alike = similarities(pictures.thumbnails, a, b, transforms, threads=pictures.threads)
    by_name = dict(zip(pictures.codes, by_hash, strict=True))

    return Hits(a, b, by_name, _confirmed(pictures, pictures.thumbnails, a, b, alike))


def _confirmed(
    pictures: _Searched,
    thumbnails: Thumbnails,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    alike: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """For each pair whether its thumbnails alone make it one."""
    structure = Structure(thumbnails, threads=pictures.threads).of(a, b, alike)
    not_looked = np.full(len(a), np.nan, np.float32)

    return accepted(
        Evidence(alike, structure, not_looked, np.zeros(len(a), np.uint8)), pictures.limits
    )


def _decoys(pictures: _Searched, name: str) -> Hits:
    """Pairs of a picture with another one altered; every two pictures are seen from both ends."""
    resolved, n = pictures.resolved, len(pictures.thumbnails)
    altered = decoy_thumbnails(pictures.thumbnails, name)
    others = [
        thumbnail_codes(altered, algorithm, resolved.hash.bits, resolved.hash.mode)
        for algorithm in pictures.codes
    ]
    found = join_hashes(
        list(pictures.codes.values()),
        others,
        max_distance=pictures.distances,
        limit=pictures.limit,
        threads=pictures.threads,
    )
    other = found.a != found.b  # a symmetrical picture meets itself
    a, b = found.a[other], found.b[other]
    both = np.concatenate([pictures.thumbnails, altered])
    alike = similarities(both, a, n + b, threads=pictures.threads)
    by_name = {
        algorithm: bits[other]
        for algorithm, bits in zip(pictures.codes, found.distances, strict=True)
    }
    confirmed = _confirmed(pictures, both, a, n + b, alike)

    return Hits(a, b, by_name, confirmed, seen=2, views=1 + len(turns(resolved)))
