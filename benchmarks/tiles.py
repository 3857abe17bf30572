"""Joins in tiles against one join, and a join far larger than its memory.

    python -m benchmarks.tiles pairs
    python -m benchmarks.tiles large --rows 100000000

`pairs`: the same codes joined at once and under a limit of memory that leaves two blocks, then
four: the pairs must be equal, and the processor time of both is printed. `large`: random codes in a
mapped file, joined by a process whose address space is limited as by `ulimit -v`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dedup.memory import own_memory, peak_memory, within_memory
from dedup.search import Matches, join, plan
from dedup.search.blocks import Blocks
from dedup.search.plans import memory_of_tile

CASES = [(4_000_000, 64, 6), (4_000_000, 64, 8), (1_000_000, 256, 40)]
"""Rows, bits and distance of the joins that are compared."""

GOAL = 1.75
"""Times the processor time of one join that two blocks may take."""


def codes_of(n: int, n_bits: int, seed: int = 28) -> NDArray[np.uint64]:
    """Random codes, of which each hundredth is another one with up to 12 of 64 bits flipped."""
    chance = np.random.default_rng(seed)
    words = n_bits // 64
    codes = chance.integers(0, 2**64, (n, words), dtype=np.uint64)
    copies = n // 100
    codes[-copies:] = codes[:copies]
    for _ in range(12 * words):
        word = chance.integers(words, size=copies)
        bit = chance.integers(64, size=copies).astype(np.uint64)
        flipped = chance.random(copies) < 0.5
        codes[n - copies + np.flatnonzero(flipped), word[flipped]] ^= np.uint64(1) << bit[flipped]
    return codes


@contextmanager
def in_blocks(n: int, n_bits: int, n_blocks: int) -> Iterator[None]:
    """A limit of memory in which a join of n rows is done in so many blocks."""
    rows = -(-n // n_blocks)
    blocks = Blocks.narrowest(rows)
    tile = memory_of_tile(rows, n_bits // 64, blocks.widest, len(os.sched_getaffinity(0)))
    with within_memory(own_memory() + tile + (1 << 22)):
        yield


def timed(codes: NDArray[np.uint64], max_distance: int) -> tuple[Matches, float, float]:
    """The pairs, with the seconds of the processor and of the clock."""
    begin, began = time.process_time(), time.perf_counter()
    found = join(codes, max_distance=max_distance)
    return found, time.process_time() - begin, time.perf_counter() - began


def pairs(repeats: int) -> bool:
    """Print the table; whether all pairs are equal and two blocks are within the goal."""
    good = True
    print("rows       bits   t  blocks  tiles      pairs   one join, CPU s   tiles, CPU s   factor")
    join(codes_of(200_000, 64), max_distance=6)  # compiles
    join(codes_of(200_000, 256), max_distance=40)
    for n, n_bits, t in CASES:
        codes = codes_of(n, n_bits)
        runs = [timed(codes, t) for _ in range(repeats)]
        whole, seconds = runs[0][0], min(run[1] for run in runs)
        for n_blocks in (2, 4):
            with in_blocks(n, n_bits, n_blocks):
                chosen = plan(codes, max_distance=t)
                tiled = [timed(codes, t) for _ in range(repeats)]
            in_tiles = min(run[1] for run in tiled)
            same = all(
                np.array_equal(getattr(whole, name), getattr(tiled[0][0], name))
                for name in ("a", "b", "distance")
            )
            factor = in_tiles / seconds
            good &= same and (n_blocks > 2 or factor <= GOAL)
            print(
                f"{n:<10,} {n_bits:4} {t:3} {n_blocks:7} {chosen.tiles:6} {len(whole):10,}"
                f" {seconds:17.2f} {in_tiles:14.2f} {factor:8.2f}"
                f"{'' if same else '   THE PAIRS DIFFER'}"
            )
    return good


def large(rows: int, limit: int, threads: int) -> bool:
    """Join so many random codes in a process of limited address space; whether it did it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "codes.npy"
        codes = np.lib.format.open_memmap(file, "w+", np.uint64, (rows, 1))
        chance = np.random.default_rng(28)
        for begin in range(0, rows, 1 << 22):
            part = codes[begin : begin + (1 << 22)]
            part[:] = chance.integers(0, 2**64, part.shape, dtype=np.uint64)
        # a known pair in the corners of the triangle of tiles: the first row and the last
        codes[-1] = codes[0] ^ np.uint64(0b111111)
        codes.flush()
        del codes
        command = [sys.executable, "-m", "benchmarks.tiles", "limited", str(file)]
        more = ["--limit", str(limit), "--threads", str(threads)]
        return subprocess.run([*command, *more], check=False).returncode == 0


def limited(file: Path, limit: int, threads: int) -> bool:
    """The join of a file of codes, within a limit of this process's address space."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    codes = np.load(file, mmap_mode="r")
    print(plan(codes, max_distance=6, threads=threads), flush=True)
    begin, began = time.process_time(), time.perf_counter()
    found = join(codes, max_distance=6, threads=threads)
    cpu, wall = time.process_time() - begin, time.perf_counter() - began
    corner = bool(((found.a == 0) & (found.b == len(codes) - 1)).any())
    expected = len(codes) * (len(codes) - 1) / 2 * _ball(64, 6) / 2.0**64
    print(
        f"{len(codes):,} codes of 64 bits within 6, address space {limit / 1e9:.2f} GB:"
        f" {len(found):,} pairs (by chance {expected:,.0f}), {wall:.0f} s, {cpu:.0f} s of the"
        f" processor, peak of resident memory {(peak_memory() or 0) / 1e9:.2f} GB with the pages of"
        f" the file, the planted pair {'found' if corner else 'MISSED'}"
    )
    return corner


def _ball(n_bits: int, radius: int) -> float:
    from math import comb

    return float(sum(comb(n_bits, k) for k in range(radius + 1)))


def main() -> None:
    """Exit code 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pairs", "large", "limited"])
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--limit", type=int, default=2_000_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    if given.what == "pairs":
        good = pairs(given.repeats)
    elif given.what == "large":
        good = large(given.rows, given.limit, given.threads)
    else:
        good = limited(given.file, given.limit, given.threads)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
