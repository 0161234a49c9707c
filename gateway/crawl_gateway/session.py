"""One request: who asks, in which namespace; what routes of all faces take as their parameter."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final

from fastapi import Depends, Query, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection, Request

from crawl_gateway.core import Core
from crawl_gateway.errors import RefusedError, bad_request, unauthorized
from crawl_gateway.identity import Caller
from crawl_gateway.jobs import JobDesk
from crawl_gateway.schedules import ScheduleDesk

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
ALL: Final = "*"
"""What stands for all namespaces."""

BEARER: Final = HTTPBearer(
    scheme_name="Bearer", bearerFormat="Kubernetes token", auto_error=False, description="A Kubernetes token."
)
API_KEY: Final = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", auto_error=False, description="The same token, for clients with API keys."
)


@dataclass(frozen=True)
class Session:
    """Who asks, in which namespace."""

    core: Core
    caller: Caller
    namespace: str
    """"" for all."""
    token: str = ""

    @cached_property
    def jobs(self) -> JobDesk:
        """The jobs of the namespace."""
        return self.core.job_desk(self.caller, self.namespace)

    @cached_property
    def schedules(self) -> ScheduleDesk:
        """The schedules of the namespace."""
        return self.core.schedule_desk(self.caller, self.namespace)


def core_of(connection: HTTPConnection) -> Core:
    """Return what all requests share."""
    core: Core = connection.app.state.core
    return core


async def open_session(connection: HTTPConnection, token: str) -> Session:
    """Find out who asks, count it, and find out the namespace.

    Raises:
        RefusedError: 401; 429; 400.
    """
    core = core_of(connection)
    try:
        if token and core.identity.fresh(token):  # a question to the API server, which strangers shall not flood
            core.limiter.take(f"address {address_of(connection)}")
        caller = await core.identity.of(token)
        connection.scope["caller"] = caller.name
        core.limiter.take(f"caller {caller.name}")
    except RefusedError as error:
        if error.problem.status == 429:
            core.metrics.limited.inc()
        raise
    return Session(core, caller, _namespace(connection, core), token)


def address_of(connection: HTTPConnection) -> str:
    """Return where a request comes from."""
    return connection.client.host if connection.client else ""


def token_of(connection: HTTPConnection) -> str:
    """Return the token that came along; empty if there is none.

    Raises:
        RefusedError: 401: there is another kind of credentials.
    """
    said = connection.headers.get("authorization", "")
    if not said:
        return connection.headers.get("x-api-key", "").strip()
    scheme, _, token = said.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthorized("credentials are a Kubernetes token: Authorization: Bearer …")
    return token.strip()


async def session(
    request: Request,
    namespace: Annotated[
        str | None,
        Query(description="Whose objects; also as header X-Namespace. `*` is all, for lists.", max_length=63),
    ] = None,
    _bearer: object = Security(BEARER),
    _key: object = Security(API_KEY),
) -> Session:
    """Open the session of a request; see `open_session`. The other parameters are there for the documentation."""
    return await open_session(request, token_of(request))


def _namespace(connection: HTTPConnection, core: Core) -> str:
    asked = connection.query_params.get("namespace") or connection.headers.get("x-namespace", "")
    tenant = connection.headers.get("x-tenant-id", "")
    chosen = asked or (core.settings.namespace_of(tenant) if tenant else core.settings.default_namespace)
    if chosen == ALL:
        return ""
    if not _LABEL.fullmatch(chosen):
        raise bad_request("namespace: lower case letters, digits and hyphens are wanted, at most 63")
    return chosen


SessionOf = Annotated[Session, Depends(session)]
"""The type of a route's parameter that is its session."""
