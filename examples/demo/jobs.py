"""Reads jobs and their results the way anyone with kubectl can."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from crawl_api.status import CrawlJobStatus
from demo.stage import Stage


@dataclass(frozen=True)
class JobView:
    """A job as the API server shows it."""

    name: str
    type: str
    status: CrawlJobStatus

    @classmethod
    def read(cls, stage: Stage) -> list[Self]:
        """Return all jobs, sorted by name."""
        found = json.loads(stage.kubectl("get", "crawljobs", "--output=json"))
        return [
            cls(item["metadata"]["name"], item["spec"]["type"], CrawlJobStatus.model_validate(item.get("status", {})))
            for item in found["items"]
        ]

    @property
    def pages(self) -> str:
        """How many pages are done, in words; empty before the first report."""
        progress = self.status.progress
        return f"{progress.succeeded + progress.failed} of {progress.total} pages" if progress.total else ""

    def records(self) -> list[dict[str, Any]]:
        """Return the result's records: small results stand in the status, all of them in the result store."""
        if self.status.result is not None and self.status.result.data is not None:
            return list(self.status.result.data)
        stored = Path(unquote(urlsplit(self.status.result_url).path))
        return [json.loads(line) for line in stored.read_text(encoding="utf-8").splitlines()]
