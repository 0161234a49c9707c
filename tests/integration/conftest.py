"""A namespace, an operator that serves it, and a site to crawl, for each test that asks."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, namespace


def fresh_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def jobs(cluster: LocalCluster) -> Iterator[Jobs]:
    with namespace(cluster, fresh_name()) as made:
        yield made


@pytest.fixture
def operator(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> Iterator[OperatorProcess]:
    with OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace]) as running:
        yield running


@pytest.fixture(scope="module")
def shared(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """A namespace with its operator, for all tests of a module that harm neither."""
    with (
        namespace(cluster, fresh_name()) as made,
        OperatorProcess(cluster, tmp_path_factory.mktemp("operator"), namespaces=[made.namespace]),
    ):
        yield made


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with DemoSite(delays={"/slow": 3}) as running:
        yield running
