"""The place where everything is measured: a control plane, simulated nodes, an operator, and a client of the API."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from crawl_benchmarks import kwok
from crawl_benchmarks.cost import Usage, measure, series
from crawl_benchmarks.sides import BATCH_JOBS, CRAWLJOBS, NAMESPACE, PODS, Json
from crawl_benchmarks.watching import NotInTimeError
from local_cluster import LocalCluster
from local_cluster.components import CONTROLLER_MANAGER, SCHEDULER
from local_cluster.node import kubeconfig
from local_cluster.node.api import Api, ApiError
from local_cluster.operator_process import OperatorProcess, prepare

REQUEST_RATE: Final = 5000
"""Requests per second that scheduler and controller manager allow themselves: more than the machine can do, so that
neither side is held up by a limit."""

RUNNING: Final = 10_000
"""Jobs that the operator may run at once: likewise. It is the highest there is."""

_CREATORS: Final = 16
"""Requests by which jobs are created, in flight at once."""

_CLEAR_SECONDS: Final = 300
_PAUSE_SECONDS: Final = 0.05


@dataclass
class Bench:
    """Control plane, nodes and a client."""

    cluster: LocalCluster
    kwok: int
    """Process id."""
    api: Api
    folder: Path

    @contextlib.contextmanager
    def operator(self, **settings: Any) -> Iterator[OperatorProcess]:
        """Run an operator with these settings, a Lease as the chart has it, places for all jobs, and else defaults."""
        fixed: dict[str, Any] = {"limits": {"running": RUNNING}, "leadership": {"enabled": True}}
        with OperatorProcess(self.cluster, self.folder, **fixed, **settings) as started:
            yield started

    def usage(self, operator: OperatorProcess) -> Usage:
        """Read what all processes have used so far."""
        return measure(self.cluster, self.kwok, operator)

    async def create(self, path: str, bodies: Iterable[Json]) -> None:
        """Create objects as fast as it goes, in this order."""
        rest = iter(bodies)

        async def some() -> None:
            for body in rest:
                await self.api.create(path, body)

        await asyncio.gather(*(some() for _ in range(_CREATORS)))

    async def rest(self) -> None:
        """Wait until the Job controller has ended all batch Jobs, which it does later than their pods."""
        unfinished = ("-n", NAMESPACE, "get", "jobs", "--field-selector", "status.successful=0", "-o", "name")
        await until(lambda: not self.cluster.kubectl(*unfinished).stdout, "all batch Jobs are complete", _CLEAR_SECONDS)

    async def clear(self, operator: OperatorProcess) -> None:
        """Remove all jobs and pods, and wait until the operator has noticed."""
        for path in (CRAWLJOBS, BATCH_JOBS, PODS):
            await self._clear(path)
        await until(lambda: set(phases(operator).values()) == {0} and settled(operator), "the operator knows no job")

    async def _clear(self, path: str) -> None:
        deadline = time.monotonic() + _CLEAR_SECONDS
        while (await self.api.get(path, limit="1"))["items"]:
            if time.monotonic() > deadline:
                raise NotInTimeError(f"{path} is not empty")
            with contextlib.suppress(ApiError):  # it takes longer than a request may
                await self.api.delete(path, {"propagationPolicy": "Background"})
            await asyncio.sleep(_PAUSE_SECONDS)


@contextlib.asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Set it all up for the length of the block."""
    rates = {"kube-api-qps": REQUEST_RATE, "kube-api-burst": REQUEST_RATE}
    flags = {CONTROLLER_MANAGER: rates, SCHEDULER: rates}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crawl-bench-")))
        cluster = stack.enter_context(LocalCluster("bench", node=False, flags=flags))
        prepare(cluster)
        cluster.kubectl("create", "namespace", NAMESPACE)
        pid = stack.enter_context(kwok.nodes(cluster, folder))
        async with Api(kubeconfig.load(cluster.kubeconfig, folder / "client")) as api:
            await until(lambda: _usable(cluster), "the namespace has its service account")
            yield Bench(cluster, pid, api, folder)


def phases(operator: OperatorProcess) -> dict[str, int]:
    """Return how many jobs an operator knows of, by phase; nothing while it does not answer."""
    exposition = operator.health("metrics")[1]
    return {labels["phase"]: int(value) for labels, value in series(exposition, "crawl_operator_jobs")}


def settled(operator: OperatorProcess) -> bool:
    """Tell whether an operator has looked at all that it knows of."""
    depths = [value for _, value in series(operator.health("metrics")[1], "crawl_operator_queue_depth")]
    return depths == [0]


async def until(holds: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for something.

    Raises:
        NotInTimeError: it has not come within these seconds.
    """
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        if time.monotonic() > deadline:
            raise NotInTimeError(what)
        await asyncio.sleep(_PAUSE_SECONDS)


def say(text: str) -> None:
    """Tell on standard error how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _usable(cluster: LocalCluster) -> bool:
    return cluster.kubectl("-n", NAMESPACE, "get", "serviceaccount", "default", check=False).returncode == 0


def names(prefix: str, count: int) -> list[str]:
    """Return so many names."""
    return [f"{prefix}-{number:05}" for number in range(count)]
