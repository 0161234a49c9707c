"""A real Kubernetes cluster on one machine, without containers and without root, for development and tests.

It has no isolation: pods are ordinary processes of the user who starts it.
"""

from local_cluster.cluster import LocalCluster
from local_cluster.components import Image
from local_cluster.errors import LocalClusterError

__all__ = ["Image", "LocalCluster", "LocalClusterError"]
