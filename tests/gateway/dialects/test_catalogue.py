"""What is published of task types, and how parameters are checked by it."""

from typing import Any

import pytest

from crawl_client import ValidationError
from crawl_gateway.dialects.tasks.catalogue import Catalogue, CatalogueError, TaskType
from video_image import installed, published

SCHEMA: dict[str, Any] = {
    "properties": {
        "query": {"type": "string", "minLength": 1, "description": "What to look for."},
        "top_n": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
        "share": {"type": "number", "default": 0.5},
        "safe": {"type": "boolean"},
        "sites": {"type": "array", "items": {"type": "string", "pattern": "^https?://"}, "maxItems": 3},
        "sort_by": {"$ref": "#/$defs/Sort", "default": "date"},
        "max_age": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
        "more": {},
    },
    "required": ["query"],
    "$defs": {"Sort": {"enum": ["date", "views"], "type": "string", "description": "What comes first."}},
    "additionalProperties": False,
}
SEARCH = TaskType("search", "Search", SCHEMA)


def test_each_kind_of_parameter_is_described() -> None:
    told = {each.name: each for each in SEARCH.described().parameters}
    assert {name: (each.type, each.default, each.constraints) for name, each in told.items()} == {
        "query": ("string", None, {"min_length": 1}),
        "top_n": ("integer", 50, {"min_value": 1, "max_value": 500}),
        "share": ("float", 0.5, {}),
        "safe": ("boolean", None, {}),
        "sites": ("list", None, {"max_length": 3}),
        "sort_by": ("enum", "date", {"enum_values": ["date", "views"]}),
        "max_age": ("integer", None, {"min_value": 1}),
        "more": ("object", None, {}),
    }
    assert [name for name, each in told.items() if each.required] == ["query"]
    assert (told["query"].description, told["sort_by"].description) == ("What to look for.", "What comes first.")


def test_defaults_are_filled_in_and_what_is_given_stays() -> None:
    assert SEARCH.prepared({"query": "a", "top_n": 7}) == {"query": "a", "top_n": 7, "share": 0.5, "sort_by": "date"}
    assert SEARCH.prepared({"query": "a", "max_age": None})["max_age"] is None


def test_all_that_is_wrong_is_told_at_once() -> None:
    wrong = {"top_n": 501, "sites": ["https://a", "ftp://b"], "sort_by": "size", "unknown": 1}
    with pytest.raises(ValidationError) as error:
        SEARCH.prepared(wrong)
    told = {problem.partition(":")[0]: problem for problem in error.value.problems}
    assert set(told) == {"parameters", "query", "sites.1", "sort_by", "top_n"}
    assert "unknown" in told["parameters"]
    assert told["query"] == "query: required"


def test_two_absent_parameters_are_two_sentences() -> None:
    with pytest.raises(ValidationError) as error:
        TaskType("a", "", {"required": ["b", "c"]}).prepared({})
    assert error.value.problems == ("b: required", "c: required")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a worker image with the example's processors publishes."""
    return published(installed(tmp_path_factory.mktemp("image")))


def test_what_an_image_publishes_is_registered(listed: list[dict[str, Any]]) -> None:
    catalogue = Catalogue.of(listed)
    assert {"channel_scrape", "trending_scrape", "keyword_search", "batch_crawl"} <= set(catalogue.types)
    channel = catalogue.get("channel_scrape").described()
    assert channel.description
    assert channel.examples[0]["channel_url"]
    told = {each.name: each for each in channel.parameters}
    assert told["channel_url"].required
    assert told["top_n"].constraints == {"min_value": 1, "max_value": 500}
    assert told["max_age_days"].constraints["min_value"] == 1
    search = {each.name: each for each in catalogue.get("keyword_search").described().parameters}
    assert search["sort_by"].type == "enum"
    assert "views" in search["sort_by"].constraints["enum_values"]


def test_every_example_is_one_that_passes(listed: list[dict[str, Any]]) -> None:
    catalogue = Catalogue.of(listed)
    for task_type in catalogue.types.values():
        for example in task_type.examples:
            assert task_type.prepared(example).items() >= example.items()


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"name": "a"},
        {"name": "a", "parameters": 7},
        {"name": "a", "parameters": {"type": 7}},
        {"name": "a", "parameters": {}, "examples": 7},
    ],
)
def test_what_is_no_catalogue_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(CatalogueError, match=r"catalogue\.1"):
        Catalogue.of([{"name": "good", "parameters": {}}, entry])


def test_an_entry_may_say_which_image_has_its_processor() -> None:
    assert Catalogue.of([{"name": "search", "parameters": SCHEMA, "image": "plug:1"}]).get("search").image == "plug:1"
