"""What all requests share: the connection to the API server, what is in memory, who is who, who may what."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from datetime import timedelta

from crawl_api.names import PLURAL, SCHEDULE_PLURAL
from crawl_client.jobs import Jobs
from crawl_client.kubeconfig import Login
from crawl_client.schedules import Schedules
from crawl_client.transport import Transport
from crawl_client.workers import Workers
from crawl_gateway.dialects.tasks.catalogue import Catalogue
from crawl_gateway.entries import job_entry, schedule_entry
from crawl_gateway.identity import Caller, Identity
from crawl_gateway.jobs import JobDesk
from crawl_gateway.limits import Limiter
from crawl_gateway.login import Exchange
from crawl_gateway.metrics import Metrics
from crawl_gateway.mirrors import Mirrors, run_all
from crawl_gateway.places import Places
from crawl_gateway.rights import Rights
from crawl_gateway.schedules import ScheduleDesk
from crawl_gateway.settings import Settings
from crawl_gateway.statistics import HOLDS_SECONDS, Counts
from crawl_gateway.stored import Stored
from crawl_gateway.webhooks.notifier import Notifier
from crawl_gateway.webhooks.sending import Sender

_log = logging.getLogger(__name__)


class Core:
    """The parts of one gateway, put together.

    Args:
        settings: how.
        login: where the API server is, and who the gateway is there.
    """

    def __init__(self, settings: Settings, login: Login) -> None:
        self.settings = settings
        self.started = time.monotonic()
        self.transport = Transport(login, timeout=settings.request_timeout_seconds, retries=2, parallel=64)
        self.client_jobs = Jobs(self.transport)
        self.client_schedules = Schedules(self.transport)
        self.results = Stored(self.transport, self.client_jobs, settings.results_url)
        self.workers = Workers(self.transport, self.client_jobs)
        self.catalogue = Catalogue.of(settings.catalogue)
        self.identity = Identity(self.transport, settings.audiences, settings.token_seconds, settings.anonymous)
        self.rights = Rights(self.transport, settings.rights_seconds)
        self.limiter = Limiter(settings.requests_per_second, settings.burst)
        self.login = Exchange(settings.login) if settings.login else None
        kept = (settings.namespaces, settings.remembered_changes)
        self.jobs = Mirrors(self.transport, self.client_jobs.objects, PLURAL, job_entry, *kept)
        self.schedules = Mirrors(self.transport, self.client_schedules.objects, SCHEDULE_PLURAL, schedule_entry, *kept)
        self._counts = Counts(HOLDS_SECONDS)
        self.metrics = Metrics()
        self.metrics.watch(self.jobs, self.schedules)
        self.streams = Places(settings.streams_per_caller)
        self.stopping = asyncio.Event()
        """Set when the process has been told to end: streams do."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and keep what is in memory up to date meanwhile."""
        async with self.transport:
            keeping = [
                asyncio.create_task(run_all(self.jobs, self.schedules)),
                asyncio.create_task(self._end_streams()),
            ]
            if self.settings.webhooks:
                keeping.append(asyncio.create_task(self._notify()))
            for task in keeping:
                task.add_done_callback(_ended)
            try:
                yield
            finally:
                for task in keeping:
                    task.remove_done_callback(_ended)
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)
                await self.results.aclose()
                if self.login is not None:
                    await self.login.aclose()

    async def _notify(self) -> None:
        pause = timedelta(seconds=self.settings.webhook_pause_seconds)
        async with Sender(self.settings.webhook_networks) as sender, asyncio.TaskGroup() as group:
            for mirror in self.jobs.all:
                jobs, tries = self.client_jobs.objects, self.metrics.webhooks
                notifier = Notifier(self.transport, jobs, mirror, sender, pause, tries)
                group.create_task(notifier.run())

    async def _end_streams(self) -> None:
        await self.stopping.wait()
        self.jobs.wake()
        self.schedules.wake()

    def job_desk(self, caller: Caller, namespace: str) -> JobDesk:
        """Return what a caller does to the jobs of a namespace.

        Raises:
            RefusedError: the namespace is not served, or not yet.
        """
        return JobDesk(
            caller=caller,
            namespace=namespace,
            rights=self.rights,
            resource=PLURAL,
            objects=self.client_jobs.objects,
            mirror=self.jobs.of(namespace),
            jobs=self.client_jobs,
            counts=self._counts,
        )

    def schedule_desk(self, caller: Caller, namespace: str) -> ScheduleDesk:
        """Return what a caller does to the schedules of a namespace."""
        return ScheduleDesk(
            caller=caller,
            namespace=namespace,
            rights=self.rights,
            resource=SCHEDULE_PLURAL,
            objects=self.client_schedules.objects,
            mirror=self.schedules.of(namespace),
            schedules=self.client_schedules,
        )


def _ended(task: asyncio.Task[None]) -> None:
    """Say that something has ended which nobody has told to."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.critical("the gateway goes on without a part of it", exc_info=error)
