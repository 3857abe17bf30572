"""Codes of pictures that a program holds: files, their bytes, or PIL images."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from dedup import limited
from dedup.config import ALGORITHMS, BITS, HashConfig, width_problem
from dedup.decoding.pictures import Unreadable, normalised
from dedup.errors import ConfigError, SourceError
from dedup.formats import read_bytes
from dedup.formats.source import encoded
from dedup.hashers.families import MODES, picture_codes
from dedup.hashers.measure import measure
from dedup.hashers.setup import Setup
from dedup.memory import usable_cores

# pictures measured at once: what is small is measured together, and each core gets a part
_BATCH: Final = 64

Codes = NDArray[np.uint8]


@dataclass(slots=True)
class _Part:
    """Codes of some of the images, and what is still to do."""

    codes: Codes
    heavy: list[int] = field(default_factory=list)  # places among all images, in order
    refused: tuple[int, str] | None = None  # the first of them that cannot be read, and why


def hash_images(
    images: Sequence[Any], *, algorithm: str, bits: int = 64, mode: str = "fast"
) -> Codes:
    """Codes of pictures given as paths, encoded bytes or PIL images: uint8, shape (n, bits // 8).

    Files are normalised as in a run (orientation, transparency, depth). Raises `SourceError` for
    the first picture that cannot be read, `ConfigError` for an unknown algorithm, width or mode.
    Files whose headers do not show that they cost little are decoded in processes of their own.
    """
    setup = _setup(algorithm, bits, mode)
    starts = range(0, len(images), _BATCH)

    with ThreadPoolExecutor(
        usable_cores()
    ) as pool:  # decoders and kernels give up the interpreter's lock
        parts = list(
            pool.map(lambda start: _light(images[start : start + _BATCH], start, setup), starts)
        )

    codes = np.concatenate([np.empty((0, bits // 8), np.uint8), *(part.codes for part in parts)])
    refused = next((part.refused for part in parts if part.refused is not None), None)
    heavy = [place for part in parts for place in part.heavy]
    if refused is not None:
        heavy = [place for place in heavy if place < refused[0]]

    for place, code in zip(heavy, _heavy(images, heavy, setup), strict=True):
        codes[place] = np.frombuffer(code, np.uint8)

    if refused is not None:
        raise SourceError(refused[1])

    return codes


def _setup(algorithm: str, bits: int, mode: str) -> Setup:
    problems = [
        f"{key}: got {value!r}, allowed: {', '.join(map(str, allowed))}."
        for key, value, allowed in (
            ("algorithm", algorithm, tuple(ALGORITHMS)),
            ("bits", bits, BITS),
            ("mode", mode, tuple(MODES)),
        )
        if value not in allowed
    ]
    if not problems and (problem := width_problem(algorithm, bits)):
        problems.append(f"bits: {problem}.")
    if problems:
        raise ConfigError(*problems)

    settings = HashConfig()

    return Setup((algorithm,), bits, mode, settings.background, settings.max_pixels)


def _light(images: Sequence[Any], start: int, setup: Setup) -> _Part:
    """Codes of the images that cost little; `start` is the place of the first among all."""
    (algorithm,) = setup.algorithms
    part = _Part(np.zeros((len(images), setup.bits // 8), dtype=np.uint8))
    names = [_image_name(image, start + k) for k, image in enumerate(images)]
    decoded = [k for k, image in enumerate(images) if isinstance(image, Image.Image)]
    pictures = [_normalised(images[k], names[k], setup.background) for k in decoded]
    part.codes[decoded] = picture_codes(pictures, algorithm, setup.bits, setup.mode)

    contents = {k: _content(image) for k, image in enumerate(images) if k not in {*decoded}}
    light = [k for k, content in contents.items() if limited.costs_little(content)]
    part.heavy = [start + k for k in contents if k not in {*light}]
    table = pa.table(measure([contents[k] for k in light], setup))

    for k, row in zip(
        light, table.select(["status", "detail", algorithm]).to_pylist(), strict=True
    ):
        if row["status"] != "ok":
            part.refused = start + k, f"{names[k]}: {row['status']}: {row['detail']}."
            break
        part.codes[k] = np.frombuffer(row[algorithm], np.uint8)

    return part


def _heavy(images: Sequence[Any], places: Sequence[int], setup: Setup) -> Iterator[bytes]:
    """Codes of the other ones, measured in workers. Raises `SourceError` for the first that cannot
    be read.
    """
    if not places:
        return

    (algorithm,) = setup.algorithms
    names = iter(_image_name(images[place], place) for place in places)
    for batch in limited.measured_apart((_stored(images[place]) for place in places), setup):
        for row in batch.select(["status", "detail", algorithm]).to_pylist():
            name = next(names)
            if row["status"] != "ok":
                message = f"{name}: {row['status']}: {row['detail']}."
                raise SourceError(message)
            yield row[algorithm]


def _image_name(image: Any, place: int) -> str:
    """What an image is called in messages. Raises `ConfigError` for what is not an image in any of
    the three forms.
    """
    if isinstance(image, str | Path):
        return repr(str(image))
    if isinstance(image, bytes | bytearray | memoryview | Image.Image):
        return f"images[{place}]"

    remedy = (
        " PIL.Image.fromarray makes an image of an array." if isinstance(image, np.ndarray) else ""
    )
    message = (
        f"images[{place}]: got {type(image).__name__}; give a path, the bytes of a file, or a PIL"
        f" image.{remedy}"
    )
    raise ConfigError(message)


def _stored(image: Any) -> limited.Stored:
    """The path, or the bytes of what holds bytes."""
    return (encoded(str(image)), None) if isinstance(image, str | Path) else (None, bytes(image))


def _content(image: Any) -> bytes | Unreadable:
    """The stored bytes of a path or of what holds bytes."""
    return read_bytes(*_stored(image))


def _normalised(image: Image.Image, name: str, background: str) -> Image.Image:
    found = normalised(image, background)
    if isinstance(found, Unreadable):
        message = f"{name}: {found.status}: {found.detail}."
        raise SourceError(message)

    return found
