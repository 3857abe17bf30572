"""Which candidates are pairs, at the limits themselves."""

import itertools

import numpy as np
import pytest

from dedup.acceptance import accepted

NOT_LOOKED = float("nan")
LEVELS = (0.8699, 0.87, 0.8701, 0.91, 0.9399, 0.94, 0.9401)
CLOSE = (NOT_LOOKED, 0.9099, 0.91, 0.9101)


def by_hand(similarity: float, close: float, limits: tuple[float, float, float]) -> bool:
    """Seen closely, both limits count; else the thumbnails alone must reach the higher one. All are inclusive."""
    together, closely, alone = limits
    if close != close:
        return similarity >= max(together, alone)
    return similarity >= together and close >= closely


@pytest.mark.parametrize("limits", [(0.87, 0.91, 0.94), (0.94, 0.91, 0.87), (0.0, 0.0, 0.0), (0.87, 0.91, 1.0)])
def test_limits_are_inclusive(limits: tuple[float, float, float]) -> None:
    """A little below, at, and a little above every limit, with and without a second look."""
    cases = list(itertools.product(LEVELS, CLOSE))
    similarity, close = (np.array(column, np.float32) for column in zip(*cases, strict=True))

    assert [by_hand(*case, limits) for case in cases] == accepted(similarity, close, *limits).tolist()


def test_without_verification_all_are() -> None:
    """A bare threshold on distances asks for no similarity."""
    nothing = np.full(3, np.nan, np.float32)

    assert accepted(nothing, nothing, None, None, None).all()
