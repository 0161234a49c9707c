"""ScheduledCrawlJobs: create, find, switch on and off, run now."""

import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from crawl_api.names import ANNOTATION_TRIGGER, SCHEDULE_PLURAL
from crawl_client.answers import Event
from crawl_client.collection import Collection
from crawl_client.errors import NotFoundError
from crawl_client.models import Schedule
from crawl_client.transport import Transport

if TYPE_CHECKING:
    from crawl_client.requested import NewSchedule

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Schedules:
    """ScheduledCrawlJobs, as `client.schedules`. `namespace` is the client's where none is given, "" is all."""

    def __init__(self, transport: Transport) -> None:
        self.objects = Collection(transport, SCHEDULE_PLURAL, Schedule)

    async def create(self, schedule: "NewSchedule", *, dry_run: bool = False) -> Schedule:
        """Create a schedule, from the factory `schedule` or `NewSchedule.from_dict`.

        Raises:
            ConflictError: there is one of that name.
            ValidationError: the API server refuses it.

        Example::

            daily = schedule("nightly", "0 2 * * *", single("https://example.org/"), zone="Europe/Berlin")
            await client.schedules.create(daily)
        """
        return await self.objects.create(schedule.manifest(), dry_run=dry_run)

    async def get(self, name: str, namespace: str | None = None) -> Schedule:
        """Read a schedule by its name, its display name or its UID.

        Raises:
            NotFoundError: there is none.

        Example::

            daily = await client.schedules.get("daily")
            print(daily.cron, daily.next_run)
        """
        missing: NotFoundError | None = None
        if _NAME.fullmatch(name):
            try:
                return await self.objects.read(name, namespace)
            except NotFoundError as error:
                missing = error
        async for schedule in self.iterate(namespace):
            if name in {schedule.uid, schedule.display_name}:
                return schedule
        raise missing or NotFoundError(f'scheduledcrawljobs.crawl-operator.io "{name}" not found', 404)

    async def iterate(self, namespace: str | None = None, *, labels: str = "") -> AsyncIterator[Schedule]:
        """Yield all schedules, page by page, in order of their names.

        Example::

            async for each in client.schedules.iterate():
                print(each.name, each.runs)
        """
        async for page, _ in self.objects.pages(namespace, labels=labels):
            for schedule in page:
                yield schedule

    async def list(self, namespace: str | None = None, *, labels: str = "") -> list[Schedule]:
        """Return all schedules, in order of their names.

        Example::

            print([each.name for each in await client.schedules.list() if not each.enabled])
        """
        return [schedule async for schedule in self.iterate(namespace, labels=labels)]

    def watch(self, namespace: str | None = None, *, labels: str = "") -> AsyncGenerator[Event[Schedule], None]:
        """Yield what happens to schedules: first what there is, then each change, without end.

        Example::

            async for event in client.schedules.watch():
                print(event.type, event.object.name)
                if event.object.enabled:
                    break
        """
        return self.objects.changes(namespace, labels=labels)

    async def enable(self, name: str, namespace: str | None = None) -> Schedule:
        """Let a schedule make runs again.

        Example::

            await client.schedules.enable("daily")
        """
        return await self.update(name, namespace, suspend=False)

    async def disable(self, name: str, namespace: str | None = None) -> Schedule:
        """Let a schedule make no runs but those that are asked for; those under way go on.

        Example::

            await client.schedules.disable("daily")
        """
        return await self.update(name, namespace, suspend=True)

    async def update(self, name: str, namespace: str | None = None, **changes: Any) -> Schedule:
        """Change members of the spec, by their names on the wire.

        Example::

            await client.schedules.update("daily", schedule="0 3 * * *", timeZone="Europe/Berlin")
        """
        return await self.objects.patch((await self.get(name, namespace)).name, {"spec": changes}, namespace)

    async def trigger(self, name: str, namespace: str | None = None) -> str:
        """Ask for a run now, also of a disabled schedule.

        Returns:
            The value that the run carries in its annotation `crawl-operator.io/trigger`.

        Example::

            value = await client.schedules.trigger("daily")
            print(value)
        """
        value = uuid.uuid4().hex
        found = await self.get(name, namespace)
        patch = {"metadata": {"annotations": {ANNOTATION_TRIGGER: value}}}
        await self.objects.patch(found.name, patch, found.namespace)
        return value

    async def delete(self, name: str, namespace: str | None = None) -> None:
        """Remove a schedule and its runs.

        Raises:
            NotFoundError: there is none.

        Example::

            await client.schedules.delete("daily")
        """
        found = await self.get(name, namespace)
        await self.objects.remove(found.name, found.namespace)
