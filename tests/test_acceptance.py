"""Which candidates are pairs, at the limits themselves."""

import itertools

import numpy as np
import pytest

from dedup.policy.acceptance import accepted

NOT_LOOKED = float("nan")
LEVELS = (0.8699, 0.87, 0.8701, 0.91, 0.9399, 0.94, 0.9401)
CLOSE = (NOT_LOOKED, 0.9099, 0.91, 0.9101)


def by_hand(similarity: float, close: float, view: int, limits: tuple[float, float, float]) -> bool:
    """Seen closely, both limits count; else the thumbnails alone must reach the higher one. All are inclusive.

    Where both pictures are seen without their frames (view 3), all three count.
    """
    together, closely, alone = limits
    if close != close:
        return similarity >= max(together, alone)
    return similarity >= (max(together, alone) if view == 3 else together) and close >= closely


@pytest.mark.parametrize("limits", [(0.87, 0.91, 0.94), (0.94, 0.91, 0.87), (0.0, 0.0, 0.0), (0.87, 0.91, 1.0)])
def test_limits_are_inclusive(limits: tuple[float, float, float]) -> None:
    """A little below, at, and a little above every limit, with and without a second look."""
    cases = list(itertools.product(LEVELS, CLOSE, range(4)))
    similarity, close, views = (np.array(column, np.float32) for column in zip(*cases, strict=True))
    found = accepted(similarity, close, views.astype(np.uint8), *limits)

    assert [by_hand(*case, limits) for case in cases] == found.tolist()


def test_without_verification_all_are() -> None:
    """A bare threshold on distances asks for no similarity."""
    nothing = np.full(3, np.nan, np.float32)

    assert accepted(nothing, nothing, np.arange(1, 4, dtype=np.uint8), None, None, None).all()
