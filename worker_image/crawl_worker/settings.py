"""The worker's configuration: from the environment and the files it names, everything checked before anything runs."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from crawl_api.addresses import Network
from crawl_api.names import (
    ENV_ASSIGNMENT_FILE,
    ENV_HEADERS,
    ENV_STORE_CREDENTIALS,
    ENV_TERMINATION_LOG,
    ENV_TOKEN_FILE,
    ENV_WORK_DIR,
)
from crawl_api.worker_protocol import Assignment

MAX_ASSIGNMENT_BYTES: Final = 4 << 20


class WorkerSettings(BaseSettings):
    """What the pod tells the worker."""

    model_config = SettingsConfigDict(env_prefix="CRAWL_", extra="ignore", frozen=True)

    assignment_file: Annotated[Path, Field(validation_alias=ENV_ASSIGNMENT_FILE)]
    """JSON of the assignment."""
    token_file: Annotated[Path, Field(validation_alias=ENV_TOKEN_FILE)]
    """The projected token for the operator."""
    termination_log: Annotated[Path, Field(validation_alias=ENV_TERMINATION_LOG)]
    """Where the termination message is written."""
    work_dir: Annotated[Path, Field(validation_alias=ENV_WORK_DIR)]
    """A writable directory for the records."""
    headers: Annotated[Path | None, Field(validation_alias=ENV_HEADERS)] = None
    """Headers for the hosts that the job names, one file each."""
    store_credentials: Annotated[Path | None, Field(validation_alias=ENV_STORE_CREDENTIALS)] = None
    """Options of the store that the job names, one file each."""
    extract_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    """Time limit of reading one page (CRAWL_EXTRACT_TIMEOUT_SECONDS)."""
    extract_memory_bytes: Annotated[int, Field(ge=128 << 20)] = 1 << 30
    """Memory that one extraction process may allocate, if the container has so much (CRAWL_EXTRACT_MEMORY_BYTES)."""
    extract_processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Extraction processes at most, no more than cores and than memory is for (CRAWL_EXTRACT_PROCESSES)."""
    grace_seconds: Annotated[float, Field(gt=0, le=3600)] = 22
    """From a stop signal until everything must be handed over (CRAWL_GRACE_SECONDS); the cluster kills after 30."""
    memory_limit_bytes: Annotated[int, Field(ge=0)] = 0
    """Memory of this process and its children; 0: the container's own limit (CRAWL_MEMORY_LIMIT_BYTES)."""
    checkpoint_seconds: Annotated[float, Field(gt=0, le=3600)] = 10
    """How long a result may be on this disk alone (CRAWL_CHECKPOINT_SECONDS)."""
    min_handover_seconds: Annotated[float, Field(gt=0, le=600)] = 60
    """How long to wait for the operator at least, even where the attempt's time is over."""


class ConfigurationError(Exception):
    """The worker cannot start; `problems` says everything that is wrong, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def load() -> tuple[WorkerSettings, Assignment, tuple[Network, ...]]:
    """Return the settings, the assignment and the networks exempt from the guard.

    Raises:
        ConfigurationError: with everything that is wrong.
    """
    try:
        settings = WorkerSettings()
    except ValidationError as error:
        raise ConfigurationError(_lines(error)) from error
    problems = _path_problems(settings)
    assignment: Assignment | None = None
    networks: list[Network] = []
    try:
        with settings.assignment_file.open("rb") as file:
            assignment = Assignment.model_validate_json(file.read(MAX_ASSIGNMENT_BYTES))
    except OSError as error:
        problems.append(f"{ENV_ASSIGNMENT_FILE}: {settings.assignment_file}: {error.strerror}")
    except ValidationError as error:
        problems += [f"assignment: {line}" for line in _lines(error)]
    else:
        if getattr(assignment, assignment.type.value.lower()) is None:
            problems.append(f"assignment: type is {assignment.type}, but {assignment.type.value.lower()} is not set")
        for text in assignment.allowed_networks:
            try:
                networks.append(ip_network(text))
            except ValueError as error:
                problems.append(f"assignment: allowedNetworks: {error}")
    if problems or assignment is None:
        raise ConfigurationError(problems)
    return settings, assignment, tuple(networks)


def _path_problems(settings: WorkerSettings) -> list[str]:
    problems = []
    if not os.access(settings.token_file, os.R_OK):
        problems.append(f"{ENV_TOKEN_FILE}: {settings.token_file} cannot be read")
    if not (settings.work_dir.is_dir() and os.access(settings.work_dir, os.W_OK)):
        problems.append(f"{ENV_WORK_DIR}: {settings.work_dir} is not a writable directory")
    return problems


def _lines(error: ValidationError) -> list[str]:
    return [f"{'.'.join(str(part) for part in item['loc']) or 'value'}: {item['msg']}" for item in error.errors()]
