"""A namespace with an operator, and clients of different rights, for all tests of a module."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from crawl_client import CrawlClient
from demo.site import DemoSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, namespace


@pytest.fixture(scope="module")
def shared(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    """A namespace with its operator."""
    # Of operators that have led in this cluster and were killed: whoever asks for health would be told of them.
    cluster.kubectl("-n", "crawl-operator", "delete", "lease", "crawl-operator", "--ignore-not-found")
    with (
        namespace(cluster, f"client-{uuid.uuid4().hex[:8]}") as made,
        OperatorProcess(
            cluster,
            tmp_path_factory.mktemp("operator"),
            namespaces=[made.namespace],
            reconcile={"patienceSeconds": 0.2},
        ),
    ):
        yield made


@pytest.fixture
async def client(cluster: LocalCluster, shared: Jobs) -> AsyncIterator[CrawlClient]:
    async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=shared.namespace) as opened:
        yield opened


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with DemoSite(delays={"/slow": 3}) as running:
        yield running
