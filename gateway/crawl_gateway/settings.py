"""The gateway's configuration: a YAML file, overridden by environment variables, checked as a whole at start.

Every setting has a default that works in a cluster. An environment variable is a setting's name in capitals:
`defaultNamespace` is `CRAWL_GATEWAY_DEFAULT_NAMESPACE`; lists and maps are JSON there.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FilePath, ValidationError, model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from crawl_api.addresses import Network
from crawl_api.job_types import URLS_CEILING

ENV_PREFIX: Final = "CRAWL_GATEWAY_"
FIRST_TENANT: Final = "550e8400-e29b-41d4-a716-446655440000"
"""The id that systems with one tenant send: it means the default namespace."""

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Port = Annotated[int, Field(ge=1, le=65535)]
Audience = Annotated[str, Field(max_length=253)]
Origin = Annotated[str, Field(pattern=r"^https?://[^/*\s]+$", max_length=253)]
UserName = Annotated[str, Field(max_length=253, pattern=r"^[\x21-\x7e]*$")]


def _private(url: str) -> str:
    """Pass a URL that passwords may be sent to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.username is not None or parts.fragment:
        raise ValueError("a URL with a host and without credentials or fragment is wanted")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise ValueError("https is wanted; http only on loopback")
    return url


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LoginSettings(BaseModel):
    """Passwords for tokens: an OpenID provider whose tokens the API server accepts."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, use_attribute_docstrings=True)

    token_endpoint: Annotated[str, Field(max_length=2000), AfterValidator(_private)]
    """The provider's `token_endpoint`: https, or http on loopback."""
    client_id: Annotated[str, Field(min_length=1, max_length=253)]
    """What the provider knows the gateway as."""
    client_secret_file: FilePath | None = None
    """Holds the client's secret; none: a public client."""
    scope: Annotated[str, Field(max_length=500)] = "openid"
    """What is asked for."""
    token: Literal["id_token", "access_token"] = "id_token"  # noqa: S105 - the name of a member
    """Which of the provider's tokens the API server accepts: with OIDC the first."""
    tries_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 20
    """From one address; more are answered 429."""


class ConfigurationError(Exception):
    """The configuration is unusable; the text has one line for each setting that is wrong."""


class Settings(BaseSettings):
    """All settings of the gateway."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )

    host: str = "0.0.0.0"  # noqa: S104 - clients come from other nodes; each request is authenticated
    """Address to listen on."""
    port: Port = 8080
    """Port to listen on."""
    logging: Literal["debug", "info", "warning", "error"] = "info"
    namespaces: tuple[DnsLabel, ...] = ()
    """Namespaces to serve; none named: the whole cluster."""
    default_namespace: DnsLabel = "default"
    """The namespace that is meant where a request names none."""
    tenants: Mapping[str, DnsLabel] = {}
    """Namespaces by what other systems call the tenant (header X-Tenant-ID)."""
    audiences: tuple[Audience, ...] = ("crawl-gateway", "")
    """Audiences of the tokens that are accepted; an empty one stands for the API server's own."""
    anonymous: UserName = ""
    """The Kubernetes user, such as system:serviceaccount:crawls:anonymous, whose rights a request without a token has;
    empty: such a request is refused."""
    login: LoginSettings | None = None
    """Where passwords are exchanged for tokens; none: nowhere."""
    token_seconds: Seconds = 10
    """For how long a token that was checked is trusted without another question."""
    rights_seconds: Seconds = 5
    """For how long a right that was checked is trusted without another question."""
    stream_check_seconds: Seconds = 30
    """How often the rights of whoever follows a stream are checked again."""
    heartbeat_seconds: Seconds = 15
    """Silence after which a stream says that it is alive."""
    streams_per_caller: Annotated[int, Field(ge=1, le=10000)] = 64
    """Streams that one caller has open at once."""
    requests_per_second: Annotated[float, Field(gt=0, le=100_000)] = 100
    """Of one caller, on average; more are answered 429."""
    burst: Annotated[int, Field(ge=1, le=100_000)] = 400
    """Of one caller, at once."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 4 << 20
    """Of one request; a job itself is stored up to about 1.5 MiB."""
    max_bulk: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Jobs in one request."""
    remembered_changes: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """Changes that a stream can be resumed from."""
    unread_changes: Annotated[int, Field(ge=10, le=100_000)] = 1000
    """Changes that a stream may be behind before it is ended."""
    urls_per_job: Annotated[int, Field(ge=1, le=URLS_CEILING)] = 50
    """The operator's `limits.urlsPerJob`: dialects whose clients expect it refuse a longer list at once."""
    catalogue: tuple[Mapping[str, Any], ...] = ()
    """What `crawl_worker --catalogue` tells of worker images: the processors that are types of tasks."""
    webhooks: bool = True
    """Whether the URLs of `spec.notify` are told how jobs end."""
    webhook_networks: tuple[Network, ...] = ()
    """Networks that webhooks may be in, beside public ones."""
    webhook_pause_seconds: Seconds = 5
    """Before the second try of a message that did not arrive; each later pause is four times as long, up to an hour."""
    origins: tuple[Origin, ...] = ()
    """Web pages of other origins that may call (CORS); none: no page but the gateway's own."""
    results_url: Annotated[str, Field(pattern=r"^(https?://[^\s]+)?$", max_length=200)] = ""
    """Where the operator hands out results; empty: those that jobs do not hold themselves are not passed on."""
    request_timeout_seconds: Seconds = 10
    """Time limit of one request to the Kubernetes API."""
    shutdown_seconds: Seconds = 20
    """Time that requests under way have to end after a signal."""

    @model_validator(mode="after")
    def _served(self) -> Self:
        if self.namespaces:
            wanted = {self.default_namespace, *self.tenants.values()}
            if unserved := sorted(wanted - set(self.namespaces)):
                raise ValueError(f"{', '.join(unserved)}: meant by defaultNamespace or tenants, not among namespaces")
        if not self.audiences:
            raise ValueError("audiences: at least one is needed, or no token is accepted")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is the library's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is the library's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content arrives as arguments."""
        return env_settings, init_settings

    @classmethod
    def load(cls, file: Path | None) -> Self:
        """Read the settings.

        Raises:
            ConfigurationError: naming every setting that is wrong, and why.
        """
        try:
            return cls(**{to_snake(key): value for key, value in _read(file).items()})
        except ValidationError as error:
            lines = (
                f"{_named(problem['loc'])}: {problem['msg']} (is {_shown(problem['input'])})"
                for problem in error.errors(include_url=False)
            )
            raise ConfigurationError("\n".join(lines)) from None
        except SettingsError as error:
            raise ConfigurationError(f"environment: {error}") from None

    def namespace_of(self, tenant: str) -> str:
        """Return the namespace of a tenant, in whatever words; one that is unknown is a namespace's own name."""
        first = self.default_namespace if tenant.lower() == FIRST_TENANT else tenant
        return self.tenants.get(tenant, first)


def _read(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: not YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"{file}: must hold settings by name, not a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _named(place: tuple[int | str, ...]) -> str:
    first, *rest = place or ("settings",)
    return ".".join(str(part) for part in (to_camel(str(first)), *rest))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"
