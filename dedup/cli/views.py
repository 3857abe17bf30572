"""What the command line shows, as rich renderables; nothing is printed here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dedup.reporting.dataset import in_a_line, recorded
from dedup.reporting.plain import plain
from dedup.reporting.words import counted, gone_with_every_match, shifted
from dedup.reporting.words import facts as leak_facts
from dedup.tables import ABSENT

if TYPE_CHECKING:
    from dedup.comparison import Comparison
    from dedup.demo import Score
    from dedup.gating.checks import Check


_LABEL_PAIRS: Final = 5  # pairs of labels in conflict that are shown

MAX_SPLITS: Final = 12  # columns of the matrix that a terminal has room for


def literal(text: str) -> str:
    r"""Text from a dataset, for rich: markup is not obeyed, nor are control codes, which become
    `\x1b` and the like.
    """
    return escape(plain(text))


def overview(summary: Mapping[str, Any], *, written: bool) -> RenderableType:
    """Counts, split × split matrix, leaking shares, warnings and certificate of a run.

    `written`: whether the kept samples were written, or would only be.
    """
    parts: list[RenderableType] = []
    if text := summary.get("understood"):
        parts.append(Text(f"Understood: {plain(text)}"))

    parts += [_counts(summary, written=written), _matrix(summary)]
    parts += [*_without_picture(summary), *_warned(summary)]
    parts += [*_leaks(summary), *_further(summary), *_not_looked_for(summary)]
    if certificate := summary.get("certificate"):
        colour = "green" if certificate["clean"] else "red"
        parts.append(Text(f"Certificate: {certificate['statement']}", style=colour))

    return Group(*parts)


def _without_picture(summary: Mapping[str, Any]) -> list[RenderableType]:
    """How many samples could not be read or have no image, and what is done with them."""
    parts: list[RenderableType] = []
    by_status = summary["samples"]["by_status"]
    if unreadable := {of: n for of, n in by_status.items() if of not in {"ok", ABSENT}}:
        where = "what is wrong with each is in hashes.parquet"
        parts.append(Text(f"Unreadable: {_listed(unreadable)}; {where}."))

    if without := summary["samples"].get("without_image"):
        rows = "row has no image and is" if without == 1 else "rows have no image and are"
        parts.append(Text(f"{without:,} {rows} kept."))

    if stay := summary["decisions"]["by_reason"].get("unreadable, kept"):
        stays = "stays" if stay == 1 else "stay"
        parts.append(Text(f"{stay:,} of them {stays}, as policy.unreadable says."))

    return parts


def _warned(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Warnings, recordings in several splits, and what was not read."""
    warnings = [*summary["warnings"], recorded(summary.get("recordings"))]
    parts: list[RenderableType] = [
        Text.from_markup(f"[yellow]Warning:[/] {literal(text)}") for text in warnings if text
    ]
    if line := in_a_line(summary.get("not_read", {})):
        parts.append(Text(plain(line)))

    return parts


def _leaks(summary: Mapping[str, Any]) -> list[RenderableType]:
    """For each held-out split how many of its images are also in train."""
    parts: list[RenderableType] = []
    for name, found in summary["leakage"].items():
        colour = "red" if found["leaking"] else "green"
        number = f"[{colour}]{found['leaking']:,} of {found['images']:,}[/]"
        share = f"{100 * found['share']:.2f} %"
        line = f"{number} images of '[bold]{literal(name)}[/]' are also in train ({share})"
        parts.append(Text.from_markup(line))

    return parts


