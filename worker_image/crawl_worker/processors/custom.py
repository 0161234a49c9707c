"""`Custom`: processors that others write, found by entry point.

A plug-in is a package that names a `CustomProcessor` in the entry point group `crawl_operator.processors`:

    [project.entry-points."crawl_operator.processors"]
    headlines = "my_package:headlines"

and its image is the worker's with that package installed.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from crawl_api.job_types import CustomCrawl
from crawl_worker.context import Context
from crawl_worker.findings import Finding
from crawl_worker.records import Record

GROUP: Final = "crawl_operator.processors"


class InvalidJobError(Exception):
    """The job can never run as it is; the text says all that is wrong."""


@dataclass(frozen=True)
class CustomProcessor:
    """A processor of a plug-in.

    `run` is given its parameters, checked and with their defaults, and the context; it yields records. It is closed
    when the job is to stop. Started again after a kill it begins anew: a record whose `url` is stored already is
    dropped, so a record's `url` should name it.
    """

    parameters: type[BaseModel]
    run: Callable[[Any, Context], AsyncGenerator[Record, None]]
    description: str = ""
    examples: tuple[Mapping[str, Any], ...] = field(default=())


async def custom(context: Context) -> AsyncGenerator[Finding, None]:
    """Yield what the processor yields that the job names."""
    wanted = context.job.custom
    assert wanted is not None  # noqa: S101 (checked with the assignment)
    processor, parameters = resolved(wanted)
    async for finding in run(processor, parameters, context):
        yield finding


async def run(processor: CustomProcessor, parameters: BaseModel, context: Context) -> AsyncGenerator[Finding, None]:
    """Yield what a processor yields, and close it at the end.

    It may expect more than there is yet; once it has come to its end, what there is was all.
    """
    records = processor.run(parameters, context)
    try:
        async for record in records:
            yield Finding(records=[record])
            context.expect(max(context.expected, context.items))
        context.expect(context.items)
    finally:
        await records.aclose()


def resolved(wanted: CustomCrawl) -> tuple[CustomProcessor, BaseModel]:
    """Return the processor that a job names, and its parameters, defaults included.

    Raises:
        InvalidJobError: there is none of that name, or the parameters do not fit, with all errors.
    """
    found = entry_points(group=GROUP)
    if wanted.processor not in found.names:
        known = ", ".join(sorted(found.names)) or "none"
        raise InvalidJobError(f"no processor is called {wanted.processor}; there are: {known}")
    processor = _load(wanted.processor)
    return processor, checked(processor.parameters, wanted.parameters, "custom")


def checked(model: type[BaseModel], parameters: Mapping[str, Any], member: str) -> BaseModel:
    """Return parameters as their model reads them.

    Raises:
        InvalidJobError: they do not fit, with all errors, each with its path below that member of the spec.
    """
    try:
        return model.model_validate(parameters)
    except ValidationError as error:
        problems = (
            f"{member}.parameters.{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        )
        raise InvalidJobError("; ".join(problems)) from error


def _load(name: str) -> CustomProcessor:
    (entry, *_) = entry_points(group=GROUP, name=name)
    try:
        processor = entry.load()
    except Exception as error:
        raise InvalidJobError(f"processor {name} cannot be loaded: {type(error).__name__}: {error}") from error
    if not isinstance(processor, CustomProcessor):
        raise InvalidJobError(f"processor {name} is no CustomProcessor but {entry.value}")
    return processor


def catalogue() -> list[dict[str, Any]]:
    """Return name, description, JSON schema of the parameters and examples of every processor."""
    return [described(name, _load(name)) for name in sorted(entry_points(group=GROUP).names)]


def described(name: str, processor: CustomProcessor) -> dict[str, Any]:
    """Return what is told of one processor."""
    schema = processor.parameters.model_json_schema()
    told = processor.description or schema.get("description", "")
    return {"name": name, "description": told, "parameters": schema, "examples": list(processor.examples)}
