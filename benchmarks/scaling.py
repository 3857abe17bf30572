"""Seconds against the number of codes, as a drawing: docs/search-scaling.svg."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import codes as sets
from benchmarks import peers
from benchmarks.codes import Codes
from benchmarks.peers import Timing, timed
from dedup.search import join

DRAWING = Path(__file__).parents[1] / "docs" / "search-scaling.svg"
COLOURS = {4: "#1b7837", 8: "#2166ac", 12: "#b2182b"}


@dataclass(slots=True)
class Line:
    """One line of the drawing: points (codes, seconds, measured in full)."""

    name: str
    colour: str
    measure: Callable[[Codes], Timing]
    largest: int  # codes; the peers are quadratic, and beyond it a part of them says nothing new
    points: list[tuple[int, float, bool]] = field(default_factory=list)


def draw(threads: int, largest: int) -> None:
    """Measures all points, smallest first, and writes the SVG anew after each size."""
    join(sets.uniform(3000), max_distance=4, finder="banded")
    lines = [
        Line(
            f"dedup, t = {t}",
            colour,
            partial(_ours, t=t, threads=threads),
            10**7 if t == 12 else 10**8,
        )
        for t, colour in COLOURS.items()
    ]
    lines.append(
        Line("brute force of dedup, t = 8", "#666666", partial(_brute, threads=threads), 10**6)
    )
    lines.append(
        Line("faiss IndexBinaryFlat, t = 8", "#e08214", partial(_flat, threads=threads), 10**6)
    )
    sizes = [10**k for k in range(4, 9) if 10**k <= largest]
    for n in sizes:
        one = sets.uniform(n)
        for line in lines:
            if n > line.largest:
                continue
            timing = line.measure(one)
            print(f"{n:>11,}  {line.name:<30} {timing}", flush=True)
            if timing.seconds is not None:
                line.points.append((n, timing.seconds, timing.measured == 1))
        _write(lines, sizes, threads)
    print(f"wrote {DRAWING}")


def _write(lines: list[Line], sizes: list[int], threads: int) -> None:
    """Whole lines where the job was run, dashed where a part of it or the square of N says how
    long.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.fonttype"] = "none"
    mpl.rcParams["svg.hashsalt"] = "dedup"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.2, 4.6))
    for line in lines:
        whole = [(n, seconds) for n, seconds, full in line.points if full]
        guessed = whole[-1:] + [(n, seconds) for n, seconds, full in line.points if not full]
        if not guessed:
            continue
        last, seconds = guessed[-1]
        if not line.name.startswith("dedup"):
            guessed += [(n, seconds * (n / last) ** 2) for n in sizes if n > last]
        axes.plot(*zip(*whole, strict=True), "o-", color=line.colour, label=line.name, markersize=4)
        axes.plot(
            *zip(*guessed, strict=True), "o--", color=line.colour, markersize=3, fillstyle="none"
        )
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="codes of 64 bits, joined with themselves",
        ylabel="seconds",
    )
    axes.set_title(
        f"All pairs within t bits, {threads} threads (dashed: extrapolated)", fontsize=10
    )
    axes.grid(which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(DRAWING, metadata={"Date": None})
    plt.close(figure)


def _ours(one: Codes, *, t: int, threads: int) -> Timing:
    repeats = 3 if len(one) < 10**7 else 1
    return Timing(
        min(
            timed(lambda: join(one, max_distance=t, threads=threads, limit=10**9))
            for _ in range(repeats)
        )
    )


def _brute(one: Codes, *, threads: int) -> Timing:
    return Timing(
        timed(lambda: join(one, max_distance=8, threads=threads, finder="brute", limit=10**9))
    )


def _flat(one: Codes, *, threads: int) -> Timing:
    return peers.faiss_flat(one, None, 8, threads)
