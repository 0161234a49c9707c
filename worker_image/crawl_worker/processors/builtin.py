"""Which processor does which job type."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from crawl_api.job_types import JobType
from crawl_worker.processors.base import Processor
from crawl_worker.processors.custom import custom
from crawl_worker.processors.maintenance import maintenance
from crawl_worker.processors.named import named, pdf
from crawl_worker.processors.site import site

PROCESSORS: Final[Mapping[JobType, Processor]] = MappingProxyType(
    {
        JobType.SINGLE: named,
        JobType.BATCH: named,
        JobType.SITE: site,
        JobType.PDF: pdf,
        JobType.MAINTENANCE: maintenance,
        JobType.CUSTOM: custom,
    }
)
