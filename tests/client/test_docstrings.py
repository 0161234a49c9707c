"""The examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import crawl_cli
import crawl_client

MODULES = [
    each.name for room in (crawl_client, crawl_cli) for each in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
