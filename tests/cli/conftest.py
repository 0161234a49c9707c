"""A namespace with an operator and a site for all tests of a module, and the program as people start it."""

import uuid
from collections.abc import Iterator

import pytest
from terminal import Program

from demo.site import DemoSite
from held_site import HeldSite
from local_cluster.cluster import LocalCluster
from operator_process import Jobs, OperatorProcess, namespace


@pytest.fixture(scope="module")
def place(cluster: LocalCluster) -> Iterator[Jobs]:
    """A namespace."""
    with namespace(cluster, f"cli-{uuid.uuid4().hex[:8]}") as made:
        yield made


@pytest.fixture(scope="module")
def operator(cluster: LocalCluster, place: Jobs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The namespace's operator."""
    # Of operators that have led in this cluster and were killed: whoever asks for health would be told of them.
    cluster.kubectl("-n", "crawl-operator", "delete", "lease", "crawl-operator", "--ignore-not-found")
    with OperatorProcess(
        cluster,
        tmp_path_factory.mktemp("operator"),
        namespaces=[place.namespace],
        reconcile={"patienceSeconds": 0.2},
        limits={"running": 2},
    ) as running:
        yield running


@pytest.fixture(scope="module")
def shared(place: Jobs, operator: OperatorProcess) -> Jobs:
    """The namespace with its operator."""
    return place


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    with DemoSite() as running:
        yield running


@pytest.fixture
def held() -> Iterator[HeldSite]:
    """A site that answers no page before the test releases it."""
    with HeldSite(delays={"/slow": 3}) as running:
        yield running


@pytest.fixture(scope="module")
def crawl(cluster: LocalCluster, shared: Jobs) -> Program:
    """The program, which means the module's namespace unless told otherwise."""
    return Program(cluster, shared.namespace)
