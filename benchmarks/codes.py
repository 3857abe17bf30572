"""Codes to search: uniform ones, and those of real pictures."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageStat, UnidentifiedImageError

Codes = NDArray[np.uint64]

# grey levels; sky and white borders have one hash, and the row would time their 10⁸ pairs
_LEAST_CONTRAST = 8


def uniform(n: int, words: int = 1, seed: int = 1) -> Codes:
    """Codes in which every bit is a fair coin, with one near-duplicate for every thousand."""
    codes = np.random.default_rng(seed).integers(0, 2**64, (n, words), dtype=np.uint64)
    planted = n // 1000
    codes[:planted] = codes[n // 2 : n // 2 + planted]
    codes[:planted, 0] ^= np.uint64(0b10010)
    return codes


def photos(
    folder: Path, n: int, *, keep: bool, most_pictures: int = 4000, tiles: int = 6
) -> tuple[Codes, int]:
    """dHashes of a folder's pictures and of their tiles, and n rows of them with 8 to 12 random
    flips.

    `keep`: the hashed codes come first as they are, with the near pairs among them. Tiles of one
    shade are left out. Returns the codes and how many of them were hashed.
    """
    import imagehash

    hashed = []
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    for path in paths[:most_pictures]:
        try:
            with warnings.catch_warnings(), Image.open(path) as picture:
                warnings.simplefilter("ignore")
                grey = picture.convert("L")
        except (
            UnidentifiedImageError,
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ):
            continue  # the folder holds broken files on purpose
        parts = [
            part
            for part in _parts(grey, tiles)
            if ImageStat.Stat(part).stddev[0] >= _LEAST_CONTRAST
        ]
        hashed += [
            np.packbits(imagehash.dhash(part).hash.ravel()).view(np.uint64) for part in parts
        ]
    base = np.array(hashed, np.uint64).reshape(-1, 1)
    rng = np.random.default_rng(0)
    codes = base[rng.integers(0, len(base), n)]
    codes[: len(base)] = base[:n]
    kept = min(n, len(base)) if keep else 0
    codes[kept:, 0] ^= flips(rng, n - kept)
    return codes, len(base)


def _parts(picture: Image.Image, tiles: int) -> list[Image.Image]:
    """The picture and its tiles, if these have pixels enough for a hash to say something."""
    width, height = picture.width // tiles, picture.height // tiles
    if min(width, height) < 16:
        return [picture]
    corners = [(x * width, y * height) for x in range(tiles) for y in range(tiles)]
    return [picture, *(picture.crop((x, y, x + width, y + height)) for x, y in corners)]


def flips(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """For each row 8 to 12 different bits out of 64."""
    order = np.argpartition(rng.random((n, 64), np.float32), 12, axis=1)[:, :12].astype(np.uint64)
    used = np.arange(12) < rng.integers(8, 13, n)[:, None]
    return np.asarray(
        np.bitwise_or.reduce(np.where(used, np.uint64(1) << order, np.uint64(0)), axis=1)
    )
