"""The examples in docstrings run: those of functions as doctests, those of methods against an API server."""

import doctest
import importlib
import inspect
import pkgutil
import textwrap
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

import crawl_cli
import crawl_client
from crawl_client import CrawlClient, schedule, single, stats
from local_cluster.cluster import LocalCluster
from operator_process import namespace

MODULES = [
    each.name for room in (crawl_client, crawl_cli) for each in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
]
GROUPS = ("", "jobs", "schedules", "results", "dead_letters", "workers", "stats")
URL = "https://example.org/"
STATES: Final[dict[str, dict[str, Any]]] = {
    "docs": {"phase": "Completed", "result": {"success": True, "items": 1, "data": [{"url": URL}]}},
    "news": {"phase": "Failed", "lastError": "it went wrong"},
    "dead": {"phase": "DeadLetter", "lastError": "it went wrong too often"},
    "waiting": {"phase": "Pending"},
    "held": {"phase": "Suspended"},
}
"""Jobs that examples speak of, as an operator would have left them."""


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def methods() -> dict[str, str]:
    """Return the public methods of the client and its groups, with their docstrings."""
    client = CrawlClient(server=URL, token="none")
    found = {}
    for group in GROUPS:
        kind = type(getattr(client, group)) if group else CrawlClient
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if not name.startswith("_"):
                found[f"{group}.{name}".lstrip(".")] = inspect.getdoc(method) or ""
    return found


METHODS = methods()


@pytest.fixture
async def client(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CrawlClient]:
    """A client of a namespace with those jobs, and with a schedule."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stats, "UNSEEN_SECONDS", 3600.0)  # nobody works here, for however long the examples take
    result = tmp_path / "result.jsonl"
    result.write_text("{}\n")
    with namespace(cluster, f"examples-{uuid.uuid4().hex[:8]}") as jobs:
        async with CrawlClient(kubeconfig=cluster.kubeconfig, namespace=jobs.namespace) as opened:
            for name, status in STATES.items():
                labels = {"crawl-operator.io/dead-letter": "true"} if name == "dead" else {}
                await opened.jobs.submit(single(URL, name=name, labels=labels))
                body = {"status": {"resultURL": result.as_uri(), **status}}
                path = opened.jobs.objects.path(None, name, "status")
                await opened.request("PATCH", path, body=body, content_type="application/merge-patch+json")
            await opened.schedules.create(schedule("daily", "0 2 * * *", single(URL)))
            yield opened


LAST: Final = ("requeue", "delete", "purge")
"""What leaves nothing for others to do with a job."""


def _in_order(name: str) -> tuple[int, str]:
    verb = name.rpartition(".")[2]
    return (LAST.index(verb) + 1 if verb in LAST else 0), name


@pytest.mark.cluster
async def test_every_method_has_an_example_that_runs(client: CrawlClient) -> None:
    """All but two, which need what another API, or a running worker, would have."""
    names = set(METHODS) - {"request", "workers.logs"}
    known = {name: getattr(crawl_client, name) for name in crawl_client.__all__} | {"Path": Path, "client": client}
    for name in sorted(names, key=_in_order):
        _, _, example = METHODS[name].partition("Example::\n")
        assert f"client.{name}(" in example, f"{name} has no example"
        program = f"async def example():\n{textwrap.indent(textwrap.dedent(example), '    ')}\n"
        exec(compile(program, name, "exec"), known)  # noqa: S102 - our own words
        try:
            await known["example"]()
        except Exception as error:
            raise AssertionError(f"the example of {name}: {error!r}") from error


def test_methods_that_need_more_have_examples_too() -> None:
    assert [name for name, text in METHODS.items() if "Example::" not in text] == []
