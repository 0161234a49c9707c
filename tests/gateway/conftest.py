"""One gateway and one tenant for all tests of a module."""

from collections.abc import Iterator

import pytest

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
