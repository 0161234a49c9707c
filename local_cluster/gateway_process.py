"""The gateway as a real process against a real API server, with the rights that `gateway/rbac.yaml` gives it."""

from pathlib import Path
from typing import Any

from local_cluster.cluster import LocalCluster
from local_cluster.operator_process import ROOT
from local_cluster.programs import Program, free_port


class GatewayProcess(Program):
    """A gateway."""

    def __init__(
        self, cluster: LocalCluster, folder: Path, *, server: str | None = None, ready: bool = True, **settings: Any
    ) -> None:
        """Describe a gateway; `server` leads it past a proxy, `ready` waits for its readiness at the start."""
        self.port = free_port()
        defaults = {"host": "127.0.0.1", "port": self.port}
        probe = (self.port, "ready" if ready else "health")
        super().__init__(cluster, "crawl_gateway", folder, server, {**defaults, **settings}, probe)

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"


def prepare(cluster: LocalCluster) -> None:
    """Give the gateway its rights in a cluster that has those of the operator."""
    cluster.kubectl("apply", "-f", ROOT / "gateway" / "rbac.yaml")
