"""One search from codes to a sink: collapse, plan, end early if hopeless, carry out."""

import numpy as np
from numpy.typing import NDArray

from dedup.search.codes import Distinct, collapse
from dedup.search.crew import Crew
from dedup.search.limits import check_memory, check_sample, passed
from dedup.search.planner import Request, choose
from dedup.search.plans import Plan
from dedup.search.scan import Sink, execute

Sides = tuple[Distinct, Distinct | None]
"""The different codes of the one or two sides of a join."""


def collapsed(codes: NDArray[np.uint64], other: NDArray[np.uint64] | None, crew: Crew) -> Sides:
    """Both sides ready to be searched. Raises `LimitError` first where memory would not do."""
    check_memory(codes, other, crew.threads)
    return collapse(codes, crew), None if other is None else collapse(other, crew)


def search(
    sides: Sides,
    max_distance: int,
    crew: Crew,
    sink: Sink,
    limit: int | None,
    finder: str = "auto",
    plan: Plan | None = None,
) -> None:
    """Gives every pair of rows within the distance to the sink.

    Raises `LimitError` where there are more than `limit`, by estimate at first and then because the
    sink wants no more.
    """
    left, right = sides
    if limit is not None:
        check_sample(left, right, max_distance, limit)
    chosen = plan or choose(Request(left, right, max_distance, crew), finder)
    crew.expected = chosen.seconds
    execute(chosen, left, right, crew, sink)
    if crew.stopped and limit is not None:
        raise passed(left, right, max_distance, limit)
