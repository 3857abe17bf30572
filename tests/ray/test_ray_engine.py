"""The contract of every engine on a cluster of two nodes, and what is true only of clusters."""

import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dedup.engines import Limits
from dedup.engines.ray import RayEngine
from tests import test_engines
from tests.test_engines import WORK, batches, doubled, numbers_of


def for_every_engine(test: Any) -> bool:
    """Whether a test is parametrised over the table of engines."""
    marks = getattr(test, "pytestmark", [])
    return any(mark == test_engines.every_engine.mark for mark in marks)


CONTRACT = {name: test for name, test in vars(test_engines).items() if for_every_engine(test)}
"""Tests that all engines share, by name."""


@pytest.fixture(scope="module")
def engine(two_nodes: Any) -> Iterator[RayEngine]:
    engine = RayEngine.at(two_nodes.address, None)
    yield engine
    engine.close()


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_the_contract(name: str, engine: RayEngine, capfd: pytest.CaptureFixture[str]) -> None:
    """What holds for every engine holds for this one."""
    test: Callable[..., None] = CONTRACT[name]
    more = {"capfd": capfd} if "capfd" in inspect.signature(test).parameters else {}

    test(engine, **more)


def test_all_nodes_work(engine: RayEngine) -> None:
    """Two nodes are two workers, and each of them has results among those of forty tasks."""
    got = numbers_of(engine.run(WORK, {"do": "hang a while", "at": 4}, batches(40)))

    assert doubled(40) == got
    assert 2 == engine.workers
    assert 2 == len(engine.tasks_by_node)


@pytest.mark.parametrize(("what", "reason"), [("kill", "SIGKILL"), ("exit", "exit code 7")])
def test_a_row_that_kills_its_process_is_lost_alone(
    engine: RayEngine, what: str, reason: str
) -> None:
    """A picture that ends a codec's process costs its own row on a node, too."""
    results = list(engine.run(WORK, {"do": what, "at": 4, "name": "gone"}, batches(3)))
    expected = doubled(3)
    expected[1][1] = -1

    assert expected == [batch["number"].to_pylist() for batch in results]
    assert reason in results[1]["note"].to_pylist()[1]


def test_the_limit_of_time_holds_on_nodes(two_nodes: Any) -> None:
    """A row that hangs ends after the limit, alone."""
    engine = RayEngine.at(two_nodes.address, None, Limits(seconds=3))
    got = numbers_of(engine.run(WORK, {"do": "sleep", "at": 4}, batches(3)))
    expected = doubled(3)
    expected[1][1] = -1

    assert expected == got


def test_tasks_end_with_their_reader(engine: RayEngine) -> None:
    """Results that nobody takes any more, as after Ctrl-C, leave no task on the cluster."""
    import ray

    results = engine.run(WORK, {"do": "sleep", "at": 100}, batches(60))
    next(results)
    results.close()  # type: ignore[attr-defined]

    deadline = time.monotonic() + 30
    while ray.available_resources().get("CPU", 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert 2 == ray.available_resources()["CPU"]
