"""A namespace, an operator that serves it, and a site to crawl, for each test that asks."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo.site import DemoSite
from operator_process import Jobs, OperatorProcess, namespace

from local_cluster.cluster import LocalCluster


@pytest.fixture
def jobs(cluster: LocalCluster) -> Iterator[Jobs]:
    with namespace(cluster, f"test-{uuid.uuid4().hex[:8]}") as made:
        yield made


@pytest.fixture
def operator(cluster: LocalCluster, jobs: Jobs, tmp_path: Path) -> Iterator[OperatorProcess]:
    with OperatorProcess(cluster, tmp_path, namespaces=[jobs.namespace]) as running:
        yield running


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with DemoSite(delays={"/slow": 3}) as running:
        yield running
