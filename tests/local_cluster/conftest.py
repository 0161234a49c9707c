"""A control plane and one node on it, shared by all tests of the node."""

import signal
from collections.abc import Iterator

import pytest
from node_under_test import IMAGES, Node

from local_cluster import LocalCluster


@pytest.fixture(scope="session")
def _node() -> Iterator[Node]:
    with LocalCluster("node-tests", images=IMAGES, node=False) as cluster:
        node = Node(cluster)
        node.start()
        yield node
        node.end(signal.SIGTERM)


@pytest.fixture
def node(_node: Node) -> Iterator[Node]:
    yield _node
    _node.clear()
