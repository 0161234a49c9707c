"""Say how busy the system is, and whether it is well; without `await`.

python examples/client/numbers_of_jobs.py
"""

from crawl_client.sync import CrawlClient


def main() -> None:
    """Print the numbers."""
    with CrawlClient() as client:
        queue = client.stats.queue()
        print(f"{queue.pending} pending, {queue.processing} processing, {queue.failed} failed, {queue.total} in all")
        workers = client.stats.workers()
        print(f"{workers.healthy_workers} of {workers.total_workers} workers are healthy")
        health = client.health()
        print(health.status, *health.problems)


if __name__ == "__main__":
    main()
