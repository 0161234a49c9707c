"""Submit a job and say what it is called.

python examples/client/submit.py https://example.org/
"""

import asyncio
import sys

from crawl_client import CrawlClient, batch


async def main(*urls: str) -> None:
    """Submit one batch of high priority."""
    async with CrawlClient() as client:
        job = await client.jobs.submit(batch(urls, priority="high", metadata={"ticket": 17}))
        print(f"{job.name} is {job.phase}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
