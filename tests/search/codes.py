"""Codes for the tests: Python integers to and from arrays, and sets of them that are hard to
search.
"""

import random
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup.search import Band, Matches, Plan, plan
from dedup.search.plans import laid_out, least_width


def packed(codes: list[int], words: int = 1) -> NDArray[np.uint64]:
    rows = [[(code >> (64 * w)) & (2**64 - 1) for w in range(words)] for code in codes]
    return np.array(rows, np.uint64).reshape(len(codes), words)


def listed(matches: Matches) -> list[tuple[int, int, int]]:
    return list(zip(matches.a.tolist(), matches.b.tolist(), matches.distance.tolist(), strict=True))


def flipped(code: int, bits: Any) -> int:
    for bit in bits:
        code ^= 1 << bit
    return code


def forced(
    codes: NDArray[np.uint64],
    max_distance: int,
    widths: list[int],
    radii: tuple[int, ...],
    other: Any = None,
) -> Plan:
    """The plan with these bands, whatever the planner thinks of it."""
    chosen = plan(codes, other, max_distance=max_distance, finder="brute", threads=2)
    return replace(chosen, finder="banded", bands=laid_out(widths, radii))


def even_widths(radii: tuple[int, ...], n_bits: int, widest: int = 12) -> list[int]:
    return [max(least_width(r), min(widest, n_bits // len(radii))) for r in radii]


def bands_in_bits(bands: tuple[Band, ...], place: NDArray[np.intp]) -> list[list[int]]:
    """The bits of the codes as they come in that each band looks at."""
    origin = np.argsort(place)
    return [
        [int(origin[bit]) for bit in range(band.start, band.start + band.width)] for band in bands
    ]


def adversarial(name: str, t: int, n: int, n_bits: int) -> list[int]:
    rng = random.Random(name)
    ones = 2**n_bits - 1
    center = rng.getrandbits(n_bits)
    if name == "all equal":
        return [center] * n
    if name == "all within t of one code":
        return [flipped(center, rng.sample(range(n_bits), rng.randint(0, t))) for _ in range(n)]
    if name == "arithmetic progression":
        return [(center + 7 * i) & ones for i in range(n)]
    if name == "one bit set":
        return [1 << (i % n_bits) for i in range(n)]
    if name == "complement pairs":
        half = [rng.getrandbits(n_bits) for _ in range(n // 2)]
        return half + [code ^ ones for code in half]
    if name in ("two clusters at t", "two clusters at t + 1"):
        apart = t if name.endswith("at t") else t + 1
        return [center, flipped(center, rng.sample(range(n_bits), min(apart, n_bits)))] * (n // 2)
    if name == "all but a few bits shared":
        free = rng.sample(range(n_bits), 7)
        return [flipped(center, [bit for bit in free if rng.random() < 0.5]) for _ in range(n)]
    message = f"no set of codes is called {name!r}"
    raise ValueError(message)


ADVERSARIAL = [
    "all equal",
    "all within t of one code",
    "arithmetic progression",
    "one bit set",
    "complement pairs",
    "two clusters at t",
    "two clusters at t + 1",
    "all but a few bits shared",
]
