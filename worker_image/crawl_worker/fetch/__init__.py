"""From a URL to the bytes behind it: the downloader, and everything that decides whether and when it may run."""
