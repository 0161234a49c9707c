"""One job of each type, the last of which waits for the others.

python examples/client/job_types.py https://example.org/ https://example.org/paper.pdf
"""

import asyncio
import sys

from crawl_client import CrawlClient, Graph, batch, maintenance, pdf, single, site


async def main(url: str, paper: str) -> None:
    """Submit a graph of jobs and wait for all of them with one watch."""
    jobs = [
        single(url, priority="high", extract={"markdown": True}),
        site([url], crawl={"max_depth": 1, "max_pages": 5}, priority="high"),
        pdf([paper], priority="high"),
        maintenance("health_check", priority="high"),
    ]
    graph = Graph()
    for job in jobs:
        graph = graph.add(job)
    graph = graph.add(batch([url], priority="high", name="the last of all"), after=jobs)
    async with CrawlClient() as client:
        outcome = await client.submit_all(graph.jobs())
        for failure in outcome.failed:
            print(f"not created: {failure}")
        ended = await client.wait_all([job.name for job in outcome.done], timeout=300)
        for job in ended.values():
            print(f"{job.type} {job.phase}, {job.progress['succeeded']} of {job.progress['total']}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
