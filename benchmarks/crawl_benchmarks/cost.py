"""What the processes of a cluster have used: CPU time, memory, requests."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

import psutil

from crawl_operator.kube import LEASES
from local_cluster import LocalCluster
from local_cluster.operator_process import OperatorProcess

OPERATOR: Final = "operator"
KWOK: Final = "kwok"

_LONG: Final = ("WATCH", "CONNECT")
_WRITES: Final = ("create", "update", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been used up to a moment, or between two."""

    cpu: Mapping[str, float]
    """By process, seconds of user and system time."""
    requests: float
    """Answered by the API server to all clients, watches aside."""
    writes: float
    """Sent by the operator, renewals of its lease aside."""

    def __sub__(self, before: Self) -> "Usage":
        cpu = {name: seconds - before.cpu[name] for name, seconds in self.cpu.items()}
        return Usage(cpu, self.requests - before.requests, self.writes - before.writes)


def measure(cluster: LocalCluster, kwok: int, operator: OperatorProcess) -> Usage:
    """Read what all have used so far."""
    pids = {OPERATOR: operator.pid, **{name: cluster.pid(name) for name in cluster.components}, KWOK: kwok}
    served = cluster.kubectl("get", "--raw", "/metrics").stdout
    return Usage(
        cpu={name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()},
        requests=sum(
            value for labels, value in series(served, "apiserver_request_total") if labels["verb"] not in _LONG
        ),
        writes=sum(
            value
            for labels, value in series(operator.health("metrics")[1], "crawl_operator_api_requests_total")
            if labels["verb"] in _WRITES and labels["resource"] != LEASES.plural
        ),
    )


def memory_mb(operator: OperatorProcess) -> float:
    """Return what the operator holds in memory (resident, 10^6 bytes)."""
    return float(psutil.Process(operator.pid).memory_info().rss) / 1e6


def series(exposition: str, metric: str) -> Iterator[tuple[dict[str, str], float]]:
    """Iterate over labels and value of a metric's series, in Prometheus' text format."""
    for labels, value in re.findall(rf"^{metric}(?:{{(.*)}})? (\S+)$", exposition, re.MULTILINE):
        yield dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)
