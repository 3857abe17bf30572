"""The boxes that annotations draw into a picture, as a text: what copies of one picture are
compared by.
"""

from collections.abc import Iterable
from typing import Final

BOXES: Final = "boxes"
"""What stands in front of them where a table says how rows of one picture differ."""

Box = tuple[str, float, float, float, float]
"""Class, left, top, right, bottom: from 0 to 1 of the sides of the picture."""

_MAX_SHIFT: Final = 0.01
"""Of a side, by which an edge of one box may lie elsewhere: pixels of a copy of half the size are
rounded by less.
"""


def boxes_as_text(boxes: Iterable[Box]) -> str:
    """Sorted, and without a space, so that equal boxes are equal texts whatever their order.

    >>> boxes_as_text([("stop sign", 0.5, 0.5, 1, 1), ("car", 0, 0, 0.25, 1)])
    'car:0,0,0.25,1;stop_sign:0.5,0.5,1,1'
    """
    return ";".join(
        f"{_word(name)}:{','.join(f'{edge:.4g}' for edge in edges)}"
        for name, *edges in sorted(boxes)
    )


def differ(one: str, other: str) -> bool:
    """Whether a box of one text has no counterpart in the other: of its class, with all edges at
    the same place.

    >>> differ("car:0,0,0.25,1", "car:0.004,0,0.25,1"), differ("car:0,0,0.25,1", "car:0,0,0.5,1")
    (False, True)
    """
    left, right = _parsed(one), _parsed(other)
    if len(left) != len(right):
        return True

    for name, edges in left:
        counterpart = next(
            (box for box in right if box[0] == name and _are_near(edges, box[1])), None
        )
        if counterpart is None:
            return True
        right.remove(counterpart)

    return False


def _are_near(one: list[float], other: list[float]) -> bool:
    return all(abs(a - b) <= _MAX_SHIFT for a, b in zip(one, other, strict=True))


def _parsed(text: str) -> list[tuple[str, list[float]]]:
    parts = [part.rpartition(":") for part in text.split(";") if part]

    return [(name, [float(edge) for edge in edges.split(",")]) for name, _, edges in parts]


def _word(name: str) -> str:
    """A class without what separates boxes."""
    return "_".join(name.replace(";", " ").replace("=", " ").split())
