"""One gateway, one tenant and one browser for all tests of a module."""

from collections.abc import Iterator
from typing import Any

import pytest

from api_proxy import ApiProxy
from demo.site import DemoSite
from gateway_browser import Browser, browser
from gateway_client import Gateway, GatewayProcess, Tenant, gateway, tenant
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess
from video_image import VIDEO_IMAGE, add_image, installed, published


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
def speaking(
    cluster: LocalCluster, proxy: ApiProxy, videos: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that knows the processors of an image and may be cut off by `proxy`."""
    folder = tmp_path_factory.mktemp("gateway")
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
def handing_out(
    cluster: LocalCluster, operator: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway that knows where the owner's operator hands out results."""
    settings = {"tokenSeconds": 1, "rightsSeconds": 1, "resultsUrl": operator.url}
    with gateway(cluster, tmp_path_factory.mktemp("gateway"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    """A site with a page that takes its time."""
    with DemoSite(delays={"/slow": 20}) as running:
        yield running


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
