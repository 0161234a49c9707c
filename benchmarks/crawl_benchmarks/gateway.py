"""`make bench-gateway`: the gateway beside the same calls straight to the API server; long lists, many streams."""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil

from crawl_api.names import API_VERSION, KIND, PLURAL
from crawl_benchmarks.latency import Times
from crawl_benchmarks.report import machine, table
from crawl_client import CrawlClient, single
from crawl_client.filters import Filter
from local_cluster import LocalCluster, gateway_process
from local_cluster.gateway_process import GatewayProcess
from local_cluster.operator_process import prepare

_SPACE: Final = "default"
_JOBS: Final = f"/apis/{API_VERSION}/namespaces/{_SPACE}/{PLURAL}"
_SPEC: Final = {"type": "Single", "single": {"url": "https://example.org/"}, "suspend": True}
_HOLDING: Final = 32
"""Requests in flight where as many are made as go."""
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    rate: float
    """Submits per second."""
    seconds: float
    """Of each round."""
    listed: int
    lists: int
    streams: int
    changes: int


FULL: Final = Sizes(rate=50, seconds=10, listed=10_000, lists=50, streams=500, changes=20)
QUICK: Final = Sizes(rate=20, seconds=2, listed=300, lists=5, streams=20, changes=3)


@dataclass
class Report:
    """What was measured."""

    submits: dict[str, list[float]] = field(default_factory=lambda: {"gateway": [], "straight": []})
    """Milliseconds of each, at the rate."""
    held: dict[str, float] = field(default_factory=dict)
    """Submits per second, as many as go."""
    lists: dict[str, Times] = field(default_factory=dict)
    delivered: dict[str, Times] = field(default_factory=dict)
    """From when a change is sent to the API server until a stream has it."""
    memory_mb: float = 0

    def tables(self) -> str:
        """Return everything as Markdown."""
        titles = {"gateway": "through the gateway", "straight": "straight to the API server"}
        rows = [[title, _ms(Times(tuple(self.submits[key]))), f"{self.held[key]:.0f}"] for key, title in titles.items()]
        parts = [machine(), table(["submit", "p50 / p99 ms", "highest rate, 1/s"], rows)]
        parts.append(table(["list", "p50 / p99 ms"], [[name, _ms(times)] for name, times in self.lists.items()]))
        rows = [[titles[side], _ms(times)] for side, times in self.delivered.items()]
        parts.append(table(["change → event on each stream", "p50 / p99 ms"], rows))
        parts.append(f"The gateway's memory with all streams: {self.memory_mb:.0f} MB")
        return "\n\n".join(parts)

    def line(self) -> str:
        """Return the figures as one line of JSON."""
        found = {f"{key}_submit_p99_ms": Times(tuple(each)).p99 for key, each in self.submits.items()}
        found |= {f"{key}_submits_per_s": each for key, each in self.held.items()}
        found |= {f"list_p99_ms {name}": times.p99 for name, times in self.lists.items()}
        found |= {f"{side}_event_p99_ms": times.p99 for side, times in self.delivered.items()}
        found["memory_mb"] = self.memory_mb
        return json.dumps({name: round(value, 3) for name, value in found.items()})


class _Sides:
    """The same calls on both sides, as the same user."""

    def __init__(self, gateway: GatewayProcess, cluster: LocalCluster, token: str, tls: Any) -> None:
        heads = {"Authorization": f"Bearer {token}"}
        limits = httpx2.Limits(max_connections=_HOLDING, max_keepalive_connections=_HOLDING)
        self.gateway = httpx2.AsyncClient(base_url=gateway.url, headers=heads, limits=limits, timeout=30)
        self.tls = tls
        self.straight = httpx2.AsyncClient(
            base_url=cluster.server, headers=heads, limits=limits, timeout=30, verify=tls
        )
        self._number = 0

    async def submit(self, side: str) -> float:
        """Submit one job; return how many milliseconds it took."""
        self._number += 1
        name = f"bench-{side}-{self._number}"
        client, path = (self.gateway, "/v1/jobs") if side == "gateway" else (self.straight, _JOBS)
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": _SPEC}
        began = time.monotonic()
        answer = await client.post(path, json=body)
        took = (time.monotonic() - began) * 1000
        if answer.status_code != 201:
            raise RuntimeError(answer.text)
        return took


