"""One gateway, one tenant and one browser for all tests of a module."""

from collections.abc import Iterator

import pytest

from gateway_browser import Browser, browser
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, tenant
from local_cluster.cluster import LocalCluster


@pytest.fixture(scope="module")
def process(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that serves the whole cluster."""
    settings = {"tokenSeconds": 1, "rightsSeconds": 1, "heartbeatSeconds": 1, "streamCheckSeconds": 1}
    with gateway(cluster, tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def owner(cluster: LocalCluster) -> Iterator[Tenant]:
    """Somebody with a namespace."""
    with tenant(cluster, "gateway") as made:
        yield made


@pytest.fixture(scope="module")
def call(process: GatewayProcess, owner: Tenant) -> Iterator[Gateway]:
    """The gateway, as the owner of the namespace sees it."""
    with Gateway(process, owner) as client:
        yield client


@pytest.fixture(scope="module")
def driven(process: GatewayProcess) -> Iterator[Browser]:
    with browser(process.url) as running:
        yield running


@pytest.fixture
def page(driven: Browser, process: GatewayProcess, owner: Tenant) -> Iterator[Browser]:
    """The page, signed in as the owner; afterwards the browser has nothing to complain of."""
    driven.open("jobs", token=owner.token, namespace=owner.name, url=process.url)
    yield driven
    assert [line for line in driven.log() if "Failed to load resource" not in line] == []  # what is refused is told so
