"""Datasets that the benchmarks make of some photos. A dataset that was made before is used again.

Each picture differs from the others, so that none is a duplicate by its bytes.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def large_photos(originals: Sequence[Path], n: int, work: Path) -> Path:
    """Photos as JPEG whose longer side has 1,000 pixels."""
    return _folder(work / f"photos-{n}", _large, originals, n)


def _large(originals: Sequence[Path], folder: Path, k: int) -> None:
    image = Image.open(originals[k % len(originals)]).convert("RGB")
    scale = 1000 / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    image.paste((k % 256, k // 256 % 256, k // 65_536), (0, 0, 16, 16))
    path = folder / f"{k:06d}.jpg"
    image.save(path, quality=85)
    os.utime(path, (1_700_000_000, 1_700_000_000))


def medium_photos(originals: Sequence[Path], n: int, work: Path) -> Path:
    """Photos as JPEG of about 15 KB: the highest quality that stays below."""
    return _folder(work / f"medium-{n}", _medium, originals, n)


def _medium(originals: Sequence[Path], folder: Path, k: int) -> None:
    image = Image.open(originals[k % len(originals)]).convert("RGB")
    image.paste((k % 256, k // 256 % 256, k // 65_536), (0, 0, 8, 8))
    for quality in (95, 92, 90, 85, 80, 75, 70, 60, 50, 40):
        buffer = BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        if buffer.tell() < 16_500:
            break
    (folder / f"{k:06d}.jpg").write_bytes(buffer.getvalue())


def small_pictures(originals: Sequence[Path], n: int, work: Path) -> Path:
    """Pictures of 32 × 32 pixels in one Parquet file, PNG and JPEG in turn."""
    path = work / f"small-{n}.parquet"
    if not path.exists():
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        schema = pa.schema([("image", image), ("label", pa.int64())])
        with (
            ProcessPoolExecutor(2) as pool,
            pq.ParquetWriter(path.with_suffix(".partial"), schema) as writer,
        ):
            for start in range(0, n, 50_000):
                rows = range(start, min(start + 50_000, n))
                encoded = list(pool.map(partial(_small, originals), rows, chunksize=1000))
                structs = [{"bytes": data, "path": None} for data in encoded]
                writer.write_table(pa.table([structs, [k % 10 for k in rows]], schema=schema))
        path.with_suffix(".partial").rename(path)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


_reduced: dict[int, np.ndarray[Any, Any]] = {}


def _small(originals: Sequence[Path], k: int) -> bytes:
    at = k % len(originals)
    if at not in _reduced:
        _reduced[at] = np.array(Image.open(originals[at]).convert("RGB").resize((36, 36)))
    rng = np.random.default_rng(k)
    y, x = rng.integers(0, 5, 2)
    change = rng.integers(-40, 41, (4, 4, 3)).repeat(8, 0).repeat(8, 1)
    pixels = _reduced[at][y : y + 32, x : x + 32].astype(np.int16) + change
    buffer = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
        buffer, "JPEG" if k % 2 else "PNG", compress_level=1
    )
    return buffer.getvalue()


def _folder(
    folder: Path,
    make: Callable[[Sequence[Path], Path, int], None],
    originals: Sequence[Path],
    n: int,
) -> Path:
    if not folder.exists():
        folder.mkdir()
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(partial(make, originals, folder), range(n), chunksize=50))
    return folder
