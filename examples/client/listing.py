"""List jobs: a page of the newest, all that failed, and all that name a host.

python examples/client/listing.py example.org
"""

import asyncio
import sys

from crawl_client import CrawlClient, Filter


async def main(host: str) -> None:
    """Print three lists."""
    async with CrawlClient() as client:
        page = await client.jobs.list(limit=20)
        print(f"page {page.page} of {page.pages}, {page.total} jobs in all:")
        for job in page.items:
            print(f"  {job.name} {job.type} {job.phase}")
        failed = [job async for job in client.jobs.iterate(Filter(phase=["failed", "dead_letter"]))]
        print(f"{len(failed)} failed")
        found = [job async for job in client.jobs.iterate(Filter(search=host))]
        print(f"{len(found)} crawl {host}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
