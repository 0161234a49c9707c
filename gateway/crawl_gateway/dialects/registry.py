"""Every dialect that is spoken besides the gateway's own."""

from typing import Final

from crawl_gateway.dialects.jobs.routes import FACE as JOBS
from crawl_gateway.dialects.tasks.routes import FACE as TASKS
from crawl_gateway.dialects.workers.routes import FACE as WORKERS
from crawl_gateway.faces import Face

DIALECTS: Final[tuple[Face, ...]] = (WORKERS, TASKS, JOBS)
