"""The operator as a real process against a real API server, with the rights that `operator/rbac.yaml` gives it."""

from pathlib import Path
from typing import Any, Final

from crawl_api.names import API_VERSION, PLURAL, SCHEDULE_PLURAL
from local_cluster.cluster import LocalCluster
from local_cluster.programs import Program, ask, free_port, wait_until

ROOT: Final = Path(__file__).resolve().parent.parent

WORKER_IMAGE: Final = "crawl-worker:local"

_SERVED_SECONDS: Final = 60


class OperatorProcess(Program):
    """An operator."""

    def __init__(
        self,
        cluster: LocalCluster,
        folder: Path,
        *,
        server: str | None = None,
        ready: bool = True,
        **settings: Any,
    ) -> None:
        """Describe an operator; `server` leads it past a proxy, `ready` waits for its readiness at the start."""
        self.port, self.health_port = free_port(), free_port()
        defaults: dict[str, Any] = {
            "endpoint": {"host": "127.0.0.1", "port": self.port, "url": self.url},
            "health": {"host": "127.0.0.1", "port": self.health_port},
            "worker": {"image": WORKER_IMAGE, "allowedNetworks": ["127.0.0.0/8"]},
            "results": {"folder": str(folder / "results")},
        }
        for group, values in settings.items():
            defaults[group] = {**defaults.get(group, {}), **values} if isinstance(values, dict) else values
        probe = (self.health_port, "readyz" if ready else "healthz")
        super().__init__(cluster, "crawl_operator", folder, server, defaults, probe)

    @property
    def url(self) -> str:
        """Where workers report to."""
        return f"http://127.0.0.1:{self.port}"

    def health(self, path: str) -> tuple[int, str]:
        """Ask a probe; 0 if nobody answers."""
        return ask(self.health_port, path)


def prepare(cluster: LocalCluster) -> None:
    """Install what the operator needs in a cluster: the CRD and its rights."""
    cluster.kubectl("apply", "-f", ROOT / "crds", "-f", ROOT / "operator" / "rbac.yaml")
    await_kinds(cluster)


def await_kinds(cluster: LocalCluster) -> None:
    """Wait until the API server takes objects of the kinds whose CRDs were applied."""
    # Not by `kubectl wait`: it fails on a CRD that is too new to have conditions.
    kinds = [f"/apis/{API_VERSION}/{plural}" for plural in (PLURAL, SCHEDULE_PLURAL)]
    wait_until(lambda: all(map(cluster.serves, kinds)), "the API server serves both kinds", _SERVED_SECONDS)
