"""The operator's configuration: a YAML file, overridden by environment variables, checked as a whole at start.

Every setting has a default that works in a cluster. An environment variable is the path of a setting in capitals:
`limits.urlsPerJob` is `CRAWL_OPERATOR_LIMITS__URLS_PER_JOB`.
"""

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from crawl_api.crawljob import Priority
from crawl_api.job_types import URLS_CEILING
from crawl_api.output import MAX_STORE_URL
from crawl_api.status import Execution
from crawl_operator.decide.capacity import RunningLimits
from crawl_operator.decide.model import ClassPolicy, Policy

ENV_PREFIX: Final = "CRAWL_OPERATOR_"
LOG_LEVEL: Final = "LOG_LEVEL"
"""What many programs call it; as good as `logging` under our own prefix, which wins."""

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


class ConfigurationError(Exception):
    """The configuration is unusable; the text has one line for each setting that is wrong."""


class _Group(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
    )


class Endpoint(_Group):
    """Where workers report to."""

    host: str = "0.0.0.0"  # noqa: S104 - workers come from other nodes; each request is authenticated
    """Address to listen on."""
    port: Port = 8082
    """Port to listen on."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=200)] = "http://crawl-operator:8082"
    """The same as workers reach it: the URL of a Service in a cluster."""


class Health(_Group):
    """Where the kubelet asks for liveness (/healthz) and readiness (/readyz)."""

    host: str = "0.0.0.0"  # noqa: S104 - the kubelet asks from the node's network
    port: Port = 8081


class Worker(_Group):
    """What the worker pods are made of."""

    image: Annotated[str, Field(min_length=1, max_length=512)] = "crawl-worker:latest"
    allowed_images: tuple[Annotated[str, Field(min_length=1, max_length=512)], ...] = ()
    """Images that jobs may ask for by `spec.worker.image`; `*` stands for any text: `registry.example.org/crawls/*`."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    service_account: str = "default"
    """Needs no rights: workers never talk to the Kubernetes API."""
    user_agent: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")] = "crawl-operator/0.1"
    """User-Agent of jobs that name none; put a contact here."""
    allowed_networks: tuple[Network, ...] = ()
    """CIDRs of internal addresses that crawls may reach; by default none, not even loopback."""
    resources: Mapping[str, Any] = {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"memory": "512Mi"},
    }
    work_dir_size: str = "1Gi"
    """Scratch space of a worker, where results wait for their upload."""


class Results(_Group):
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


class Limits(_Group):
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


class Retention(_Group):
    """What happens when the time in a job's `spec.ttl` is over."""

    delete_jobs: bool = True
    """False keeps finished jobs: a job that is applied from Git would be created, and so run, again."""


class Scheduler(_Group):
    """ScheduledCrawlJobs."""

    enabled: bool = True
    """False leaves them alone: they are neither watched nor run."""


class PriorityClass(_Group):
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


class Reconcile(_Group):
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


class Leadership(_Group):
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


class Settings(BaseSettings):
    """All settings of the operator."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        validate_default=True,
    )

    namespaces: tuple[DnsLabel, ...] = ()
    """Namespaces to serve; none named: the whole cluster."""
    logging: Literal["debug", "info", "warning", "error"] = "info"
    endpoint: Endpoint = Endpoint()
    health: Health = Health()
    worker: Worker = Worker()
    results: Results = Results()
    limits: Limits = Limits()
    retention: Retention = Retention()
    classes: Mapping[Priority, PriorityClass] = {}
    """By priority, as much as shall differ from the defaults."""
    scheduler: Scheduler = Scheduler()
    reconcile: Reconcile = Reconcile()
    leadership: Leadership = Leadership()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours speaks of settings as the file does
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content arrives as arguments."""
        return _Environment(settings_cls), init_settings

    @classmethod
    def load(cls, file: Path | None) -> Self:
        """Read the settings.

        Raises:
            ConfigurationError: naming every setting that is wrong, and why.
        """
        try:
            return cls(**_as_in_yaml(cls, _read(file)))
        except ValidationError as error:
            lines = (
                f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']} (is {_shown(problem['input'])})"
                for problem in error.errors(include_url=False)
            )
            raise ConfigurationError("\n".join(lines)) from None
        except SettingsError as error:
            raise ConfigurationError(f"environment: {error}") from None

    def class_of(self, priority: Priority) -> PriorityClass:
        """Return what is configured for jobs of a priority."""
        return self.classes.get(priority, PriorityClass())

    def execution_of(self, priority: Priority) -> Execution:
        """Return what runs the jobs of a priority."""
        default = Execution.POD if priority in {Priority.CRITICAL, Priority.HIGH} else Execution.JOB
        return self.class_of(priority).execution or default

    @property
    def running_limits(self) -> RunningLimits:
        """How many jobs may run at once, and of which kind."""
        of_class = {priority: self.class_of(priority).running for priority in Priority}
        return RunningLimits(
            total=self.limits.running,
            of_class={priority: limit for priority, limit in of_class.items() if limit is not None},
            of_namespace=self.limits.running_in,
            per_namespace=self.limits.running_per_namespace,
            ageing=self.limits.ageing_seconds,
        )

    @property
    def own_url(self) -> str:
        """Where other operators reach this one's endpoint; empty if they cannot."""
        address = self.leadership.address
        return f"http://{f'[{address}]' if ':' in address else address}:{self.endpoint.port}" if address else ""

    @property
    def policy(self) -> Policy:
        """The part of the settings that decisions depend on."""
        return Policy(
            classes={priority: ClassPolicy(self.execution_of(priority)) for priority in Priority},
            max_urls=self.limits.urls_per_job,
            images=(self.worker.image, *self.worker.allowed_images),
            progress_interval=self.reconcile.progress_interval_seconds,
            delete_jobs=self.retention.delete_jobs,
            patience=self.reconcile.patience_seconds,
        )


class _Environment(EnvSettingsSource):
    """The environment's variables, under the names that settings have in YAML: else both would stand side by side."""

    def __call__(self) -> dict[str, Any]:
        values = _as_in_yaml(self.settings_cls, super().__call__())
        if level := os.environ.get(LOG_LEVEL):
            values.setdefault("logging", level.lower())
        if isinstance(classes := values.get("classes"), dict):
            values["classes"] = {
                name.capitalize(): _as_in_yaml(PriorityClass, each) if isinstance(each, dict) else each
                for name, each in classes.items()
            }
        return values


def _as_in_yaml(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the members of all groups to camelCase; what is unknown stays as it is, to be refused by its name."""
    renamed = {}
    for key, value in values.items():
        field = model.model_fields.get(key)
        group = field.annotation if field is not None else None
        if isinstance(group, type) and issubclass(group, _Group) and isinstance(value, dict):
            renamed[key] = _as_in_yaml(group, value)
        else:
            renamed[field.alias or key if field is not None else key] = value
    return renamed


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not YAML: {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: must hold settings by name, not a {type(content).__name__}")
    return content


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
