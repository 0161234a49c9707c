"""What tests of all rooms share: one real cluster for the whole run."""

import os
import sys
from collections.abc import Iterator

import pytest

from local_cluster.cluster import LocalCluster
from local_cluster.components import Image
from operator_process import WORKER_IMAGE, prepare


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """A real API server with a node that runs the worker; the CRD and the operator's rights are installed."""
    worker = Image(entrypoint=[sys.executable, "-m", "crawl_worker"])
    host = Image(env={"PATH": os.environ["PATH"]})
    with LocalCluster("tests", images={WORKER_IMAGE: worker, "host": host}) as started:
        prepare(started)
        yield started
