"""The project's settings; the worker lowers what the administrator limits."""

BOT_NAME = "handbook"
SPIDER_MODULES = ["handbook.spiders"]
NEWSPIDER_MODULE = "handbook.spiders"
CONCURRENT_REQUESTS = 32
