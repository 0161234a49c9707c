"""What probes say of a gateway whose API server comes late, and of one with an operator at work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_proxy import ApiProxy
from demo.site import DemoSite
from gateway_client import Gateway, GatewayProcess, Tenant, prepare
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

HEALTHY = {
    "status": "healthy",
    "message": "",
    "overall_healthy": True,
    "queue_healthy": True,
    "worker_pool_healthy": True,
}
UNKNOWN = {
    "status": "unhealthy",
    "message": "queue: the jobs are not known, or not as they are now",
    "overall_healthy": False,
    "queue_healthy": False,
    "worker_pool_healthy": True,
}


@pytest.fixture
def early(cluster: LocalCluster, owner: Tenant, proxy: ApiProxy, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway of the owner's namespace that was started before its API server, as the owner sees it."""
    prepare(cluster)
    proxy.cut = "refuse"
    settings = {"namespaces": [owner.name], "defaultNamespace": owner.name}
    with (
        GatewayProcess(cluster, tmp_path, server=proxy.url, ready=False, **settings) as running,
        Gateway(running, owner) as client,
    ):
        yield client


def test_a_gateway_waits_for_its_api_server_and_says_so(
    early: Gateway, proxy: ApiProxy, operator: OperatorProcess, site: DemoSite
) -> None:
    told = early.get("/health")
    assert told.items() >= UNKNOWN.items()
    assert told["connection_pool"] == {"watches": 2, "alive": 0}
    assert [(each["resource"], each["synced"], each["silentSeconds"]) for each in told["watches"]] == [
        ("crawljobs", False, None),
        ("scheduledcrawljobs", False, None),
    ]
    assert early.get("/ready", 503).items() >= UNKNOWN.items()
    assert early.get("/v1/jobs", 503)["error"]["code"] == "ServiceUnavailable"
    for resource in ("crawljobs", "scheduledcrawljobs"):
        broke = f"/{resource} broke: the API server at {proxy.url} does not answer"
        wait_until(
            lambda broke=broke: any("WARNING" in line and broke in line for line in early.process.log.splitlines()),  # type: ignore[misc]
            "it is logged",
            20,
        )

    proxy.cut = ""
    wait_until(lambda: early.http.get("/ready").status_code == 200, "it is ready", 30)
    early.submit("looked-at", url=site.url("/"), suspend=False, priority="Critical")
    early.finished("looked-at")
    told = early.get("/health")
    assert told.items() >= HEALTHY.items()
    assert told["connection_pool"] == {"watches": 2, "alive": 2}
    assert [(each["resource"], each["synced"], each["objects"]) for each in told["watches"]] == [
        ("crawljobs", True, 1),
        ("scheduledcrawljobs", True, 0),
    ]
    assert early.get("/ready").items() >= HEALTHY.items()
