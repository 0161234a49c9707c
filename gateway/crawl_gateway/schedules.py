"""ScheduledCrawlJobs, as one caller handles them in one namespace."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from crawl_client.models import Schedule
from crawl_client.requested import NewSchedule
from crawl_client.schedules import Schedules
from crawl_client.timetables import next_runs
from crawl_gateway.desk import Desk
from crawl_gateway.errors import bad_request


@dataclass(frozen=True)
class ScheduleDesk(Desk[Schedule]):
    """Schedules: create, find, switch on and off, run now. Every id is one of `crawl_gateway.ids`."""

    schedules: Schedules

    async def create(self, new: NewSchedule) -> Schedule:
        """Create a schedule."""
        if not self.namespace:
            raise bad_request("namespace: a schedule is made in one; name it")
        if new.namespace not in {None, self.namespace}:
            raise bad_request(f"metadata.namespace: {new.namespace} is not {self.namespace}, which the request names")
        await self.require("create")
        return self.mirror.own(await self.schedules.create(replace(new, namespace=self.namespace)))

    async def list(self) -> Sequence[Schedule]:
        """Return the schedules, the newest first, from memory."""
        await self.require("list")
        entries = self.mirror.shelf.oldest_first(self.namespace)
        return [entry.object for entry in reversed(entries)]

    async def enable(self, text: str) -> Schedule:
        """Let a schedule make runs."""
        return self.mirror.own(await self.schedules.enable(await self.locate(text, "patch"), self.namespace))

    async def disable(self, text: str) -> Schedule:
        """Let a schedule make no runs by itself."""
        return self.mirror.own(await self.schedules.disable(await self.locate(text, "patch"), self.namespace))

    async def trigger(self, text: str) -> str:
        """Ask for a run now; return what it carries in its annotation `trigger`."""
        return await self.schedules.trigger(await self.locate(text, "patch"), self.namespace)

    async def next_runs(self, text: str, count: int) -> Sequence[datetime]:
        """Return the next times at which a schedule is due."""
        schedule = await self.get(text)
        return next_runs(schedule.cron, schedule.zone, count=count)
