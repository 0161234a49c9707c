"""Faces: sets of paths that speak one dialect, with its own routes and its own form of errors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Scope

from crawl_gateway.errors import Problem, Render, render


@dataclass(frozen=True)
class Face:
    """One dialect."""

    name: str
    router: APIRouter
    prefixes: tuple[str, ...]
    """Beginnings of its paths, whole segments: of several faces the longest one that fits is meant."""
    render: Render = render
    """How its errors look."""
    models: tuple[type[BaseModel], ...] = ()
    """What `schema_of` refers to, in the OpenAPI document."""


class Json(Response):
    """JSON, written as fast as can be: bytes are taken to be JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Write it."""
        return content if isinstance(content, bytes) else to_json(content)


def answer(scope: Scope, problem: Problem) -> Response:
    """Write a problem as the face of a path has it."""
    faces: Sequence[Face] = scope["app"].state.faces
    problem = replace(problem, request_id=scope.get("request_id", ""))
    status, body = _renderer(faces, scope["path"])(problem)
    headers = dict(problem.headers)
    if problem.retry_after:
        headers["Retry-After"] = str(max(1, ceil(problem.retry_after)))
    return Json(body, status, headers)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Refer to a model of a face in the OpenAPI document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def takes(model: type[BaseModel], *, example: Any = None) -> dict[str, Any]:
    """Document the body of a request: `openapi_extra` of a route that reads it by `sent`."""
    content: dict[str, Any] = {"schema": schema_of(model)} | ({"example": example} if example is not None else {})
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def gives(description: str, model: type[BaseModel] | None = None, *, example: Any = None) -> dict[str, Any]:
    """Document an answer: a value of `responses` of a route."""
    if model is None:
        return {"description": description}
    content: dict[str, Any] = {"schema": schema_of(model)} | ({"example": example} if example is not None else {})
    return {"description": description, "content": {"application/json": content}}


def _renderer(faces: Sequence[Face], path: str) -> Render:
    fitting = [
        (len(prefix), number)
        for number, face in enumerate(faces)
        for prefix in face.prefixes
        if path == prefix or path.startswith(f"{prefix.rstrip('/')}/")
    ]
    return faces[max(fitting)[1]].render if fitting else _DEFAULT


_DEFAULT: Final[Render] = render
