"""A real node for the local cluster: kubelet, containerd and kube-proxy, as root, in a network namespace of their own.

It shows what only a real node can: images, restricted pods, Services and DNS, evictions. Everything it makes lies in
one folder, one network namespace and one cgroup, and goes with them, also after it was killed.
"""

from local_cluster.real.cluster import RealCluster
from local_cluster.real.requirements import missing

__all__ = ["RealCluster", "missing"]
