"""What the command line shows of a calibration, as rich renderables; nothing is printed here."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from dedup.calibration.table import Calibration

if TYPE_CHECKING:
    from dedup.calibration.table import Calibration, Row


def calibration(found: "Calibration") -> RenderableType:
    """For each algorithm the pairs within each distance, what chance lets in, and what verification
    confirms.
    """
    views = {"upright": "", "mirrored": ", mirrored ones too", "all": ", in all orientations"}[
        found.orientations
    ]
    parts: list[RenderableType] = [
        Text(
            f"{found.pictures:,} different pictures were compared{views}. Expected chance pairs by"
            f" two sorts of decoys, {' and '.join(found.taken_out)}; chance: the share they are, ≤"
            f" (95 %): its upper bound; confirmed: by thumbnails, with {_confirming(found)}."
        )
    ]
    parts += [_distances(name, rows, found) for name, rows in found.alone.items()]

    if out := {name: n for name, n in found.taken_out.items() if n}:
        listed = ", ".join(f"{n:,} of {name}" for name, n in out.items())
        parts.append(
            Text(
                "Decoy pairs that verification confirms, which are not counted as chance:"
                f" {listed}."
            )
        )

    return Group(*parts)


def _distances(name: str, rows: "Sequence[Row]", found: "Calibration") -> Table:
    title = f"{name}, {found.bits} bits: pairs within each distance"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    decoys = list(rows[0].chance)
    for heading in ("≤ bits", "pairs", *decoys, "chance", "≤ (95 %)", "confirmed", "not"):
        table.add_column(heading, justify="right", no_wrap=True)

    for row in rows:
        share = row.chance_share
        rest = "–" if share is None else f"{100 * (1 - row.confirmed / row.pairs):.1f} %"
        table.add_row(
            f"{row.distances[name]}",
            f"{row.pairs:,}",
            *(f"{row.chance[decoy]:,.{0 if row.chance[decoy] >= 100 else 1}f}" for decoy in decoys),
            "–" if share is None else f"{100 * share:.1f} %",
            "–" if share is None else f"{100 * row.chance_bound:.1f} %",
            f"{row.confirmed:,}",
            rest,
        )

    return table


def thresholds(found: "Calibration", max_false: float) -> RenderableType:
    """Bare thresholds that keep the share of false pairs, with the lines to paste into a config."""
    # it imports numba; `--help` should not wait for it
    from dedup.calibration.table import (
        pairs_needed,
        picked,
    )

    parts: list[RenderableType] = []
    needed = pairs_needed(max_false)
    for rows in [*found.alone.values(), *([found.both] if found.both else [])]:
        names = " and ".join(dict.fromkeys(name for row in rows for name in row.distances))
        agree = len(rows[0].distances) > 1
        title = f"two of {names} that must agree" if agree else f"{names} alone"
        row, by_chance = picked(rows, max_false), picked(rows, max_false, verified=False)
        if row is not None:
            parts += [
                Text.from_markup(f"[green]{title}[/]: {_said(row)}"),
                Text(_settings(row), style="bold"),
            ]
        elif by_chance is not None:
            parts.append(
                Text.from_markup(f"[yellow]{title}[/]: none. By chance alone {_said(by_chance)}")
            )
        elif max(row.pairs for row in rows) < needed:
            most = max(row.pairs for row in rows)
            text = (
                f"too few pairs to tell: {needed:,} are needed for a bound of {100 * max_false:g}"
                f" %, there are {most:,}"
            )
            parts.append(Text.from_markup(f"[yellow]{title}[/]: {text}."))
        else:
            parts.append(
                Text.from_markup(
                    f"[yellow]{title}[/]: none; at every distance chance may let in more."
                )
            )

    if not any(picked(rows, max_false) for rows in [*found.alone.values(), found.both]):
        parts.append(
            Text(
                f"No bare threshold keeps false pairs below {100 * max_false:g} % here. Keep"
                " verify.method: pixels."
            )
        )

    return Group(*parts)


def _said(row: "Row") -> str:
    within = " and ".join(f"{name} ≤ {distance}" for name, distance in row.distances.items())
    return (
        f"{within}: {row.pairs:,} pairs, at the most {100 * row.chance_bound:.2f} % by chance;"
        f" verification confirms {row.confirmed:,} of them."
    )


def _settings(row: "Row") -> str:
    distances = ", ".join(f"{name}: {distance}" for name, distance in row.distances.items())
    return (
        f"hash:\n  algorithms: [{', '.join(row.distances)}]\nsearch:\n  max_distance:"
        f" {{{distances}}}\n  combine: {'all' if len(row.distances) > 1 else 'any'}\nverify:\n "
        " method: none"
    )


def _confirming(found: "Calibration") -> str:
    similar = f"similarity ≥ {found.min_similarity:g}"
    if found.max_false_probability == 1:
        return similar
    return f"false probability ≤ {found.max_false_probability:g} and {similar}"
