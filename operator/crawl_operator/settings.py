"""The operator's configuration: a YAML file, overridden by environment variables, checked as a whole at start.

Every setting has a default that works in a cluster. An environment variable is the path of a setting in capitals:
`limits.urlsPerJob` is `CRAWL_OPERATOR_LIMITS__URLS_PER_JOB`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from crawl_api.crawljob import Priority
from crawl_api.status import Execution
from crawl_operator.decide.capacity import RunningLimits
from crawl_operator.decide.model import ClassPolicy, Policy
from crawl_operator.setting_groups import (
    DnsLabel,
    Downloads,
    Endpoint,
    Group,
    Health,
    Leadership,
    Limits,
    PriorityClass,
    Reconcile,
    Results,
    Retention,
    Scheduler,
    Worker,
)

ENV_PREFIX: Final = "CRAWL_OPERATOR_"


class ConfigurationError(Exception):
    """The configuration is unusable; the text has one line for each setting that is wrong."""


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
    downloads: Downloads = Downloads()
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
        if isinstance(group, type) and issubclass(group, Group) and isinstance(value, dict):
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
