"""An API server with the CRDs and nothing else, for all tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server import ApiServer
from local_cluster.cluster import LocalCluster
from local_cluster.operator_process import await_kinds

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="package")
def api() -> Iterator[ApiServer]:
    with LocalCluster("crd", node=False) as cluster:
        cluster.kubectl("apply", "-f", CRDS)
        await_kinds(cluster)
        server = ApiServer(cluster)
        yield server
        server.close()
