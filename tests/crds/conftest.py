"""An API server with the CRDs and nothing else, for all tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server import JOBS, SCHEDULES, ApiServer, read
from local_cluster.cluster import LocalCluster
from local_cluster.programs import wait_until

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="package")
def api() -> Iterator[ApiServer]:
    with LocalCluster("crd", node=False) as cluster:
        cluster.kubectl("apply", "-f", CRDS)
        names = ("crd/crawljobs.crawl-operator.io", "crd/scheduledcrawljobs.crawl-operator.io")
        cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")
        # It takes objects a moment after it has said so.
        wait_until(lambda: read(cluster, JOBS) and read(cluster, SCHEDULES), "the API server serves both kinds", 30)
        server = ApiServer(cluster)
        yield server
        server.close()
