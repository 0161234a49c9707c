"""Jobs and schedules that do not exist yet: one factory per job type, and what all of them take."""

import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self, TypedDict, Unpack

from crawl_api.crawljob import Dependency, RetryOptions, Ttl
from crawl_api.enums import JobType, Priority
from crawl_api.names import API_VERSION, KIND, SCHEDULE_KIND
from crawl_api.notify import Webhook
from crawl_api.options import ExtractOptions, FetchOptions
from crawl_api.output import OutputOptions
from crawl_api.worker_options import WorkerOptions
from crawl_client.dialects import dns_label, priority
from crawl_client.validation import check, job_spec, schedule_spec

_LETTERS: Final = string.ascii_lowercase + string.digits


class Options(TypedDict, total=False):
    """What a job of any type may be told; what is left out keeps the API server's default."""

    name: str
    """What people call it. What is no name for an object is turned into one, and kept as display name."""
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    priority: Priority | str | int
    """A word in any case, or 1 to 10."""
    fetch: FetchOptions | Mapping[str, Any] | None
    extract: ExtractOptions | Mapping[str, Any] | None
    output: OutputOptions | Mapping[str, Any] | None
    retry: RetryOptions | Mapping[str, Any] | None
    timeout_seconds: int
    scheduled_at: datetime
    depends_on: Iterable["str | Dependency | Mapping[str, Any] | NewJob"]
    """Names of jobs, or jobs that are submitted with it."""
    suspend: bool
    ttl: Ttl | Mapping[str, Any] | None
    notify: Iterable[Webhook | Mapping[str, Any]]
    """Whom the gateway tells how it has ended."""
    worker: WorkerOptions | Mapping[str, Any] | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class NewJob:
    """A CrawlJob to be submitted; it is valid as far as a client can tell."""

    name: str
    spec: Mapping[str, Any]
    """As the API server takes it."""
    namespace: str | None = None
    """None: the client's."""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it from a manifest; one without a name is given one.

        Raises:
            ValidationError: with all that is wrong.
        """
        metadata = data.get("metadata") or {}
        name = metadata.get("name") or generated(metadata.get("generateName") or "crawl-")
        check({**data, "metadata": {**metadata, "name": name}})
        return cls(
            name,
            data["spec"],
            metadata.get("namespace"),
            metadata.get("labels") or {},
            metadata.get("annotations") or {},
        )

    def manifest(self) -> dict[str, Any]:
        """Return it as `kubectl apply` takes it."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": _metadata(self.name, self.namespace, self.labels, self.annotations),
            "spec": dict(self.spec),
        }

    def named(self, name: str) -> Self:
        """Return the same job under another name."""
        return replace(self, name=dns_label(name))


