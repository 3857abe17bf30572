"""The plot of a calibration, as an SVG: pairs, chance pairs and confirmed pairs within each
distance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from dedup.calibration.table import Calibration, Row

_INNER: Final = 320  # pixels of a panel
_DEPTH: Final = 240
_PANEL: Final = 400  # with its margins
_COLOURS: Final = ("#c2410c", "#1d4ed8")  # of the decoys


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity over the distances."""

    name: str
    colour: str
    dashed: bool
    points: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One algorithm."""

    name: str
    left: int
    counts: tuple[Tick, ...]
    distances: tuple[Tick, ...]
    lines: tuple[Line, ...]


def plot(calibration: Calibration) -> str:
    """The SVG's text: one panel for each algorithm, counts on a logarithmic axis."""
    panels = [
        _panel(name, rows, 60 + _PANEL * at)
        for at, (name, rows) in enumerate(calibration.alone.items())
    ]
    environment = Environment(
        loader=PackageLoader("dedup.calibration", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip

    return environment.get_template("plot.svg.j2").render(
        title=f"Pairs among {calibration.pictures:,} pictures within each distance",
        width=max(_PANEL * len(panels), 700),
        height=_DEPTH + 130,
        inner=_INNER,
        depth=_DEPTH,
        panels=panels,
    )


def _panel(name: str, rows: Sequence[Row], left: int) -> Panel:
    decades = max(1, math.ceil(math.log10(max([10, *(row.pairs for row in rows), *_most(rows)]))))
    last = max(1, len(rows) - 1)

    def height(count: float) -> float:
        return round(_DEPTH * (1 - max(0.0, math.log10(max(count, 1.0))) / decades), 1)

    def line(label: str, colour: str, counts: Sequence[float], *, dashed: bool = False) -> Line:
        points = " ".join(
            f"{_INNER * at / last:.1f},{height(count)}" for at, count in enumerate(counts)
        )
        return Line(label, colour, dashed, points)

    lines = [
        line("pairs", "#111827", [row.pairs for row in rows]),
        *(
            line(f"by chance: {decoy}", colour, [row.chance[decoy] for row in rows], dashed=True)
            for decoy, colour in zip(rows[0].chance, _COLOURS, strict=True)
        ),
        line("confirmed", "#15803d", [row.confirmed for row in rows]),
    ]
    step = max(1, len(rows) // 8)

    return Panel(
        name,
        left,
        tuple(Tick(height(10**k), f"{10**k:,}") for k in range(decades + 1)),
        tuple(Tick(round(_INNER * at / last, 1), str(at)) for at in range(0, len(rows), step)),
        tuple(lines),
    )


def _most(rows: Sequence[Row]) -> list[float]:
    return [max(row.chance.values()) for row in rows]
