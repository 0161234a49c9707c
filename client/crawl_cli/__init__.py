"""`kubectl crawl`: crawls from a terminal. It also runs by itself, as `crawl-operator`."""
