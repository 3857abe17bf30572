"""What a notebook shows of results: a sentence, a table, and pictures. Names and labels are
hostile: all is escaped.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 160  # pixels of a picture in a cell


@dataclass(frozen=True, slots=True)
class Sheet:
    """A part of a page that notebooks show."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def sheet(
    groups: Sequence[tuple[Sequence[str], str]],
    classes: Mapping[str, Any],
    formats: Sequence[Mapping[str, Any]],
) -> Sheet:
    """Groups as rows of pictures, with a text each; classes by splits; sizes and formats."""
    columns = ["class", "images", "dropped", *classes["columns"]]
    rows = [[row["label"], row["images"], row["dropped"], *row["pairs"]] for row in classes["rows"]]
    sizes = ["format", "images", "smallest", "median", "largest"]
    parts = [
        paragraph("The largest groups:" if groups else "No group was found."),
        pictures(groups),
        paragraph("Images of each class, and pairs by the splits that they join:"),
        table(columns, rows),
        paragraph("Formats, and the longer side in pixels:"),
        table(sizes, [[one[name] for name in sizes] for one in formats]),
    ]

    return Sheet("".join(parts))


def paragraph(text: str) -> str:
    """A sentence."""
    return f"<p>{escape(text)}</p>"


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; numbers are grouped by thousands."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )

    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pictures(cases: Iterable[tuple[Sequence[str], str]]) -> str:
    """Rows of pictures, given as `data:` URIs, with a text beside each row."""
    rows = []
    for shown, text in cases:
        cells = "".join(f"<td><img src='{uri}' style='max-width:{SIDE}px'></td>" for uri in shown)
        rows.append(f"<tr>{cells}<td style='text-align:left'>{escape(text)}</td></tr>")

    return f"<table>{''.join(rows)}</table>" if rows else ""


def uri(image: Image.Image | None) -> str:
    """A picture of at most SIDE pixels as a `data:` URI; an empty one where there is none."""
    if image is None:
        return "data:,"

    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE))
    sink = BytesIO()
    small.save(sink, "JPEG", quality=85)

    return "data:image/jpeg;base64," + base64.b64encode(sink.getvalue()).decode()


def enlarged(grey: NDArray[np.uint8]) -> Image.Image:
    """A thumbnail as large as the other pictures, its pixels seen."""
    return Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def difference(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Where two thumbnails differ: black where they do not, twice as bright as the difference."""
    away = np.abs(one.astype(np.int16) - two.astype(np.int16))
    bright: NDArray[np.uint8] = np.minimum(2 * away, 255).astype(np.uint8)
    return bright


def counts(summary: Mapping[str, Any]) -> str:
    """The samples of each split, and what became of them."""
    splits = summary["splits"]
    names = list(
        dict.fromkeys(key for of in splits.values() for key, n in of.items() if isinstance(n, int))
    )

    return table(
        ["split", *names],
        ([name, *(of.get(key, 0) for key in names)] for name, of in splits.items()),
    )


def sentence(summary: Mapping[str, Any]) -> str:
    """What is wrong with a dataset."""
    done = summary["decisions"]
    leaks = [
        f"{found['leaking']:,} of {found['images']:,} images of {name!r} are also in train "
        f"({100 * found['share']:.2f} %)"
        for name, found in summary["leakage"].items()
    ]
    leaking = (
        "; ".join(leaks) or "No held-out split beside train, so only duplicates were looked for"
    )

    return (
        f"{leaking}. {done['keep']:,} samples stay, {done['drop']:,} go, {done['unreadable']:,} are"
        " unreadable."
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))


def doubtful(pairs: Sequence[Mapping[str, Any]], n: int) -> Iterator[Mapping[str, Any]]:
    """The near pairs that are most likely to be different pictures, the most doubtful first."""
    near = [row for row in pairs if row["kind"] not in {"bytes", "pixels"}]
    yield from sorted(
        near, key=lambda row: (-(row.get("false_probability") or 0), row["similarity"] or 0)
    )[:n]
