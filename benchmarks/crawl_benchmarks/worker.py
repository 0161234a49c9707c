"""`make bench-worker`: the worker beside two Scrapy spiders, on a real documentation tree, one core for each side."""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil
from aiohttp import web

import doctree
from crawl_benchmarks.doc_site import DocSite
from crawl_benchmarks.report import machine, table
from crawl_benchmarks.spiders import CONCURRENCY

ALL: Final = 1_000_000
_TIMEOUT: Final = 600
_SAMPLE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Side:
    """One of those compared."""

    key: str
    title: str
    command: Callable[[str, int, Path], tuple[list[str], dict[str, str]]]
    """Start URL, pages at most and a folder → command and environment."""
    cores: int = 1


@dataclass(frozen=True, slots=True)
class Crawl:
    """What one crawl came to."""

    side: Side
    pages: int
    seconds: float
    """From the first page asked for to the end of the process, its results written."""
    cpu_seconds: float
    """Of all its processes, their start included: on a busy machine it says more than the clock."""
    memory_mb: float
    """The most that all its processes held at once, in 10^6 bytes."""

    @property
    def rate(self) -> float:
        """Pages per second."""
        return self.pages / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of CPU per page."""
        return 1000 * self.cpu_seconds / self.pages


def spider(kind: str) -> Callable[[str, int, Path], tuple[list[str], dict[str, str]]]:
    """Return the command of a spider."""

    def command(start: str, pages: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        file = folder / "items.jsonl"
        return [sys.executable, "-m", "crawl_benchmarks.spiders", kind, start, str(pages), str(file)], {}

    return command


class Operator:
    """Takes what a worker reports, and keeps nothing of it."""

    def __init__(self) -> None:
        self.url = ""
        self.items = 0

    async def answer(self, request: web.Request) -> web.Response:
        """Answer as the operator does."""
        if not request.path.endswith("/results"):
            await request.read()
            return web.Response(status=204)
        digest, size, self.items = hashlib.sha256(), 0, 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            size += len(chunk)
            self.items += chunk.count(b"\n")
        return web.json_response({"url": "file:///results", "bytes": size, "sha256": digest.hexdigest()}, status=201)

    def command(self, start: str, pages: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        """Return the command of a worker."""
        job = {
            "namespace": "bench",
            "name": "tree",
            "uid": "0",
            "attempt": 1,
            "type": "Site",
            "site": {"startUrls": [start], "maxDepth": 1000, "maxPages": pages, "sitemaps": "None"},
            "fetch": {"concurrency": CONCURRENCY, "obeyRobots": False},
            "extract": {"text": True, "links": True, "metadata": False},
            "timeoutSeconds": _TIMEOUT,
            "maxConcurrency": CONCURRENCY,
            "userAgent": "bench",
            "allowedNetworks": ["127.0.0.0/8"],
            "inlineLimitBytes": 0,
            "reportUrl": self.url,
        }
        (folder / "assignment.json").write_text(json.dumps(job))
        (folder / "token").write_text("token")
        environment = {
            "CRAWL_ASSIGNMENT_FILE": str(folder / "assignment.json"),
            "CRAWL_TOKEN_FILE": str(folder / "token"),
            "CRAWL_TERMINATION_LOG": str(folder / "termination-log"),
            "CRAWL_WORK_DIR": str(folder),
        }
        return [sys.executable, "-m", "crawl_worker"], environment


async def crawl(side: Side, site: DocSite, start: str, pages: int, cores: list[int]) -> Crawl:
    """Run one side on its cores; raises RuntimeError where it fails."""
    site.reset()
    with tempfile.TemporaryDirectory() as scratch:
        command, environment = side.command(start, pages, Path(scratch))
        process = await asyncio.create_subprocess_exec(
            *command,
            env=os.environ | environment,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, cores[: side.cores]),
        )
        before = _cpu()
        peak = Peak(process.pid)
        sampling = asyncio.create_task(peak.watch())
        async with asyncio.timeout(_TIMEOUT):
            _, errors = await process.communicate()
        ended = time.monotonic()
        sampling.cancel()
    if process.returncode or site.first is None:
        raise RuntimeError(f"{side.title} failed: {errors.decode()[-2000:]}")
    return Crawl(side, site.pages, ended - site.first, _cpu() - before, peak.most / 1e6)


def _cpu() -> float:
    """Return the CPU seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Peak:
    """The most bytes that a process and its children hold together."""

    def __init__(self, pid: int) -> None:
        self.most = 0
        self._root = psutil.Process(pid)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            held = 0
            with contextlib.suppress(psutil.NoSuchProcess):
                for each in (self._root, *self._root.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        held += each.memory_info().rss
            self.most = max(self.most, held)
            await asyncio.sleep(_SAMPLE_SECONDS)


async def measure(*, pages: int, repeats: int, idiomatic_pages: int) -> list[Crawl]:
    """Crawl with all sides, interleaved; the sites' server runs on the last core."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    site, operator = DocSite(doctree.fetch(doctree.cache(), doctree.LARGE).root), Operator()
    server = await site.serve()
    start = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/index.html"
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", operator.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    operator.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    worker = Side("worker", "this worker", operator.command)
    bare = Side("bare", "bare Scrapy spider, tuned", spider("bare"))
    both = Side("two_cores", "this worker, two cores", operator.command, cores=2)
    usual = Side("idiomatic", "the spider people write", spider("idiomatic"))

    async def one(side: Side, limit: int) -> None:
        crawls.append(await crawl(side, site, start, limit, cores))
        print(f"{side.title}: {crawls[-1].rate:.1f} pages/s", file=sys.stderr)

    crawls: list[Crawl] = []
    for number in range(repeats):
        order = [worker, bare, both]
        for side in order[number % 3 :] + order[: number % 3]:
            await one(side, pages)
    await one(usual, idiomatic_pages)
    server.close()
    await runner.cleanup()
    os.sched_setaffinity(0, cores)
    return crawls


def figures(crawls: list[Crawl]) -> dict[str, float]:
    """Return the figures that have a budget, and those they are made from."""
    rates = {key: median(each.rate for each in crawls if each.side.key == key) for key in _keys(crawls)}
    cpu = {key: median(each.cpu_ms for each in crawls if each.side.key == key) for key in _keys(crawls)}
    memory = {key: max(each.memory_mb for each in crawls if each.side.key == key) for key in _keys(crawls)}
    return {
        "ratio": rates["worker"] / rates["bare"],
        "idiomatic_ratio": rates["worker"] / rates["idiomatic"],
        "two_core_ratio": rates["two_cores"] / rates["worker"],
        "cpu_ratio": cpu["bare"] / cpu["worker"],
        **{f"{key}_pages_per_second": rate for key, rate in rates.items()},
        **{f"{key}_cpu_ms_per_page": used for key, used in cpu.items()},
        **{f"{key}_memory_mb": held for key, held in memory.items()},
    }


def _keys(crawls: list[Crawl]) -> list[str]:
    return list(dict.fromkeys(each.side.key for each in crawls))


def rows(crawls: list[Crawl]) -> list[list[str]]:
    """Return the table's rows, a side each."""
    found = []
    for key in _keys(crawls):
        mine = [each for each in crawls if each.side.key == key]
        rates = sorted(each.rate for each in mine)
        spread = f"{rates[0]:.1f} … {rates[-1]:.1f}"
        memory = f"{max(each.memory_mb for each in mine):.0f}"
        cpu = f"{median(each.cpu_ms for each in mine):.1f}"
        found.append([mine[0].side.title, str(mine[0].pages), f"{median(rates):.1f}", spread, cpu, memory])
    return found


def main() -> int:
    """Print a table, and in the last line the figures as JSON."""
    parser = argparse.ArgumentParser(prog="bench-worker", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few pages: to see that it works, not how fast")
    quick = parser.parse_args().quick
    crawls = asyncio.run(
        measure(pages=100 if quick else ALL, repeats=1 if quick else 3, idiomatic_pages=30 if quick else ALL)
    )
    print(machine())
    print()
    print(table(["", "pages", "pages/s, median", "lowest … highest", "CPU ms per page", "peak MB"], rows(crawls)))
    print()
    told: dict[str, Any] = {name: round(value, 3) for name, value in figures(crawls).items()}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
