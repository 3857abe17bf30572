"""Which candidates are pairs, at the limits themselves, and how doubtful they are."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from dedup.config import LIMITS, build, resolve
from dedup.errors import ConfigError, RunError
from dedup.policy.acceptance import Evidence, Limits, accepted, false_probability

NOT_LOOKED = float("nan")
LEVELS = (0.8699, 0.87, 0.8701, 0.91, 0.9399, 0.94, 0.9401)
CLOSE = (NOT_LOOKED, 0.9099, 0.91, 0.9101)
NOTHING_DOUBTED = 1.0


def evidence(cases: Sequence[tuple[float, float, float, int]]) -> Evidence:
    """From (similarity, structure, close similarity, view)."""
    similarity, structure, close, views = zip(*cases, strict=True)
    columns = [np.array(column, np.float32) for column in (similarity, structure, close)]
    return Evidence(columns[0], columns[1], columns[2], np.array(views, np.uint8))


def by_hand(similarity: float, close: float, view: int, limits: tuple[float, float, float]) -> bool:
    """Seen closely, both limits count; else the thumbnails alone must reach the higher one. All are
    inclusive.

    Where both pictures are seen without their frames (view 3), all three count.
    """
    together, closely, alone = limits
    if close != close:
        return similarity >= max(together, alone)
    return similarity >= (max(together, alone) if view == 3 else together) and close >= closely


@pytest.mark.parametrize(
    "limits", [(0.87, 0.91, 0.94), (0.94, 0.91, 0.87), (0.0, 0.0, 0.0), (0.87, 0.91, 1.0)]
)
def test_plain_limits_are_inclusive(limits: tuple[float, float, float]) -> None:
    """A little below, at, and a little above every plain limit, with and without a second look."""
    cases = list(itertools.product(LEVELS, CLOSE, range(4)))
    found = accepted(
        evidence([(s, 150.0, c, v) for s, c, v in cases]), Limits(NOTHING_DOUBTED, *limits)
    )

    assert [by_hand(*case, limits) for case in cases] == found.tolist()


def test_without_verification_all_are() -> None:
    """A bare threshold on distances asks for no similarity."""
    nothing = evidence([(math.nan, math.nan, math.nan, view) for view in range(3)])

    assert accepted(nothing, None).all()
    assert np.isnan(false_probability(nothing)).all()


GRID = [
    (float(s), float(m), c, v)
    for s in np.linspace(0, 1, 41)
    for m in (math.nan, 0.0, 39.9, 60.0, 120.0, 150.0, 256.0)
    for c in (math.nan, 0.0, 0.5, 0.9, 0.95, 1.0)
    for v in range(4)
]


def test_probabilities_are_probabilities() -> None:
    """Whatever the evidence, the number is in [0, 1] and has four decimals at most."""
    found = false_probability(evidence(GRID))

    assert ((found >= 0) & (found <= 1)).all()
    assert np.array_equal(np.round(found, 4), found)


@pytest.mark.parametrize("what", ["similarity", "structure", "close"])
def test_more_evidence_never_makes_a_pair_more_doubtful(what: str) -> None:
    """Raising one number and keeping the others never raises the false probability."""
    place = ("similarity", "structure", "close").index(what)
    known = [case for case in GRID if not math.isnan(case[place])]
    more = 20.0 if what == "structure" else 0.02
    plus = [more if k == place else 0.0 for k in range(3)]
    raised = [
        (min(s + plus[0], 1.0), m + plus[1], min(c + plus[2], 1.0), v) for s, m, c, v in known
    ]
    raised = [
        (s, m, c if had == had else had, v)
        for (s, m, c, v), (_, _, had, _) in zip(raised, known, strict=True)
    ]

    before, after = false_probability(evidence(known)), false_probability(evidence(raised))

    assert (after <= before).all()


def test_unmeasured_structure_counts_as_the_least() -> None:
    """What nobody measured does not speak for a pair."""
    unknown, none = false_probability(
        evidence([(0.9, math.nan, math.nan, 0), (0.9, 0.0, math.nan, 0)])
    )

    assert unknown == none


def test_both_without_frames_need_thumbnails_and_closer_look() -> None:
    """Such a pair is as doubtful as the more doubtful of its two kinds of evidence."""
    alone, closely, both = false_probability(
        evidence([(0.85, 100.0, math.nan, 3), (0.85, 100.0, 0.99, 1), (0.85, 100.0, 0.99, 3)])
    )

    assert closely < alone
    assert max(alone, closely) == both


def test_the_limit_is_inclusive_and_depends_on_nothing_else() -> None:
    """A pair exactly at the limit is accepted, and other pairs beside it change nothing."""
    cases = [(0.93, 110.0, math.nan, 0), (0.97, 150.0, math.nan, 0), (0.9, 90.0, 0.95, 0)]
    every = false_probability(evidence(cases))

    for case, doubt in zip(cases, every, strict=True):
        (alone,) = false_probability(evidence([case]))
        at = Limits(float(doubt), 0.8, 0.0, 0.0)
        below = Limits(float(doubt) - 1e-4, 0.8, 0.0, 0.0)

        assert doubt == alone
        assert accepted(evidence([case]), at).all()
        assert not accepted(evidence([case]), below).any()


@pytest.mark.parametrize(
    ("verify", "expected"),
    [
        ({}, "evidence"),
        ({"max_false_probability": 0.02}, (0.02, 0.87, 0.0, 0.0)),
        ({"min_similarity": 0.5}, (1.0, 0.5, 0.91, 0.5)),
        ({"min_close_similarity": 0.88}, (1.0, 0.9, 0.88, 0.965)),
        ({"min_similarity": 0.9, "max_false_probability": 0.05}, (0.05, 0.9, 0.0, 0.0)),
        ({"method": "none"}, (None, None, None, None)),
    ],
)
def test_what_auto_resolves_to(verify: dict[str, object], expected: object) -> None:
    """Plain limits alone switch the false probability off; alone or with them it is the number that
    was set.
    """
    found = resolve(build({"verify": verify}), ["train"])
    limits = tuple(found.settings()[name] for name in LIMITS)

    if expected == "evidence":
        assert limits[1:] == (0.87, 0.0, 0.0)
        assert limits[0] is not None
        assert 0 < limits[0] < 1
    else:
        assert expected == limits


@pytest.mark.parametrize("value", [-0.1, 1.1, "low", True])
def test_a_limit_that_is_no_probability_is_refused(value: object) -> None:
    """The message names the key and what is allowed."""
    with pytest.raises(ConfigError, match=r"max_false_probability.*from 0 to 1"):
        build({"verify": {"max_false_probability": value}})


def test_candidates_of_an_older_version_are_refused() -> None:
    """Without the evidence nothing is accepted in silence; the message says what to do."""
    old = pa.table({"similarity": [0.9], "close_similarity": [None], "unframed": [0]})

    with pytest.raises(RunError, match=r"no column 'structure'.*Run it again"):
        Evidence.of(old)
