"""`python -m crawl_operator`: start the operator, and end it in order."""

import argparse
import asyncio
import contextlib
import gc
import logging
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Final

from crawl_operator import handlers
from crawl_operator.assembly import Assembly
from crawl_operator.forwarding import Forwarder
from crawl_operator.health import serve
from crawl_operator.kube import Kube
from crawl_operator.kube_errors import KubeError
from crawl_operator.lease import Alone, Elected, Lease
from crawl_operator.metrics import Metrics
from crawl_operator.settings import ENV_PREFIX, ConfigurationError, Settings
from crawl_operator.watch_guard import WatchGuard

_log = logging.getLogger("crawl_operator")

_LIST_PAUSE: Final = 2.0
_FIRST_LOOK: Final = 3.0
"""Seconds at most in which what was listed at start is looked at before anything is watched."""
_LOOK_PAUSE: Final = 0.05


def main() -> int:
    """Run the operator; 0 after a signal, 1 when it cannot go on, 2 when its configuration is wrong."""
    options = _arguments()
    try:
        settings = Settings.load(options.config)
    except ConfigurationError as error:
        sys.stderr.write(f"crawl-operator: the configuration is wrong:\n{error}\n")
        return 2
    logging.basicConfig(
        level=settings.logging.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # What was imported stays; and what a job leaves behind is freed without the collector, which with thousands of jobs
    # in memory would spend a tenth of all time on looking for cycles that are few.
    gc.freeze()
    gc.set_threshold(20_000)
    try:
        asyncio.run(run(settings))
    except (OSError, KubeError) as error:
        _log.critical("cannot go on: %s", error)
        return 1
    return 0


async def run(settings: Settings) -> None:
    """Run the operator until it is told to stop by a signal."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)  # until Kopf takes them over
    metrics = Metrics()
    async with contextlib.AsyncExitStack() as stack:
        elected = await _stand_for_election(stack, settings, metrics)
        kube = await stack.enter_async_context(
            Kube(
                handlers.connect,
                timeout=settings.reconcile.request_timeout_seconds,
                metrics=metrics,
                write_seconds=elected.remaining,
            )
        )

        def standby() -> str:
            return elected.standby

        forwarder = await stack.enter_async_context(Forwarder(lambda: elected.leader_url))
        parts = Assembly(settings, kube, metrics, standby, forwarder=forwarder)
        runners = [
            await serve(application, address.host, address.port)
            for application, address in ((parts.probes, settings.health), (parts.reports, settings.endpoint))
        ]
        # Kopf waits for the tasks of others before it ends: it is the last to be waited for.
        watches = asyncio.create_task(_watch(parts, settings, stop))
        stack.push_async_callback(_end, watches, stop)
        for runner in runners:
            stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(elected.release)
        async with asyncio.TaskGroup() as tasks:
            working = [
                tasks.create_task(work)
                for work in (
                    # What another leader has written last may not have been seen yet: capacity is counted from it.
                    elected.run(prepare=partial(_fill, parts.guard), lead=parts.lead),
                    _reconcile(parts),
                    metrics.measure_lag(),
                )
            ]
            await stop.wait()
            for task in working:
                task.cancel()
    _log.info("stopped")


async def _stand_for_election(stack: contextlib.AsyncExitStack, settings: Settings, metrics: Metrics) -> Elected:
    if not settings.leadership.enabled:
        return Alone()
    client = Kube(handlers.connect, timeout=settings.leadership.renew_seconds / 2, metrics=metrics)
    return Lease(await stack.enter_async_context(client), settings.leadership, own_url=settings.own_url)


async def _reconcile(parts: Assembly) -> None:
    """Decide, but nothing before everything has been listed once: capacity is counted from what is seen."""
    await parts.guard.until_synced()
    _log.info("ready")
    async with asyncio.TaskGroup() as tasks:
        for work in (parts.reconciler.run(), parts.guard.run(), parts.reconciler.scheduler.watch_clock()):
            tasks.create_task(work)


async def _watch(parts: Assembly, settings: Settings, stop: asyncio.Event) -> None:
    """Watch, after a first look at what is known: Kopf lists everything anew, and that takes longer than the look.

    Nor can Kopf watch a kind that is not there yet.
    """
    while not (parts.guard.synced or stop.is_set()):  # noqa: ASYNC110 - of two things, the first
        await asyncio.sleep(_LOOK_PAUSE)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK):
            while len(parts.queue) and not stop.is_set():  # noqa: ASYNC110 - it is empty soon, and once
                await asyncio.sleep(_LOOK_PAUSE)
    if not stop.is_set():
        await handlers.run_watches(parts.guard.seen, parts.guard.kinds, settings.namespaces, stop)


async def _end(watches: asyncio.Task[None], stop: asyncio.Event) -> None:
    stop.set()
    await watches


async def _fill(guard: WatchGuard) -> None:
    """List everything, however often it takes."""
    while True:
        try:
            await guard.fill()
        except KubeError:
            _log.error("%s", guard.trouble)
        else:
            return
        await asyncio.sleep(_LIST_PAUSE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m crawl_operator",
        description="Run web crawls on Kubernetes: watches CrawlJobs, starts a worker for each, keeps its status.",
        epilog="Credentials: the pod's service account, else KUBECONFIG or ~/.kube/config. Every setting can be "
        f"overridden by a variable: limits.urlsPerJob is {ENV_PREFIX}LIMITS__URLS_PER_JOB.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML; all have defaults")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