def _not_looked_for(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Copies within held-out splits, which stay, and what the settings leave out."""
    parts: list[RenderableType] = []
    for name in summary["leakage"]:
        if twins := summary["leakage_matrix"][name][name]:
            shown = literal(name)
            line = f"{twins:,} images of '{shown}' match another image of '{shown}'"
            parts.append(Text.from_markup(f"{line}; held-out splits keep them."))

    if summary["resolved"]["orientations"] == "upright":
        line = "Mirrored and rotated copies were not searched (search.orientations)."
        parts.append(Text(line, style="dim"))

    if not summary["leakage"]:
        parts.append(Text("There is no held-out split beside train: duplicates only."))

    return parts


def _further(summary: Mapping[str, Any]) -> list[RenderableType]:
    """Leaks through groups, chains, labels in conflict, and what regrouping moved."""
    parts: list[RenderableType] = []
    for name, found in (summary["group_leakage"] or {}).items():
        colour = "red" if found["leaking"] else "green"
        parts.append(
            Text.from_markup(
                f"[{colour}]{found['leaking']:,} of {found['images']:,}[/] images of"
                f" '[bold]{literal(name)}[/]' are of a group that is also in train"
                f" ({100 * found['share']:.2f} %)"
            )
        )
    for side, other in (("train", "held-out"), ("held-out", "train")):
        if chained := summary[f"chained_{side.replace('-', '_')}_images"]:
            parts.append(
                Text(
                    f"{chained:,} {side} {'image matches' if chained == 1 else 'images match'} no"
                    f" {other} one, but {'leads' if chained == 1 else 'lead'} to one through others"
                    " (chains.parquet; policy.chains)."
                )
            )
    if conflicts := summary["label_conflicts"]:
        shown = ", ".join(
            f"{' / '.join(one['labels'])} ({one['pairs']:,})" for one in conflicts[:_LABEL_PAIRS]
        )
        more = ", …" if len(conflicts) > _LABEL_PAIRS else ""
        total = summary["pairs"]["label_conflicts"]
        have = "pair has" if total == 1 else "pairs have"
        parts.append(
            Text(
                f"{total:,} {have} different labels (policy.label_conflicts): {plain(shown)}{more}"
            )
        )

    if gone := gone_with_every_match(summary):
        parts.append(Text(gone))
    if summary["regroup"]:
        parts.append(_regroup(summary["regroup"]))

    return parts


def _regroup(splits: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    table = Table(title="Regrouped", title_justify="left", title_style="bold")
    table.add_column("split")
    for name in (
        "before",
        "moved out",
        "moved in",
        "dropped",
        "unreadable",
        "after",
        "labels shifted",
    ):
        table.add_column(name, justify="right", min_width=max(map(len, name.split())))

    for name, of in splits.items():
        counts = [
            of[key] for key in ("before", "moved_out", "moved_in", "dropped", "unreadable", "after")
        ]
        table.add_row(
            literal(name), *(f"{n:,}" for n in counts), f"{100 * of['label_shift']:.1f} %"
        )

    labels = [
        Text(f"Labels of {plain(name)}: {plain(text)}")
        for name, of in splits.items()
        if (text := shifted(of))
    ]

    return Group(table, *labels)


def _counts(summary: Mapping[str, Any], *, written: bool) -> Table:
    table = Table(title="Samples", title_justify="left", title_style="bold")
    table.add_column("split")
    names = counted(summary, written=written)
    for name in names.values():
        table.add_column(name, justify="right")

    rows = [(name, n) for name, n in summary["splits"].items()]
    for name, n in rows:
        table.add_row(literal(name), *(f"{n[key]:,}" for key in names))

    if len(rows) > 1:
        table.add_section()
        table.add_row("all", *(f"{sum(n[key] for _, n in rows):,}" for key in names), style="bold")

    return table


def _matrix(summary: Mapping[str, Any]) -> Table:
    matrix = summary["leakage_matrix"]
    table = Table(
        title="Images with a match, split × split", title_justify="left", title_style="bold"
    )
    table.add_column("images of ↓ that match one of →")
    shown = list(matrix)[:MAX_SPLITS]
    for name in shown:
        table.add_column(literal(name), justify="right")

    for name in shown:
        row = {other: matrix[name][other] for other in shown}
        table.add_row(
            literal(name),
            *(f"[red]{n:,}[/]" if n and other != name else f"{n:,}" for other, n in row.items()),
        )

    if len(shown) < len(matrix):
        table.caption = f"{len(shown)} of {len(matrix)} splits; all are in summary.json"

    return table


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in counts.items())


def worst_leaks(rows: Sequence[Mapping[str, Any]], n_leaks: int) -> RenderableType:
    """A few leaks: the train sample and below it the held-out one, on lines of their own, ready to
    be copied.
    """
    lines = [f"[bold]Worst leaks[/] ({len(rows):,} of {n_leaks:,})"]
    for place, row in enumerate(rows, 1):
        sides = (("split", "label", "id"), ("witness_split", "witness_label", "witness_id"))
        width = max(len(plain(row[split] or "")) for split, _, _ in sides)
        lines.append(f"{place}. {leak_facts(row)}")
        for split, label, name in sides:
            behind = f"  ({literal(row[label])})" if row["label_conflict"] else ""
            lines.append(
                f"   {literal((row[split] or '').ljust(width))}  {literal(row[name])}{behind}"
            )

    return Text.from_markup("\n".join(lines), overflow="ignore")


def checks(found: "Iterable[Check]") -> RenderableType:
    """The checks of a gate, a line each."""
    words = {
        "passed": "[green]passed[/]  ",
        "failed": "[red]failed[/]  ",
        "not judged": "[dim]no limit[/]",
    }
    lines = [f"{words[check.state]}  {literal(check.message)}" for check in found]

    return Text.from_markup("\n".join(lines), overflow="ignore")


def comparison(found: "Comparison") -> RenderableType:
    """One pair explained, with the two thumbnails drawn in half blocks."""
    facts = Table(show_header=True, title_justify="left")
    facts.add_column("")
    facts.add_column("a", overflow="fold")
    facts.add_column("b", overflow="fold")
    facts.add_row("file", literal(found.a.name), literal(found.b.name))
    facts.add_row(
        "size", f"{found.a.width} × {found.a.height}", f"{found.b.width} × {found.b.height}"
    )
    facts.add_row("format", found.a.format, found.b.format)
    facts.add_row("bytes", f"{found.a.n_bytes:,}", f"{found.b.n_bytes:,}")
    facts.add_row(
        "information, grey levels", f"{found.a.information:.1f}", f"{found.b.information:.1f}"
    )
    thumbnails = Table.grid(padding=(0, 2))
    thumbnails.add_row(_thumbnail(found.a.thumbnail), _thumbnail(found.b.thumbnail))
    measures = Table(show_header=True)
    measures.add_column("measure")
    measures.add_column("value", justify="right")
    measures.add_row("same bytes", "yes" if found.same_bytes else "no")
    measures.add_row("same pixels", "yes" if found.same_pixels else "no")
    for name, bits in found.distances.items():
        measures.add_row(f"{name} distance, {found.mode}", f"{bits} of {found.bits} bits")
    measures.add_row("similarity", f"{found.similarity:.3f}")
    if found.close_similarity is not None:
        measures.add_row("similarity seen closely", f"{found.close_similarity:.3f}")
    if found.unframed is not None:
        whose = (
            "without frames" if found.unframed == "both" else f"{found.unframed} without its frame"
        )
        measures.add_row(f"similarity, {whose}", f"{found.unframed_similarity:.3f}")
    if found.colour_differs is not None:
        measures.add_row("other colours", "yes" if found.colour_differs else "no")
    if found.turned_similarity > found.similarity:
        measures.add_row(
            f"similarity, b turned: {found.best_turn}", f"{found.turned_similarity:.3f}"
        )
    colour = "green" if found.kind else "yellow"
    return Group(facts, thumbnails, measures, Text(found.verdict(), style=f"bold {colour}"))


def _thumbnail(grey: Any) -> Text:
    """Two rows of grey pixels to a line: the upper as the colour of ▀, the lower as its
    background.
    """
    text = Text(no_wrap=True)
    for upper, lower in zip(grey[0::2], grey[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("▀", style=f"rgb({above},{above},{above}) on rgb({below},{below},{below})")
        text.append("\n")

    text.rstrip()

    return text


def planted(scores: "Iterable[Score]") -> Table:
    """How many of the demo's planted copies were found."""
    table = Table(title="Planted copies", title_justify="left", title_style="bold")
    table.add_column("sort")
    for name in ("planted", "found", "missed, too plain", "leaks planted", "leaks removed"):
        table.add_column(name, justify="right")

    for score in scores:
        found = "green" if score.found == score.planted else "yellow"
        removed = "green" if score.leaks_removed == score.leaks else "yellow"
        table.add_row(
            score.sort,
            f"{score.planted}",
            f"[{found}]{score.found}[/]",
            f"{score.plain}",
            f"{score.leaks}",
            f"[{removed}]{score.leaks_removed}[/]",
        )

    return table


def size(n_bytes: int) -> str:
    """Bytes for people.

    >>> [size(n) for n in (0, 999, 1_500, 20_000_000_000)]
    ['0 B', '999 B', '1.5 kB', '20.0 GB']
    """
    units = ("B", "kB", "MB", "GB", "TB")
    value, unit = float(n_bytes), 0
    while value >= 1000 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1

    return f"{value:.1f} {units[unit]}" if unit else f"{n_bytes} B"