@dataclass(frozen=True)
class NewSchedule:
    """A ScheduledCrawlJob to be created; it is valid as far as a client can tell."""

    name: str
    spec: Mapping[str, Any]
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it from a manifest.

        Raises:
            ValidationError: with all that is wrong.
        """
        check(data)
        metadata = data["metadata"]
        return cls(metadata["name"], data["spec"], metadata.get("namespace"), metadata.get("labels") or {})

    def manifest(self) -> dict[str, Any]:
        """Return it as `kubectl apply` takes it."""
        return {
            "apiVersion": API_VERSION,
            "kind": SCHEDULE_KIND,
            "metadata": _metadata(self.name, self.namespace, self.labels, {}),
            "spec": dict(self.spec),
        }


def single(url: str, **options: Unpack[Options]) -> NewJob:
    """Make a job that fetches one URL.

    >>> single("https://example.org/", name="front page", priority="high").manifest()["metadata"]
    {'name': 'front-page'}
    """
    return _new(JobType.SINGLE, {"url": url}, options)


def batch(urls: Iterable[str], **options: Unpack[Options]) -> NewJob:
    """Make a job that fetches a list of URLs.

    >>> batch(["https://example.org/", "https://example.com/"], name="two").spec["type"]
    'Batch'
    """
    return _new(JobType.BATCH, {"urls": tuple(urls)}, options)


def site(start_urls: Iterable[str], *, crawl: Mapping[str, Any] | None = None, **options: Unpack[Options]) -> NewJob:
    """Make a job that follows links from start URLs.

    Args:
        start_urls: where it begins.
        crawl: the other members of `spec.site`, such as max_depth, max_pages, allow, deny, scope.
        **options: see `Options`.

    >>> site(["https://example.org/"], crawl={"max_pages": 100}).spec["site"]
    {'startUrls': ['https://example.org/'], 'maxPages': 100}
    """
    return _new(JobType.SITE, {"start_urls": tuple(start_urls), **(crawl or {})}, options)


def pdf(urls: Iterable[str], *, max_bytes: int | None = None, **options: Unpack[Options]) -> NewJob:
    """Make a job that reads PDF files.

    >>> pdf(["https://example.org/a.pdf"]).spec["pdf"]["urls"]
    ['https://example.org/a.pdf']
    """
    return _new(JobType.PDF, {"urls": tuple(urls)} | ({"max_bytes": max_bytes} if max_bytes else {}), options)


def maintenance(task: str, parameters: Mapping[str, Any] | None = None, **options: Unpack[Options]) -> NewJob:
    """Make a job that looks after what crawls leave behind, or sees whether all that they need is there.

    Args:
        task: cache_cleanup, result_cleanup, health_check or list_processors.
        parameters: what the task is told.
        **options: see `Options`.

    >>> maintenance("cache_cleanup", {"olderThanSeconds": 3600}).spec["maintenance"]["task"]
    'cache_cleanup'
    """
    return _new(JobType.MAINTENANCE, {"task": task, "parameters": dict(parameters or {})}, options)


def custom(processor: str, parameters: Mapping[str, Any] | None = None, **options: Unpack[Options]) -> NewJob:
    """Make a job for a processor that the worker's image brings.

    >>> custom("scrapy", {"spider": "books"}).spec["custom"]["processor"]
    'scrapy'
    """
    return _new(JobType.CUSTOM, {"processor": processor, "parameters": dict(parameters or {})}, options)


def of_type(job_type: JobType, member: Mapping[str, Any], **options: Unpack[Options]) -> NewJob:
    """Make a job of a type that is only known when it is made, from the member of the spec of that name.

    >>> of_type(JobType.SINGLE, {"url": "https://example.org/"}).spec["single"]
    {'url': 'https://example.org/'}
    """
    return _new(job_type, member, options)


def schedule(  # noqa: PLR0913 - what a schedule may be told
    name: str,
    cron: str,
    job: NewJob,
    *,
    zone: str = "UTC",
    enabled: bool = True,
    namespace: str | None = None,
    **more: object,
) -> NewSchedule:
    """Make a schedule: `job` whenever the cron line is due.

    Args:
        name: what people call it; what is no name for an object is kept as display name.
        cron: five fields, or @hourly, @daily, @weekly, @monthly, @yearly.
        job: what is run; its name does not matter.
        zone: the time zone of the line.
        enabled: whether it makes runs by itself.
        namespace: None for the client's.
        **more: other members of the spec, such as concurrency_policy or starting_deadline_seconds.

    >>> schedule("daily_crawl", "0 2 * * *", single("https://example.org/")).name
    'daily-crawl'

    Raises:
        ValidationError: with all that is wrong.
    """
    label = dns_label(name)
    metadata = {"labels": dict(job.labels), "annotations": dict(job.annotations)}
    template = {"metadata": {key: each for key, each in metadata.items() if each}, "spec": job.spec}
    values: dict[str, Any] = {
        "schedule": cron,
        "timeZone": zone,
        "suspend": not enabled,
        "jobTemplate": template,
        **more,
    }
    if label != name:
        values["displayName"] = name
    spec = schedule_spec(values)
    return NewSchedule(label, {**spec, "jobTemplate": {**template, "spec": dict(job.spec)}}, namespace)


def generated(prefix: str) -> str:
    """Return a name that no other job has, for all that is likely."""
    return prefix[:50] + "".join(secrets.choice(_LETTERS) for _ in range(8))


def _new(job_type: JobType, member: Mapping[str, Any], options: Options) -> NewJob:
    given: dict[str, Any] = dict(options)
    name, namespace = given.pop("name", ""), given.pop("namespace", None)
    labels, annotations = given.pop("labels", {}), given.pop("annotations", {})
    label = dns_label(name) if name else generated(f"{job_type.lower()}-")
    if name and label != name:
        given.setdefault("display_name", name)
    if "priority" in given:
        given["priority"] = priority(given["priority"])
    if "notify" in given:
        given["notify"] = tuple(given["notify"])
    if "depends_on" in given:
        given["depends_on"] = [_dependency(each) for each in given["depends_on"]]
    spec = job_spec({"type": job_type, job_type.lower(): member, **given})
    return NewJob(label, spec, namespace, labels, annotations)


def _dependency(value: "str | Dependency | Mapping[str, Any] | NewJob") -> Any:
    if isinstance(value, NewJob):
        return {"name": value.name}
    return {"name": value} if isinstance(value, str) else value


def _metadata(
    name: str, namespace: str | None, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> dict[str, Any]:
    parts = {"name": name, "namespace": namespace, "labels": dict(labels), "annotations": dict(annotations)}
    return {key: value for key, value in parts.items() if value}
