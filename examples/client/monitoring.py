"""Watch all jobs of a namespace until none is left to do.

python examples/client/monitoring.py
"""

import asyncio

from crawl_client import CrawlClient, Filter, Job


async def main() -> None:
    """Print each change of phase."""
    async with CrawlClient() as client:
        open_jobs: dict[str, Job] = {job.name: job async for job in client.jobs.iterate(Filter(phase="active"))}
        print(f"{len(open_jobs)} jobs are under way")
        async for event in client.jobs.watch():
            job = event.object
            before = open_jobs.get(job.name)
            if event.type != "DELETED" and before is not None and before.phase is not job.phase:
                print(f"{job.name}: {before.phase} → {job.phase}")
                open_jobs[job.name] = job
            if event.type == "DELETED" or job.finished:
                open_jobs.pop(job.name, None)
            if not open_jobs:
                break
    print("all is done")


if __name__ == "__main__":
    asyncio.run(main())
