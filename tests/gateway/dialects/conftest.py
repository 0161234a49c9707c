"""A gateway with a catalogue, an operator that serves a tenant, and a site, for all tests of a module."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_proxy import ApiProxy
from demo.site import DemoSite
from gateway_client import GatewayProcess, Tenant, gateway
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess
from video_image import VIDEO_IMAGE, add_image, installed, published


@pytest.fixture(scope="session")
def videos(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the image `VIDEO_IMAGE` publishes, which the node can run from now on."""
    environment = installed(tmp_path_factory.mktemp("videos"))
    add_image(cluster, environment)
    return [{**entry, "image": VIDEO_IMAGE} for entry in published(environment)]


@pytest.fixture(scope="module")
def proxy(cluster: LocalCluster) -> Iterator[ApiProxy]:
    """What lies between the gateway and the API server."""
    with ApiProxy(cluster) as running:
        yield running


@pytest.fixture(scope="module")
def process(
    cluster: LocalCluster, proxy: ApiProxy, videos: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that serves the whole cluster and knows the processors of an image."""
    folder: Path = tmp_path_factory.mktemp("gateway")
    settings = {"catalogue": videos, "tokenSeconds": 1, "rightsSeconds": 1}
    with gateway(cluster, folder, server=proxy.url, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def operator(
    cluster: LocalCluster, owner: Tenant, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """An operator that serves the owner's namespace."""
    folder = tmp_path_factory.mktemp("operator")
    worker = {"allowedImages": [VIDEO_IMAGE]}
    settings: dict[str, Any] = {"worker": worker, "reconcile": {"patienceSeconds": 0.2}}
    with OperatorProcess(cluster, folder, namespaces=[owner.name], **settings) as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    """A site with a page that takes its time."""
    with DemoSite(delays={"/slow": 20}) as running:
        yield running
