"""Verification by signs, measured: against thumbnails, on edited photos and on judged pairs of
CIFAR-10.

`python -m benchmarks.bank --rows signs` prints the table, and the weights that
`dedup.policy.doubts` was given: chosen on photos and test pictures of even numbers, scored on the
others.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from benchmarks.edits import EDITS, number_of
from dedup.hashers.drift import setup_of
from dedup.hashers.measure import measure
from dedup.policy.doubts import false_probability
from dedup.search import join_hashes, pack
from dedup.tables import fixed_width
from dedup.tables.entries import BankSpec
from dedup.verify import similarities
from dedup.verify.signs import agreement, evidence, signs_of

_RADIUS = 16
_ORIGINALS = 2_500


@dataclass(frozen=True, slots=True)
class Side:
    """Measured pictures."""

    codes: tuple[NDArray[np.uint64], NDArray[np.uint64]]
    thumbnails: NDArray[np.uint8]  # (n, 32, 32)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Candidates with what is known of them."""

    a: NDArray[np.int64]  # asked
    same: NDArray[np.bool_]
    different: NDArray[np.bool_]  # neither: nobody knows
    thumbnails: NDArray[np.float32]
    signs: NDArray[np.float32]
    doubt: NDArray[np.float64]


def measured(contents: Sequence[bytes]) -> Side:
    """Codes and thumbnails of encoded pictures."""
    parts = [
        pa.table(measure(contents[k : k + 256], setup_of(BankSpec())))
        for k in range(0, len(contents), 256)
    ]
    table = pa.concat_tables(parts).combine_chunks()
    codes = tuple(pack(fixed_width(table[name])) for name in ("dhash", "phash"))
    return Side((codes[0], codes[1]), fixed_width(table["thumbnail"]).reshape(-1, 32, 32))


def compared(asked: Side, kept: Side, a: Any, b: Any, *, small: bool) -> tuple[Any, Any, Any]:
    """Similarity by thumbnails, by signs, and the false probability of the latter; `a`
    ascending.
    """
    both = np.concatenate([asked.thumbnails, kept.thumbnails])
    by_thumbnails = similarities(both, a, b + len(asked.thumbnails), threads=2)
    signs, by_signs, doubt = (
        signs_of(kept.thumbnails),
        np.empty(len(a), np.float32),
        np.empty(len(a)),
    )
    starts = np.searchsorted(a, np.arange(len(asked.thumbnails) + 1))
    for k, (start, stop) in enumerate(pairwise(starts.tolist())):
        if start == stop:
            continue
        by_signs[start:stop] = np.clip(agreement(asked.thumbnails[k], signs[b[start:stop]]), 0, 1)
        counted = evidence(asked.thumbnails[k])
        for row in range(start, stop):
            doubt[row] = false_probability(
                float(by_signs[row]), "signs", small=small, evidence=counted
            )
    return by_thumbnails, by_signs, doubt


def photos(data: Path, n: int) -> tuple[Pairs, int]:
    """Edited copies of n photos against 2,500 originals; also how many copies there are."""
    paths = sorted((data / "caltech101" / "images").glob("*/*.jpg"))
    np.random.default_rng(1).shuffle(paths)
    originals = paths[:_ORIGINALS]
    copies, source = [], []
    for k, path in enumerate(originals[:n]):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        for edit in EDITS.values():
            copies.append(edit(picture, number_of(str(path))))
            source.append(k)
    of = np.array(source)
    asked, kept = measured(copies), measured([path.read_bytes() for path in originals])
    found = join_hashes(asked.codes, kept.codes, max_distance=_RADIUS)
    alike = _alike(kept)
    a, b = found.a, found.b
    same = of[a] == b
    unsure = np.array(
        [(min(x, y), max(x, y)) in alike for x, y in zip(of[a].tolist(), b.tolist(), strict=True)]
    )
    by_thumbnails, by_signs, doubt = compared(asked, kept, a, b, small=False)
    return Pairs(of[a], same, ~same & ~unsure, by_thumbnails, by_signs, doubt), len(copies)


def _alike(kept: Side) -> set[tuple[int, int]]:
    """Pairs of originals that may be the same picture."""
    own = join_hashes(kept.codes, max_distance=_RADIUS)
    similar = similarities(kept.thumbnails, own.a, own.b, threads=2)
    return {(int(x), int(y)) for x, y, s in zip(own.a, own.b, similar, strict=True) if s >= 0.8}


