"""Helm, and an API server of the chart's own: it installs CRDs, which all namespaces of a cluster share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from helm import Helm
from local_cluster.cluster import LocalCluster


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm, without a cluster."""
    return Helm(tmp_path_factory.mktemp("helm"), os.environ | {"KUBECONFIG": os.devnull})


@pytest.fixture(scope="session")
def bare() -> Iterator[LocalCluster]:
    """A cluster in which nothing is installed, and no pod runs."""
    with LocalCluster("chart", node=False) as started:
        yield started


@pytest.fixture
def installer(bare: LocalCluster, tmp_path: Path) -> Helm:
    """Helm, as that cluster's administrator."""
    return Helm(tmp_path, os.environ | bare.env)
