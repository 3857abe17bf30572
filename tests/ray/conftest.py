"""Clusters of small nodes, each a raylet of its own on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}

_QUICK_TO_NOTICE = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""A node that is gone is noticed in three seconds; with Ray's own settings in some twenty."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip these tests unless they were asked for, and let Ray's own warnings be."""
    for item in items:
        if "tests/ray" not in item.path.as_posix():
            continue
        item.add_marker(pytest.mark.filterwarnings("ignore"))
        if not config.getoption("--ray"):
            item.add_marker(pytest.mark.skip(reason="needs Ray and time: make test-ray runs it"))


@contextmanager
def cluster_of(n_nodes: int, **of_first: Any) -> Iterator[Any]:
    """A running `ray.cluster_utils.Cluster`; its first node is the one that the driver is on."""
    import ray
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "_system_config": _QUICK_TO_NOTICE, **of_first}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(n_nodes - 1):
            cluster.add_node(**NODE)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A cluster for the tests of a module that harm no node."""
    with cluster_of(2) as cluster:
        yield cluster


@pytest.fixture
def nodes() -> Iterator[Callable[..., Any]]:
    """A function that starts a cluster of so many nodes, which ends with the test."""
    started: list[Any] = []

    def start(n_nodes: int, **of_first: Any) -> Any:
        started.append(cluster_of(n_nodes, **of_first))
        return started[-1].__enter__()

    yield start
    for cluster in started:
        cluster.__exit__(None, None, None)
