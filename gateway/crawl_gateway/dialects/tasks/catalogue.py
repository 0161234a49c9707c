"""Registered task types: built-in ones, and the processors of worker images as `crawl_worker --catalogue` tells them.

Parameters are checked by their JSON schema before anything is stored, all errors at once, and defaults are filled in.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from pydantic import BaseModel

from crawl_api.enums import JobType
from crawl_api.job_types import BatchCrawl, MaintenanceRun, PdfCrawl, SingleCrawl, SiteCrawl
from crawl_client import errors
from crawl_gateway.dialects.tasks.models import ParameterDefinition, ParameterSchema
from crawl_gateway.dialects.words import BUILT_IN
from crawl_gateway.settings import ConfigurationError

Schema = Mapping[str, Any]

_MODELS: Final[Mapping[JobType, type[BaseModel]]] = {
    JobType.SINGLE: SingleCrawl,
    JobType.BATCH: BatchCrawl,
    JobType.SITE: SiteCrawl,
    JobType.PDF: PdfCrawl,
    JobType.MAINTENANCE: MaintenanceRun,
}
_EXAMPLES: Final[Mapping[JobType, dict[str, Any]]] = {
    JobType.SINGLE: {"url": "https://example.org/"},
    JobType.BATCH: {"urls": ["https://example.org/", "https://example.org/about"]},
    JobType.SITE: {"startUrls": ["https://example.org/"], "maxDepth": 2},
    JobType.PDF: {"urls": ["https://example.org/paper.pdf"]},
    JobType.MAINTENANCE: {"task": "cache_cleanup", "parameters": {"olderThanSeconds": 3600}},
}
_TYPES: Final = {"number": "float", "array": "list"}
_CONSTRAINTS: Final = {
    "minimum": "min_value",
    "maximum": "max_value",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
    "enum": "enum_values",
}


class CatalogueError(ConfigurationError):
    """What was configured is no catalogue; the text says why."""


@dataclass(frozen=True)
class TaskType:
    """A type of task."""

    name: str
    description: str
    schema: Schema
    """JSON schema of its parameters."""
    examples: tuple[Mapping[str, Any], ...] = ()
    image: str = ""
    """The worker image that has its processor; empty: the operator's own."""

    def described(self) -> ParameterSchema:
        """Return what is published of it."""
        return ParameterSchema(
            task_type=self.name,
            description=self.description,
            parameters=list(_definitions(self.schema)),
            examples=[dict(example) for example in self.examples],
        )

    def prepared(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters with the defaults of those that were left out.

        Raises:
            ValidationError: with all that is wrong with them.
        """
        found = Draft202012Validator(dict(self.schema)).iter_errors(dict(parameters))
        problems = [sentence for error in sorted(found, key=_place) for sentence in _sentences(error)]
        if problems:
            raise errors.ValidationError(problems)
        defaults = {
            name: definition["default"]
            for name, definition in _properties(self.schema).items()
            if definition.get("default") is not None
        }
        return {**defaults, **parameters}


@dataclass(frozen=True)
class Catalogue:
    """All registered types, by name."""

    types: Mapping[str, TaskType] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Self:
        """Make it of the processors of worker images, beside the built-in types.

        Args:
            entries: what `crawl_worker --catalogue` tells; one of another image than the operator's own names it as
                `image`.

        Raises:
            CatalogueError: one is none.
        """
        types = {each.name: each for each in map(_built_in, BUILT_IN)}
        for number, entry in enumerate(entries):
            try:
                found = _of_entry(entry)
            except (ValueError, TypeError, KeyError, AttributeError, SchemaError) as error:
                reason = error.message if isinstance(error, SchemaError) else f"{type(error).__name__} {error}"
                raise CatalogueError(f"catalogue.{number}: not as crawl_worker --catalogue has it: {reason}") from error
            types[found.name] = found
        return cls(types)

    def get(self, name: str) -> TaskType:
        """Return the type of that name.

        Raises:
            ValidationError: it is not registered.
        """
        if name not in self.types:
            raise errors.ValidationError(
                [f"task_type: {name!r} is not registered; there are {', '.join(sorted(self.types))}"]
            )
        return self.types[name]

    def described(self) -> list[ParameterSchema]:
        """Return what is published of all types, by name."""
        return [self.types[name].described() for name in sorted(self.types)]


def _built_in(name: str) -> TaskType:
    job_type = BUILT_IN[name]
    schema = _MODELS[job_type].model_json_schema(by_alias=True)
    return TaskType(name, str(schema.get("description", "")), schema, (_EXAMPLES[job_type],))


def _of_entry(entry: Mapping[str, Any]) -> TaskType:
    schema = entry["parameters"]
    Draft202012Validator.check_schema(schema)
    return TaskType(
        str(entry["name"]),
        str(entry.get("description", "")),
        schema,
        tuple(dict(example) for example in entry.get("examples", ())),
        str(entry.get("image", "")),
    )


def _properties(schema: Schema) -> dict[str, Schema]:
    return {name: _resolved(each, schema) for name, each in (schema.get("properties") or {}).items()}


def _resolved(node: Schema, schema: Schema) -> Schema:
    """Follow a reference within the schema, and take the one branch of an optional; what stands at the field wins."""
    for _ in range(10):
        if str(node.get("$ref", "")).startswith("#/$defs/"):
            target = (schema.get("$defs") or {}).get(node["$ref"].removeprefix("#/$defs/"), {})
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        elif len(branches := [each for each in node.get("anyOf", ()) if each.get("type") != "null"]) == 1:
            node = {**branches[0], **{key: value for key, value in node.items() if key != "anyOf"}}
        else:
            break
    return node


def _definitions(schema: Schema) -> Iterator[ParameterDefinition]:
    required = schema.get("required") or ()
    for name, node in _properties(schema).items():
        kind = str(node.get("type", "object"))
        yield ParameterDefinition(
            name=name,
            type="enum" if "enum" in node else _TYPES.get(kind, kind),
            required=name in required,
            description=str(node.get("description", "")),
            default=node.get("default"),
            constraints={word: node[key] for key, word in _CONSTRAINTS.items() if key in node},
        )


def _place(error: ValidationError) -> tuple[str, str]:
    return ".".join(map(str, error.absolute_path)), error.message


def _sentences(error: ValidationError) -> list[str]:
    """Put a finding into sentences that begin with the parameter that they are about."""
    path = ".".join(map(str, error.absolute_path))
    if error.validator == "required":
        given: Mapping[str, Any] = error.instance
        absent = [name for name in error.validator_value if name not in given and repr(name) in error.message]
        return [f"{path}.{name}: required".removeprefix(".") for name in absent]
    return [f"{path or 'parameters'}: {error.message}"]
