"""`-o`: objects as a table, JSON, YAML, names or what a JSONPath finds, in the forms that kubectl prints."""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Annotated, Any, Final

import typer

from crawl_api.names import GROUP
from crawl_cli.exits import Refused
from crawl_cli.jsonpath import JsonPath
from crawl_cli.tables import Table
from crawl_client.models import Job, Schedule

Output = Annotated[
    str,
    typer.Option("--output", "-o", help="table, wide, json, yaml, name, or jsonpath=TEMPLATE."),
]
FORMS: Final = ("table", "wide", "json", "yaml", "name")


def say(text: str = "") -> None:
    """Print a line at once: whoever reads from a pipe shall see it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print a line for people, beside what is printed for programs."""
    sys.stderr.write(text + "\n")


def as_json(value: Any) -> str:
    """Return a value as people read JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def as_yaml(value: Any) -> str:
    """Return a value as YAML."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(
        yaml.dump(json.loads(json.dumps(value, default=str)), Dumper=dumper, sort_keys=False, allow_unicode=True)
    )


def show_value(value: Mapping[str, Any], form: str, table: Callable[[], None]) -> None:
    """Print one thing that is no object of the API server."""
    match form:
        case "json":
            say(as_json(value))
        case "yaml":
            say(as_yaml(value).rstrip())
        case "table" | "wide":
            table()
        case _ if form.startswith("jsonpath="):
            sys.stdout.write(JsonPath(form.partition("=")[2]).render(value))  # nothing after it, as kubectl has it
        case _:
            raise Refused(f"-o {form} is none of {', '.join(FORMS)} and jsonpath=TEMPLATE")


def show_object(item: Job | Schedule, form: str, table: Table) -> None:
    """Print one object."""
    if form in {"table", "wide"}:
        table.add([item])
        table.end()
    elif form == "name":
        say(f"{str(item.raw['kind']).lower()}.{GROUP}/{item.name}")
    else:
        show_value(item.to_dict(), form, lambda: None)


async def show_list(pages: AsyncIterator[list[Any]], form: str, table: Table) -> int:
    """Print objects as they come, page by page, and return how many there were."""
    count = 0
    if form in {"table", "wide"}:
        async for page in pages:
            count += len(page)
            table.add(page)
        table.end()
    elif form == "name":
        async for page in pages:
            count += len(page)
            for item in page:
                show_object(item, form, table)
    elif form == "json":
        sys.stdout.write('{"apiVersion": "v1", "kind": "List", "items": [')
        async for page in pages:
            for item in page:
                sys.stdout.write((",\n" if count else "\n") + as_json(item.to_dict()))
                count += 1
        say("\n]}")
    else:
        items = [item.to_dict() async for page in pages for item in page]
        count = len(items)
        show_value({"apiVersion": "v1", "kind": "List", "items": items}, form, lambda: None)
    return count


def check(form: str) -> str:
    """Refuse a form that there is not, before anything is done."""
    if form not in FORMS and not form.startswith("jsonpath="):
        raise Refused(f"-o {form} is none of {', '.join(FORMS)} and jsonpath=TEMPLATE")
    if form.startswith("jsonpath="):
        JsonPath(form.partition("=")[2])
    return form


async def paged(items: AsyncIterator[Any], size: int = 200) -> AsyncIterator[list[Any]]:
    """Yield items in lists."""
    page: list[Any] = []
    async for item in items:
        page.append(item)
        if len(page) >= size:
            yield page
            page = []
    yield page


async def once(items: Iterable[Any]) -> AsyncIterator[list[Any]]:
    """Yield items that are there already as one page."""
    yield list(items)
