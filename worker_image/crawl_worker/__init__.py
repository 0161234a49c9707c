"""The crawl worker: runs one attempt of one job, stores what it found, and says how it ended.

The way of an attempt: `__main__` reads the assignment, `attempt` lets a processor crawl through `fetcher` (which
drives Scrapy's downloader in `engine`, behind the guard in `guard` and `resolver`), each page is read in a process of
its own (`extractors`, `extraction`), records go to the `spool`, and `operator_client` hands them over.
"""
