"""The application: faces, probes, documentation, and what all of them have in common."""

import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from crawl_client.errors import AppError
from crawl_gateway import probes, reference, v1, web_page
from crawl_gateway.core import Core
from crawl_gateway.dialects.registry import DIALECTS
from crawl_gateway.envelope import Envelope
from crawl_gateway.errors import Problem, RefusedError, of_status, problem_of
from crawl_gateway.faces import Face, answer

_log = logging.getLogger(__name__)

FACES: Final[tuple[Face, ...]] = (v1.FACE, *DIALECTS)
"""Every dialect that is spoken."""

VERSION: Final = "1.0.0"
_TOLD: Final = frozenset({404, 409, 429, 500, 502, 503, 504})
"""Statuses whose messages are logged."""
_FORESEEN: Final = (RefusedError, AppError, TimeoutError)
_ASKED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "Last-Event-ID",
    "X-API-Key",
    "X-Namespace",
    "X-Request-ID",
    "X-Tenant-ID",
)
_DESCRIPTION: Final = """Web crawls on Kubernetes, for systems that speak HTTP.

Every job here is a `CrawlJob` of the cluster, every schedule a `ScheduledCrawlJob`: what is made here is seen by
`kubectl`, and the other way round. Callers are who their Kubernetes token says, and may do what Kubernetes lets them.
"""


def create(core: Core, faces: Sequence[Face] = FACES) -> FastAPI:
    """Put the application together."""

    @contextlib.asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        async with core.running():
            yield

    app = FastAPI(
        title="Crawl gateway",
        version=VERSION,
        description=_DESCRIPTION,
        lifespan=running,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.core = core
    app.state.faces = tuple(faces)
    for face in faces:
        app.include_router(face.router)
    for router in (probes.router, reference.router, web_page.router):
        app.include_router(router)
    for kind in (HTTPException, RequestValidationError, *_FORESEEN):
        app.add_exception_handler(kind, _failed)
    if core.settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=core.settings.origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=_ASKED,
            expose_headers=["ETag", "Retry-After", "X-Request-ID"],
            max_age=600,
        )
    app.add_middleware(Envelope, metrics=core.metrics, max_body=core.settings.max_body_bytes)
    setattr(app, "openapi", lambda: _document(app))  # noqa: B010 - the framework's own way, which types do not allow
    return app


async def _failed(request: Request, error: Exception) -> Response:
    problem = _problem(error)
    said = problem.message if problem.status in _TOLD else ""  # others may repeat what was sent, secrets too
    level = logging.ERROR if problem.status >= 500 else logging.WARNING
    _log.log(level, "%s: %s %r id=%s", request.method, problem.code, said, request.scope.get("request_id", "-"))
    return answer(request.scope, problem)


def _problem(error: Exception) -> Problem:
    if isinstance(error, HTTPException):
        return of_status(error.status_code, str(error.detail), error.headers)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    return problem_of(error)


def _invalid(error: RequestValidationError) -> Problem:
    """Say what is wrong with parameters; of bodies the models of the API speak themselves."""
    details = tuple(f"{'.'.join(str(part) for part in each['loc'][1:])}: {each['msg']}" for each in error.errors())
    return Problem(422, "InvalidParameter", "; ".join(details), details)


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _put_back(document, app)
        models: list[type[BaseModel]] = [model for face in app.state.faces for model in face.models]
        _, schemas = models_json_schema(
            [(model, "validation") for model in dict.fromkeys(models)], ref_template="#/components/schemas/{model}"
        )
        known = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in schemas.get("$defs", {}).items():
            known.setdefault(name, schema)
        app.openapi_schema = document
    return app.openapi_schema


def _put_back(document: dict[str, Any], app: FastAPI) -> None:
    """Put examples of answers back as they were: the framework leaves out all that is null, also there."""
    for each in iter_route_contexts(app.routes):
        route = each.original_route
        if not isinstance(route, APIRoute) or each.path_format not in document["paths"]:
            continue
        for status, said in route.responses.items():
            example = said.get("content", {}).get("application/json", {}).get("example")
            for method in (route.methods or ()) if example is not None else ():
                answers = document["paths"][each.path_format][method.lower()]["responses"]
                answers[str(status)]["content"]["application/json"]["example"] = example
