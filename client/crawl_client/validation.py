"""What the API server would refuse, said before anything is sent, in its words and all of it at once.

The API's own models decide, as they do in the operator; here their findings are put into the API server's sentences.
What only the server can evaluate (CEL over regular expressions of RE2, limits of the administrator) is left to it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic import ValidationError as Invalid
from pydantic_core import ErrorDetails

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.job_types import URL_RULE
from crawl_api.names import API_VERSION, KIND, MAX_JOB_NAME, SCHEDULE_KIND
from crawl_api.schedule import ScheduledCrawlJobSpec
from crawl_client.errors import ValidationError

_SPECS: Final[dict[str, type[BaseModel]]] = {KIND: CrawlJobSpec, SCHEDULE_KIND: ScheduledCrawlJobSpec}
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_BEARERS: Final = {KIND: "the worker", SCHEDULE_KIND: "its runs"}
_TYPES: Final = {
    "string_type": "string",
    "int_type": "integer",
    "int_parsing": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "float_parsing": "number",
    "bool_type": "boolean",
    "bool_parsing": "boolean",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "tuple_type": "array",
    "list_type": "array",
}
_JSON: Final = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", tuple: "array"}
_SENTENCES: Final = {
    "missing": "{path}: Required value",
    "extra_forbidden": 'strict decoding error: unknown field "{path}"',
    "enum": "{path}: Unsupported value: {shown}: supported values: {words}",
    "greater_than_equal": "{path}: Invalid value: {shown}: {path} in body should be greater than or equal to {ge}",
    "less_than_equal": "{path}: Invalid value: {shown}: {path} in body should be less than or equal to {le}",
    "string_too_long": "{path}: Too long: may not be more than {max_length} bytes",
    "string_too_short": "{path}: Invalid value: {shown}: {path} in body should be at least {min_length} chars long",
    "string_pattern_mismatch": "{path}: Invalid value: {shown}: {path} in body should match '{pattern}'",
    "too_long": "{path}: Too many: {actual_length}: must have at most {max_length} items",
    "too_short": "{path}: Invalid value: {actual_length}: {path} in body should have at least {min_length} items",
}
"""The API server's sentences, by what the models call the same finding."""
_FREE: Final = (".metadata", ".parameters")
"""Members that may hold any JSON."""
_STORE: Final = re.compile(r"^(s3|gs|az)://[^/]+(/.*)?$|^file:///.*$")


def check(manifest: Mapping[str, Any]) -> None:
    """Check a manifest of either kind.

    >>> check({"kind": "CrawlJob", "metadata": {"name": "a"}, "spec": {"single": {"url": "https://example.org/"}}})
    Traceback (most recent call last):
    ...
    crawl_client.errors.ValidationError: CrawlJob "a" is invalid: spec.type: Required value

    Raises:
        ValidationError: with all that is wrong.
    """
    kind = manifest.get("kind")
    if kind not in _SPECS or manifest.get("apiVersion", API_VERSION) != API_VERSION:
        given = f"{manifest.get('apiVersion', '?')} {kind or '?'}"
        raise ValidationError([f"{given} is none of our kinds: {API_VERSION} {' or '.join(_SPECS)}"])
    metadata = manifest.get("metadata") or {}
    name = str(metadata.get("name") or "")
    problems = [*_names(kind, name), *_problems(_SPECS[kind], manifest.get("spec"))]
    if problems:
        raise ValidationError(problems, f'{kind} "{name}"')


def job_spec(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job's spec as the API server takes it, with what is given alone; members may be in snake_case.

    Raises:
        ValidationError: with all that is wrong.
    """
    return _normal(CrawlJobSpec, values)


def schedule_spec(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schedule's spec, as `job_spec` does a job's."""
    return _normal(ScheduledCrawlJobSpec, values)


def _normal(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    if problems := _problems(model, values):
        raise ValidationError(problems)
    given = _without_nulls(values, "spec")
    dumped: dict[str, Any] = model.model_validate(given).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dumped


def _names(kind: str, name: str) -> list[str]:
    if not name:
        return ["metadata.name: Required value: name or generateName is required"]
    problems = []
    if not _NAME.fullmatch(name) or len(name) > 253:
        problems.append(f"metadata.name: Invalid value: {json.dumps(name)}: a lowercase RFC 1123 subdomain is wanted")
    if len(name) > MAX_JOB_NAME:
        limit = f"must be no longer than {MAX_JOB_NAME} characters (it becomes a label of {_BEARERS[kind]})"
        problems.append(f"<nil>: Invalid value: metadata.name {limit}")
    return problems


def _problems(model: type[BaseModel], spec: object) -> list[str]:
    if spec is None:
        return ["spec: Required value"]
    spec = _without_nulls(spec, "spec")
    try:
        valid = model.model_validate(spec)
    except Invalid as error:
        return list(dict.fromkeys(_sentence(each, spec) for each in error.errors(include_url=False)))
    return _rules(valid.model_dump(mode="json", by_alias=True), "spec")


def _without_nulls(value: Any, path: str) -> Any:
    """Leave out members that are null, as the API server does before it looks; what is free in form keeps them."""
    if not isinstance(value, Mapping) or path.endswith(_FREE):
        return value
    return {name: _without_nulls(child, f"{path}.{name}") for name, child in value.items() if child is not None}


def _rules(value: Any, path: str) -> list[str]:
    """Apply what the schema says as rules of its own and the models do not repeat: of URLs."""
    if isinstance(value, Mapping):
        if path.endswith(_FREE):
            return []
        return [problem for name, child in value.items() for problem in _rules(child, f"{path}.{name}")]
    if isinstance(value, list):
        return [problem for number, child in enumerate(value) for problem in _rules(child, f"{path}[{number}]")]
    if isinstance(value, str) and re.search(r"\.(url|urls\[\d+\]|startUrls\[\d+\]|sitemapUrls\[\d+\])$", path):
        return [] if _is_web_url(value) else [f"{path}: Invalid value: {json.dumps(value)}: {URL_RULE['message']}"]
    if isinstance(value, str) and path.endswith(".storeUrl") and not _STORE.match(value):
        return [f"{path}: Invalid value: {json.dumps(value)}: must be an s3://, gs://, az:// or file:/// URL"]
    return []


def _is_web_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and " " not in text


def _sentence(error: ErrorDetails, spec: object) -> str:
    """Put one finding into the API server's words."""
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    given, kind = error["input"], error["type"]
    if (template := _SENTENCES.get(kind)) is not None:
        context = {"path": path, "shown": json.dumps(given, default=str, ensure_ascii=False), **error.get("ctx", {})}
        context["words"] = ", ".join(f'"{word}"' for word in re.findall(r"'([^']*)'", str(context.get("expected"))))
        return template.format(**context)
    if kind in _TYPES:
        found = "null" if given is None else _JSON.get(type(given), "object")
        return f'{path}: Invalid value: "{found}": {path} in body must be of type {_TYPES[kind]}: "{found}"'
    said = error["msg"].removeprefix("Value error, ")
    if match := re.match(r"(\w+) must be set when type is", said):
        return f"{path}.{match[1]}: Invalid value: {said}"
    shown = "" if isinstance(given, Mapping | BaseModel) else f"{json.dumps(given, default=str, ensure_ascii=False)}: "
    return f"{path}: Invalid value: {shown}{said}"
