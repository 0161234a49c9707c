"""Tell errors apart: what is wrong with a job, what is not there, and what took too long.

python examples/client/errors.py https://example.org/
"""

import asyncio
import sys

from crawl_client import (
    AppError,
    ConflictError,
    CrawlClient,
    JobFailedError,
    NotFoundError,
    TimeoutError,  # noqa: A004 - the client's own
    ValidationError,
    single,
)


async def main(url: str) -> None:
    """Make each mistake once."""
    async with CrawlClient() as client:
        try:
            single(url, fetch={"concurrency": 1000})
        except ValidationError as error:
            print(f"refused before it was sent: {error}")
        try:
            await client.jobs.get("no-such-job")
        except NotFoundError as error:
            print(f"{error.status_code}: {error}")
        job = await client.jobs.submit(single(f"{url}/no-such-page", priority="high"))
        try:
            await client.wait(job.name, timeout=0.01)
        except TimeoutError as error:
            print(f"too slow: {error}")
        try:
            await client.wait(job.name, timeout=300)
        except JobFailedError as error:
            print(f"{error.phase}: {error}")
        try:
            await client.jobs.cancel(job.name)
        except ConflictError as error:
            print(f"too late: {error}")
        try:
            await client.results.get("no-such-job")
        except AppError as error:
            print(f"every error is an AppError: {type(error).__name__}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
