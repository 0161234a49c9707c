"""Which jobs are meant, as selectors that the API server decides by."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from crawl_api.enums import JobType, Phase, Priority
from crawl_api.names import LABEL_SCHEDULE
from crawl_client import dialects
from crawl_client.models import Job


@dataclass(frozen=True)
class Filter:
    """Which jobs are meant. All but `search` is decided by the API server.

    >>> Filter(phase="failed", type="batch").fields
    'spec.type=Batch,status.phase=Failed'
    """

    phase: str | Phase | Iterable[str | Phase] = ()
    """Phases, in any dialect's words; of several, one is enough."""
    type: str | JobType | None = None
    priority: str | int | Priority | None = None
    schedule: str | None = None
    """Runs of this schedule."""
    labels: str = ""
    """A label selector."""
    selector: str = ""
    """A field selector."""
    search: str = ""
    """Text in the name, the display name or a URL, whatever its case."""

    @property
    def fields(self) -> str:
        """All that can be said as a field selector."""
        wanted = dialects.phases(self.phase) if self.phase else frozenset(Phase)
        parts = [self.selector] if self.selector else []
        if self.type is not None:
            parts.append(f"spec.type={dialects.job_type(self.type)}")
        if self.priority is not None:
            parts.append(f"spec.priority={dialects.priority(self.priority)}")
        if len(wanted) == 1:
            parts.append(f"status.phase={next(iter(wanted))}")
        else:  # a field selector knows "and" alone
            parts += [f"status.phase!={phase}" for phase in Phase if phase not in wanted]
        return ",".join(parts)

    @property
    def label_selector(self) -> str:
        """All that can be said as a label selector."""
        return ",".join(
            part for part in (self.labels, f"{LABEL_SCHEDULE}={self.schedule}" if self.schedule else "") if part
        )

    def matches(self, job: Job) -> bool:
        """Decide what the API server cannot."""
        if not self.search:
            return True
        spec = job.raw["spec"]
        member = spec.get(job.type.lower()) or {}
        urls = (member.get("url", ""), *member.get("urls", ()), *member.get("startUrls", ()))
        text = " ".join((job.name, job.display_name, *urls))
        return self.search.lower() in text.lower()


EVERY: Final = Filter()
"""All jobs."""