async def measure(sizes: Sizes) -> Report:
    """Start a cluster and a gateway, and measure all of it."""
    report = Report()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cluster = stack.enter_context(LocalCluster("bench-gateway", node=False))
        prepare(cluster)
        gateway_process.prepare(cluster)
        free: dict[str, Any] = {"requestsPerSecond": 100_000, "burst": 100_000, "streamsPerCaller": 10_000}
        gateway = stack.enter_context(GatewayProcess(cluster, folder, **free))
        async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=_SPACE, parallel=_HOLDING) as client:
            token = cluster.kubectl("-n", "crawl-operator", "create", "token", "crawl-gateway").stdout.strip()
            sides = _Sides(gateway, cluster, token, client.login.tls())
            async with sides.gateway, sides.straight:
                for _ in range(_ROUNDS):
                    for side in ("gateway", "straight"):
                        report.submits[side] += await _at_rate(sides, side, sizes)
                for side in ("gateway", "straight"):
                    report.held[side] = await _as_many_as_go(sides, side, sizes.seconds)
                await _fill(client, sizes.listed)
                await _lists(report, sides, client, sizes)
                times = [await _first_row(cluster) for _ in range(max(2, sizes.lists // 10))]
                report.lists["kubectl crawl list, from its start to its first row"] = Times(tuple(times))
                for side in ("gateway", "straight"):
                    report.delivered[side] = await _streams(sides, side, client, sizes)
                    if side == "gateway":
                        report.memory_mb = psutil.Process(gateway.pid).memory_info().rss / 1e6
    return report


async def _at_rate(sides: _Sides, side: str, sizes: Sizes) -> list[float]:
    """Submit at the rate, whether or not those before are answered."""
    count = int(sizes.rate * sizes.seconds)
    began = time.monotonic()

    async def one(number: int) -> float:
        due = began + number / sizes.rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        late = (time.monotonic() - due) * 1000  # of this process itself: part of neither side
        took = await sides.submit(side)
        return took if late < 1000 else float("inf")

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def _as_many_as_go(sides: _Sides, side: str, seconds: float) -> float:
    began, done = time.monotonic(), 0

    async def worker() -> None:
        nonlocal done
        while time.monotonic() - began < seconds:
            await sides.submit(side)
            done += 1

    await asyncio.gather(*(worker() for _ in range(_HOLDING)))
    return done / (time.monotonic() - began)


async def _fill(client: CrawlClient, count: int) -> None:
    there = (await client.jobs.list(limit=1)).total
    new = (single("https://example.org/", name=f"filled-{n}", suspend=True) for n in range(max(0, count - there)))
    outcome = await client.submit_all(new, parallel=_HOLDING)
    if outcome.failed:
        raise RuntimeError(str(outcome.failed[0]))


async def _lists(report: Report, sides: _Sides, client: CrawlClient, sizes: Sizes) -> None:
    async def listed(**params: Any) -> None:
        (await sides.gateway.get("/v1/jobs", params=params)).raise_for_status()

    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "50 newest, gateway": lambda: listed(limit=50),
        "filtered, sorted by name, gateway": lambda: listed(limit=50, search="led-1", priority="Normal", sort="name"),
        "50 newest, the client straight": lambda: client.jobs.list(limit=50),
        "one phase, the client straight": lambda: client.jobs.list(Filter(phase="pending"), limit=50),
    }
    for name, call in calls.items():
        times = []
        for _ in range(sizes.lists if "gateway" in name else max(2, sizes.lists // 10)):
            began = time.monotonic()
            await call()
            times.append((time.monotonic() - began) * 1000)
        report.lists[name] = Times(tuple(times))


async def _first_row(cluster: LocalCluster) -> float:
    """Run the program that lists all jobs; return how many milliseconds it took until it wrote the first of them."""
    command = (sys.executable, "-m", "crawl_cli", "list", "--kubeconfig", cluster.kubeconfig, "-n", _SPACE)
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out = process.stdout or asyncio.StreamReader()
    head, _ = await out.readline(), await out.readline()
    took = (time.monotonic() - began) * 1000
    rows = 1 + len((await out.read()).splitlines())
    if await process.wait() or rows < 2 or not head.startswith(b"NAME"):
        raise RuntimeError(f"the list ended with {process.returncode} after {rows} rows")
    return took


async def _streams(sides: _Sides, side: str, client: CrawlClient, sizes: Sizes) -> Times:
    """Return how many milliseconds it took from making a job until each of many streams told of it."""
    waits: list[float] = []
    sent: dict[str, float] = {}
    own: httpx2.AsyncClient = getattr(sides, side)
    limits = httpx2.Limits(max_connections=sizes.streams, max_keepalive_connections=0)
    verify = sides.tls if side == "straight" else True
    ready = asyncio.Semaphore(0)
    async with httpx2.AsyncClient(
        base_url=own.base_url, headers=own.headers, limits=limits, timeout=60, verify=verify
    ) as http:

        async def follow() -> None:
            left = sizes.changes
            events = _events(http, ready) if side == "gateway" else _watched(http, ready, version)
            async for name in events:
                if name in sent:
                    waits.append((time.monotonic() - sent[name]) * 1000)
                    left -= 1
                if not left:
                    return

        version = (await sides.straight.get(_JOBS, params={"limit": 1})).json()["metadata"]["resourceVersion"]
        following = [asyncio.create_task(follow()) for _ in range(sizes.streams)]
        for _ in following:
            await ready.acquire()
        for number in range(sizes.changes):
            name = f"change-{side}-{number}"
            sent[name] = time.monotonic()
            await client.jobs.submit(single("https://example.org/", name=name, suspend=True))
            await asyncio.sleep(1)
        await asyncio.wait_for(asyncio.gather(*following), 60)
    return Times(tuple(waits))


async def _events(http: httpx2.AsyncClient, ready: asyncio.Semaphore) -> AsyncIterator[str]:
    async with http.stream("GET", "/v1/events") as answer:
        async for line in answer.aiter_lines():
            if line == "event: READY":
                ready.release()
            elif line.startswith("data: {") and '"metadata"' in line:
                yield json.loads(line.removeprefix("data: "))["metadata"]["name"]


async def _watched(http: httpx2.AsyncClient, ready: asyncio.Semaphore, version: str) -> AsyncIterator[str]:
    async with http.stream("GET", _JOBS, params={"watch": "true", "resourceVersion": version}) as answer:
        ready.release()
        async for line in answer.aiter_lines():
            yield json.loads(line)["object"]["metadata"]["name"]


def _ms(times: Times) -> str:
    return f"{times.p50:.1f} / {times.p99:.1f}"


def main() -> int:
    """Print tables, and in the last line the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench-gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers: to see that it works, not how fast")
    options = parser.parse_args()
    report = asyncio.run(measure(QUICK if options.quick else FULL))
    print(report.tables())
    print()
    print(report.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
