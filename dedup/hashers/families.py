"""The families behind one contract, and the table of algorithms.

ImageHash's four are made together, by the mode (`MODES`); every other algorithm is an entry of
`OWN`, is the same in every mode, and may be registered from outside the package.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup.errors import ConfigError
from dedup.hashers import fast, pdq
from dedup.hashers.luma import luma_of
from dedup.hashers.resampling import Plane, Target, shrink

Family = Callable[[Sequence[Image.Image], str, int], NDArray[np.uint8]]
"""(pictures of mode L or RGB, algorithm, bits) → uint8, shape (n, bits // 8)."""

Codes = Callable[[NDArray[np.float64], int, Sequence[str]], list[NDArray[np.uint8]]]
"""(small pictures of shape (n, rows, columns), bits, orientations) → by orientation packed codes,
shape (n, bits // 8). Grey levels are multiplied by `resampling.SCALE`. The codes of an orientation
must be those of the picture turned first: `decoding.orientation.turned` turns small pictures.
"""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A perceptual hash that is computed from one small grey picture."""

    name: str  # what hash.algorithms calls it, and its column in the tables
    widths: tuple[int, ...]  # bits that its codes can have, of 64, 256 and 1024
    needs: Callable[[int], Target]  # the small picture, by bits
    codes: Codes
    module: str  # import path of the module that registers it: workers import it, too


def _compat(images: Sequence[Image.Image], algorithm: str, bits: int) -> NDArray[np.uint8]:
    """ImageHash's own codes, of which only this mode has a use: it brings SciPy and PyWavelets."""
    from dedup.hashers import compat

    return compat.codes(images, algorithm, bits)


MODES: Final[Mapping[str, Family]] = {"fast": fast.codes, "compat": _compat}
"""Family by `hash.mode`."""

_PDQ: Final = Algorithm(
    name="pdq",
    widths=(pdq.BITS,),
    needs=lambda _: pdq.TARGET,
    codes=lambda small, _, turns: pdq.oriented(small, turns),
    module=pdq.__name__,
)

OWN: Final[dict[str, Algorithm]] = {"pdq": _PDQ}
"""Algorithms that are not of ImageHash, by name."""


def register(algorithm: Algorithm) -> None:
    """Add an algorithm. Raises `ConfigError` for a name that is taken, a width that no code can
    have, or a module that workers cannot import.
    """
    # Not above: a worker has no use for the config, which takes a tenth of a second.
    from dedup.config.names import ALGORITHMS, BITS, refuse_taken

    known = OWN.get(algorithm.name)
    if known is not None and known.module == algorithm.module:
        OWN[algorithm.name] = algorithm
        return

    refuse_taken("The algorithm", algorithm.name, [*ALGORITHMS])
    if not algorithm.widths or not set(algorithm.widths) <= set(BITS):
        message = (
            f"The algorithm {algorithm.name!r} has the widths {algorithm.widths}, allowed:"
            f" {', '.join(map(str, BITS))} bits."
        )
        raise ConfigError(message)

    if algorithm.module == "__main__":
        message = (
            f"The algorithm {algorithm.name!r} is registered by a script or notebook, which workers"
            " cannot import. Put it into a module that is installed or on PYTHONPATH."
        )
        raise ConfigError(message)

    OWN[algorithm.name] = algorithm
    ALGORITHMS[algorithm.name] = algorithm.widths


def modules(algorithms: Iterable[str]) -> list[str]:
    """What a worker must import before it can compute these algorithms, sorted."""
    outside = {OWN[name].module for name in algorithms if name in OWN} - {pdq.__name__}
    return sorted(outside)


def measured(
    planes: Sequence[Plane], algorithms: Sequence[str], bits: int, turns: Sequence[str]
) -> tuple[NDArray[np.uint8], dict[str, list[NDArray[np.uint8]]], dict[str, NDArray[np.float64]]]:
    """Thumbnails; by algorithm the packed codes of each of `turns`; and by algorithm of `OWN` the
    small pictures that its codes were made of.
    """
    shared = [name for name in algorithms if name not in OWN]
    own = [name for name in algorithms if name in OWN]
    thumbnails, found = fast.measured(planes, shared, bits, turns)
    codes = dict(found)
    small: dict[str, NDArray[np.float64]] = {}

    for name in own:
        (small[name],) = shrink(planes, [OWN[name].needs(bits)])
        codes[name] = checked(OWN[name], small[name], bits, turns)

    return thumbnails, codes, small


def own_codes(
    plane: Plane, algorithm: str, bits: int, turns: Sequence[str]
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64]]:
    """Codes of one picture in each of `turns`, and the small picture that they were made of."""
    of = OWN[algorithm]
    (small,) = shrink([plane], [of.needs(bits)])
    return checked(of, small, bits, turns), small


def checked(
    algorithm: Algorithm, small: NDArray[np.float64], bits: int, turns: Sequence[str]
) -> list[NDArray[np.uint8]]:
    """The algorithm's codes; raises `TypeError` where they are not what it promised."""
    codes = algorithm.codes(small, bits, turns)
    found: list[Any] = [(of.shape, of.dtype) for of in codes]
    promised = [((len(small), bits // 8), np.dtype(np.uint8))] * len(turns)

    if found != promised:
        message = (
            f"The algorithm {algorithm.name!r} made codes of shape and type {found}, and must make"
            f" {promised}: one packed array for each of {', '.join(turns)}."
        )
        raise TypeError(message)

    return codes


def picture_codes(
    images: Sequence[Image.Image], algorithm: str, bits: int, mode: str
) -> NDArray[np.uint8]:
    """Codes of normalised pictures, shape (n, bits // 8). An algorithm of its own is the same in
    every mode.
    """
    if algorithm not in OWN:
        return MODES[mode](images, algorithm, bits)

    planes = [luma_of(image, bits) for image in images]
    of = OWN[algorithm]
    (small,) = shrink(planes, [of.needs(bits)])

    return checked(of, small, bits, ("identity",))[0]
