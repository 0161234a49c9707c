"""Wait for a job and read its records.

python examples/client/wait.py https://example.org/
"""

import asyncio
import sys

from crawl_client import CrawlClient, Job, single


def show(job: Job) -> None:
    """Say how far a job is."""
    print(f"{job.phase} {job.percent}%")


async def main(url: str) -> None:
    """Submit a job, follow it, and print what it has found."""
    async with CrawlClient() as client:
        job = await client.jobs.submit(single(url, priority="high"))
        await client.wait(job.name, timeout=300, poll=2, seen=show)
        async for record in client.results.records(job.name):
            print(f"{record['url']}: {record['title']}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
