"""Seconds against the number of codes, as a drawing: docs/search-scaling.svg."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import codes as sets
from benchmarks import peers
from benchmarks.codes import Codes
from benchmarks.peers import Timing, timed
from dedup.search import join

DRAWING = Path(__file__).parents[1] / "docs" / "search-scaling.svg"
COLOURS = {4: "#1b7837", 8: "#2166ac", 12: "#b2182b"}
_LAST_T12 = 10**7
_MEASURED_PEERS = 10**6  # beyond it the peers' part of a second says nothing new: they are quadratic


def draw(threads: int, largest: int) -> None:
    """Measures all points, smallest first, and writes the SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "dedup"
    from matplotlib import pyplot as plt

    sizes = [10**k for k in range(4, 9) if 10**k <= largest]
    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    join(sets.uniform(3000), max_distance=4, finder="banded")
    for t, colour in COLOURS.items():
        points = [(n, _seconds(n, t, threads)) for n in sizes if t < 12 or n <= _LAST_T12]
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=f"dedup, t = {t}")
    _peer(axes, sizes, "brute force of dedup", "#666666", lambda one: _brute(one, threads))
    _peer(
        axes, sizes, "faiss IndexBinaryFlat", "#e08214", lambda one: peers.faiss_flat(one, None, 8, threads)
    )
    axes.set(xscale="log", yscale="log", xlabel="codes of 64 bits, joined with themselves", ylabel="seconds")
    axes.set_title(f"All pairs within t bits, {threads} threads (dashed: extrapolated)", fontsize=10)
    axes.grid(which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(DRAWING, metadata={"Date": None})
    print(f"wrote {DRAWING}")


def _seconds(n: int, t: int, threads: int) -> float:
    one = sets.uniform(n)
    best = min(
        timed(lambda: join(one, max_distance=t, threads=threads, limit=10**9))
        for _ in range(3 if n < 10**7 else 1)
    )
    print(f"{n:>11,}  t = {t:<3} {best:.4g} s", flush=True)
    return best


def _brute(one: Codes, threads: int) -> Timing:
    seconds = timed(lambda: join(one, max_distance=8, threads=threads, finder="brute", limit=10**9))
    return Timing(seconds)


def _peer(axes: Any, sizes: list[int], name: str, colour: str, measure: Callable[[Codes], Timing]) -> None:
    """A line, whole where the job was run and dashed where a part of it or a square law says how long."""
    points = []
    for n in [n for n in sizes if n <= _MEASURED_PEERS]:
        timing = measure(sets.uniform(n))
        if timing.seconds is None:
            print(f"{name}: {timing.note}", flush=True)
            return
        print(f"{n:>11,}  {name} {timing}", flush=True)
        points.append((n, timing.seconds, timing.measured == 1))
    whole = [(n, s) for n, s, full in points if full]
    guessed = whole[-1:] + [(n, s) for n, s, full in points if not full]
    guessed += [(n, points[-1][1] * (n / points[-1][0]) ** 2) for n in sizes if n > points[-1][0]]
    plot = axes.plot
    plot(*zip(*whole, strict=True), "s-", color=colour, label=name, markersize=4)
    plot(*zip(*guessed, strict=True), "s--", color=colour, markersize=3)
