"""Create a schedule, see when it is due, make a run now, and remove it.

python examples/client/schedules.py https://example.org/
"""

import asyncio
import sys

from crawl_client import CrawlClient, Filter, batch, next_runs, schedule


async def main(url: str) -> None:
    """Live through the whole life of a schedule."""
    new = schedule("daily_crawl", "0 2 * * *", batch([url], priority="high"), zone="Europe/Berlin")
    async with CrawlClient() as client:
        made = await client.schedules.create(new)
        try:
            for moment in next_runs(made.cron, made.zone, count=3):
                print(f"due at {moment}")
            await client.schedules.trigger(made.name)
            async for event in client.jobs.watch(Filter(schedule=made.name)):
                run = await client.wait(event.object.name, timeout=300)
                print(f"{run.display_name} {run.phase}")
                break
        finally:
            await client.schedules.delete(made.name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
