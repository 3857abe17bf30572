"""Pictures made by the tests: nothing here comes from a file or from the package."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter


def photo(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A colour picture with structure at several scales; different seeds look nothing alike."""
    random = np.random.default_rng(seed)
    canvas = Image.new("RGB", size)
    for cells in (3, 6, 13):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells + 1, 3), dtype=np.uint8))
        layer = noise.resize(size, Image.Resampling.BICUBIC)
        canvas = layer if cells == 3 else Image.blend(canvas, layer, 0.4)
    return canvas.filter(ImageFilter.GaussianBlur(0.6))


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The picture as the bytes of a file."""
    sink = BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    """Write the picture, making the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def folder(root: Path, names: Sequence[str], *, first_seed: int = 0) -> Path:
    """A folder of different photos under the given names (`split/label/file`)."""
    for seed, name in enumerate(names, start=first_seed):
        save(photo(seed), root / name)
    return root