def cifar(data: Path) -> Pairs:
    """Test pictures of CIFAR-10 against train pictures; known are the judged pairs, and strangers
    by thumbnails.
    """
    test, train = (
        pq.read_table(data / "cifar10" / f"{name}.parquet") for name in ("test", "train")
    )
    asked, kept = (
        measured([image["bytes"] for image in table["image"].to_pylist()])
        for table in (test, train)
    )
    with (data / "cifar10" / "pairs.csv").open(encoding="utf-8") as file:
        judged = {
            (int(r["test_index"]), int(r["train_index"])): r["verdict"]
            for r in csv.DictReader(file)
        }
    found = join_hashes(asked.codes, kept.codes, max_distance=_RADIUS)
    first, second = test["index"].to_numpy()[found.a], train["index"].to_numpy()[found.b]
    said = np.array([judged.get((int(x), int(y)), "") for x, y in zip(first, second, strict=True)])
    by_thumbnails, by_signs, doubt = compared(asked, kept, found.a, found.b, small=True)
    different = np.isin(said, ["similar", "different"]) | ((said == "") & (by_thumbnails < 0.75))
    return Pairs(
        found.a, np.isin(said, ["near", "same"]), different, by_thumbnails, by_signs, doubt
    )


def rows(data: Path, n: int) -> Iterator[tuple[object, ...]]:
    """The table."""
    if not (data / "caltech101").is_dir():
        yield ("no photos", str(data))
        return
    yield ("pairs (second half)", "by", "limit", "recall", "false", "of")
    edited, n_copies = photos(data, n)
    for name, pairs in (("edited photos", edited), ("CIFAR-10", cifar(data))):
        half = pairs.a % 2 == 1
        n_same, n_different = int((pairs.same & half).sum()), int((pairs.different & half).sum())
        for by, limit, accepted in (
            ("thumbnails", ">= 0.87", pairs.thumbnails >= 0.87),
            ("signs", "false probability <= 0.5 (review)", pairs.doubt <= 0.5),
            ("signs", "false probability <= 0.1", pairs.doubt <= 0.1),
            ("signs", "false probability <= 0.01 (decided)", pairs.doubt <= 0.01),
        ):
            recall = (accepted & pairs.same & half).sum() / n_same
            yield (
                name,
                by,
                limit,
                f"{recall:.3f}",
                int((accepted & pairs.different & half).sum()),
                n_different,
            )
        yield from _at_equal_precision(name, pairs, half)
    yield (f"of {n_copies:,} copies", f"{int(edited.same.sum()):,} are candidates")


def _at_equal_precision(name: str, pairs: Pairs, half: Any) -> Iterator[tuple[object, ...]]:
    """Recall where as many are false as by thumbnails at 0.87."""
    n_false = int((pairs.different & half & (pairs.thumbnails >= 0.87)).sum())
    doubts = np.sort(pairs.doubt[pairs.different & half])
    limit = doubts[n_false] if n_false < len(doubts) else 1.0
    recall = (pairs.doubt < limit)[pairs.same & half].mean()
    yield (name, "signs", "as many false as thumbnails >= 0.87", f"{recall:.3f}", n_false, "")


def reconstructed(data: Path, target: Path) -> str:
    """The best that we could make of the signs of some photos, beside the photos: one row each."""
    paths = sorted((data / "caltech101" / "images").glob("*/*.jpg"))[::1100][:8]
    side = measured([path.read_bytes() for path in paths])
    sheet = Image.new("L", (3 * 136, 136 * len(paths)), 255)
    for k, thumbnail in enumerate(side.thumbnails):
        outline = from_signs(signs_of(thumbnail[None])[0])
        small = Image.fromarray(thumbnail).resize((17, 17), Image.Resampling.BOX)
        for column, picture in enumerate(
            (Image.fromarray(thumbnail), small, Image.fromarray(outline))
        ):
            sheet.paste(
                picture.resize((128, 128), Image.Resampling.NEAREST), (136 * column, 136 * k)
            )
    sheet.save(target)
    return str(target)


def from_signs(signs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey levels (17, 17) whose differences have these signs: those that fit all ±1 steps best."""
    steps = np.unpackbits(signs).astype(np.float64) * 2 - 1
    across, down = steps[:272].reshape(17, 16), steps[272:].reshape(16, 17)
    equations, wanted = [], []
    for row in range(17):
        for column in range(17):
            for far_row, far_column, step in ((row, column + 1, across), (row + 1, column, down)):
                if far_row < 17 and far_column < 17:
                    equation = np.zeros(289)
                    equation[far_row * 17 + far_column], equation[row * 17 + column] = 1, -1
                    equations.append(equation)
                    wanted.append(step[row, column])
    levels = np.linalg.lstsq(np.array(equations), np.array(wanted), rcond=None)[0]
    levels -= levels.min()
    scaled: NDArray[np.uint8] = np.round(255 * levels / max(levels.max(), 1e-9)).astype(np.uint8)
    return scaled.reshape(17, 17)
