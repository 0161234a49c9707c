"""The groups of settings: what may be configured, its defaults and its bounds."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from crawl_api.job_types import URLS_CEILING
from crawl_api.output import MAX_STORE_URL
from crawl_api.status import Execution

MAX_FOLDER: Final = 200
"""Characters of the result folder's path; with names below it and URL quoting, a result URL stays within 500."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _network(text: str) -> str:
    return str(ip_network(text))


def _address(text: str) -> str:
    return str(ip_address(text)) if text else ""


def _short_enough(folder: Path) -> Path:
    if len(str(folder.absolute())) > MAX_FOLDER:
        raise ValueError(f"must be no longer than {MAX_FOLDER} characters: it is part of each status.resultURL")
    return folder


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Places = Annotated[int, Field(ge=1, le=10000)]


class Group(BaseModel):
    """Settings that belong together, named in YAML as Kubernetes names things."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Endpoint(Group):
    """Where workers report to."""

    host: str = "0.0.0.0"  # noqa: S104 - workers come from other nodes; each request is authenticated
    """Address to listen on."""
    port: Port = 8082
    """Port to listen on."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=200)] = "http://crawl-operator:8082"
    """The same as workers reach it: the URL of a Service in a cluster."""


class Health(Group):
    """Where the kubelet asks for liveness (/healthz) and readiness (/readyz)."""

    host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks from the node's network
    port: Port = 8081


class Worker(Group):
    """What the worker pods are made of."""

    image: Annotated[str, Field(min_length=1, max_length=512)] = "crawl-worker:latest"
    allowed_images: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = ()
    """Images that jobs may ask for by `spec.worker.image`; `*` stands for any text: `registry.example.org/crawls/*`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    service_account: str = "default"
    """Needs no rights: workers never talk to the Kubernetes API."""
    user_agent: Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[\x20-\x7e]+$")] = "crawl-operator/0.1"
    """User-Agent of jobs that name none; `contact` is added."""
    contact: Annotated[str, Field(max_length=120, pattern=r"^[\x21-\x7e]*$")] = ""
    """URL or e-mail address of who answers for the crawls: sites look for it before they shut a crawler out."""
    allowed_networks: tuple[Network, ...] = ()
    """CIDRs of internal addresses that crawls may reach; by default none, not even loopback."""
    resources: Mapping[str, Any] = {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"memory": "512Mi"},
    }
    work_dir_size: str = "1Gi"
    """Scratch space of a worker, where results wait for their upload."""

    @property
    def introduction(self) -> str:
        """How crawls introduce themselves to sites."""
        return f"{self.user_agent} (+{self.contact})" if self.contact else self.user_agent


class Results(Group):
    """The embedded result store."""

    folder: Annotated[Path, AfterValidator(_short_enough)] = Path("/var/lib/crawl-operator/results")
    """A folder on a volume of the operator's."""
    store_url: Annotated[str, Field(pattern=r"^(|(s3|gs|az)://[^/]+(/.*)?|file:///.*)$", max_length=MAX_STORE_URL)] = ""
    """Bucket for the results of jobs that name none: as `spec.output.storeUrl`. Empty: the folder. The operator deletes
    nothing there."""
    store_credentials: Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$", max_length=253)] = ""
    """Secret in each job's namespace with the options of that bucket. Empty: what the worker's account is given."""
    inline_limit_bytes: Annotated[int, Field(ge=0, le=65536)] = 16384
    """Largest result that also stands in the job's status."""
    max_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    """Largest result that one attempt may store."""
    cache_bytes: Annotated[int, Field(ge=0)] = 256 << 20
    """Of pages that jobs with a `fetch.cacheMode` have cached, in each namespace; the oldest make room."""


class Downloads(Group):
    """Results for whoever may `get` the subresource `crawljobs/results`, at the address that workers report to."""

    enabled: bool = True
    """False hands out nothing; the operator then needs no right to create TokenReviews and SubjectAccessReviews."""
    audiences: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = ()
    """Audiences of the tokens that are taken; none named: the API server's own, so that those of kubectl are."""
    parallel: Annotated[int, Field(ge=1, le=1000)] = 8
    """Downloads at once; others are told to come back."""


class Limits(Group):
    """What may be asked for, and how much of it happens at once."""

    running: Places = 4
    """Jobs that run at once."""
    running_per_namespace: Places | None = None
    """Jobs that run at once in each namespace; unset: as many as in all."""
    running_in: Mapping[DnsLabel, Places] = {}
    """Namespaces that have another limit: name to number."""
    ageing_seconds: Annotated[float, Field(ge=1)] = 600
    """A waiting job is served one class higher, up to High, each time it has waited this long."""
    urls_per_job: Annotated[int, Field(ge=1, le=URLS_CEILING)] = 50
    """URLs in one batch."""
    concurrency: Annotated[int, Field(ge=1, le=100)] = 10
    """Requests that one job has in flight at once."""


class Retention(Group):
    """What happens when the time in a job's `spec.ttl` is over."""

    delete_jobs: bool = True
    """False keeps finished jobs: a job that is applied from Git would be created, and so run, again."""


class Scheduler(Group):
    """ScheduledCrawlJobs."""

    enabled: bool = True
    """False leaves them alone: they are neither watched nor run."""


class PriorityClass(Group):
    """How jobs of one priority run."""

    execution: Execution | None = None
    """`Pod` starts soonest; `Job` is visible to batch tools and survives disruptions by itself. Unset: Critical and
    High run as Pods, Normal and Low as batch Jobs."""
    running: Places | None = None
    """Jobs of this priority that run at once; unset: as many as in all. A limit on Low keeps places for the others."""
    priority_class_name: str = ""
    """The Kubernetes PriorityClass of the worker pods; empty for the cluster's default."""
    resources: Mapping[str, Any] | None = None
    """Instead of `worker.resources`."""


class Reconcile(Group):
    """The pace of the operator."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """Jobs reconciled at once."""
    relist_seconds: Annotated[float, Field(ge=1)] = 120
    """How often the watches are checked against a fresh list."""
    progress_interval_seconds: Annotated[float, Field(ge=0.1)] = 2
    """Least time between two progress writes of one job."""
    patience_seconds: Annotated[float, Field(ge=0)] = 2
    """A job that waits for capacity longer than this says so in its status."""
    request_timeout_seconds: Annotated[float, Field(ge=1)] = 15
    """Time limit of one request to the Kubernetes API."""


class Leadership(Group):
    """One of several operators leads, by a Lease; the others stand by."""

    enabled: bool = False
    """Needed where a second operator may run, if only for the length of a rollout."""
    namespace: DnsLabel = "crawl-operator"
    """Where the Lease lies; the operators need rights there."""
    name: DnsLabel = "crawl-operator"
    """The Lease's name: operators of different namespaces have different ones."""
    lease_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """How long the others wait for a leader that is not heard of."""
    renew_seconds: Annotated[float, Field(ge=0.1)] = 5
    """How often the leader is heard of; at most a third of `leaseSeconds`."""
    address: Address = ""
    """This operator's own IP address: those that stand by pass on there what workers tell them. None: they refuse."""

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.renew_seconds * 3 > self.lease_seconds:
            raise ValueError("renewSeconds must be at most a third of leaseSeconds, to outlast a renewal that fails")
        return self
