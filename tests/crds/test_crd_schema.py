"""The CRD's schema: generated from the models, the same as they are, and bounded everywhere."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from crawl_api.crawljob import CrawlJobSpec
from crawl_api.crd import crawljob_crd, schedule_crd
from crawl_api.job_types import JobType
from crawl_api.schedule import ScheduledCrawlJobSpec, ScheduledCrawlJobStatus
from crawl_api.schema import structural
from crawl_api.status import ConditionType, CrawlJobStatus, Phase

CRDS = Path(__file__).parents[2] / "crds"

Schema = dict[str, Any]


def root(crd: Schema) -> Schema:
    (version,) = crd["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield every node of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(keyword), dict):
            yield from nodes(schema[keyword], path + mark)


PARTS = {name: root(crawljob_crd())["properties"][name] for name in ("spec", "status")}
SCHEDULE_PARTS = {name: root(schedule_crd())["properties"][name] for name in ("spec", "status")}
ALL = [(path, node) for name, part in PARTS.items() for path, node in nodes(part, f".{name}")]
SCHEDULE = [(path, node) for name, part in SCHEDULE_PARTS.items() for path, node in nodes(part, f".{name}")]
EVERY = ALL + SCHEDULE
JOB = ".spec.jobTemplate.spec"


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crawl_api", *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_the_file_is_what_the_models_say() -> None:
    """Else run `make generate`."""
    checked = generate(CRDS, "--check")
    assert checked.returncode == 0, checked.stderr
    assert yaml.safe_load((CRDS / "crawljobs.yaml").read_text()) == crawljob_crd()
    assert yaml.safe_load((CRDS / "scheduledcrawljobs.yaml").read_text()) == schedule_crd()


def test_a_changed_or_missing_file_is_drift_and_is_written_anew(tmp_path: Path) -> None:
    assert generate(tmp_path).returncode == 0
    for name, content in itertools.product(
        ("crawljobs.yaml", "scheduledcrawljobs.yaml"), (None, "kind: CustomResourceDefinition\n")
    ):
        file = tmp_path / name
        file.unlink()
        if content is not None:
            file.write_text(content)
        checked = generate(tmp_path, "--check")
        assert checked.returncode == 1
        assert "make generate" in checked.stderr
        assert (file.read_text() if file.exists() else None) == content, "a check writes nothing"
        assert generate(tmp_path).returncode == 0
        assert file.read_text() == (CRDS / name).read_text()


def test_every_text_is_bounded() -> None:
    """The API server computes the cost of CEL rules from these bounds, and a status must always fit its object."""
    unbounded = [
        path
        for path, node in EVERY
        if node.get("type") == "string" and not node.keys() & {"maxLength", "enum", "format"}
    ]
    assert unbounded == []


def test_every_list_is_bounded() -> None:
    assert [path for path, node in EVERY if node.get("type") == "array" and "maxItems" not in node] == []


def test_every_map_is_bounded() -> None:
    maps = [(path, node) for path, node in EVERY if "additionalProperties" in node]
    template = [".spec.jobTemplate.metadata.labels", ".spec.jobTemplate.metadata.annotations"]
    assert [path for path, _ in maps] == [
        ".spec.maintenance.parameters",
        ".spec.custom.parameters",
        ".spec.worker.nodeSelector",
        ".spec.metadata",
        ".status.errors[].details",
        ".status.parameters",
        *template,
        f"{JOB}.maintenance.parameters",
        f"{JOB}.custom.parameters",
        f"{JOB}.worker.nodeSelector",
        f"{JOB}.metadata",
    ]
    assert all("maxProperties" in node for _, node in maps)


def test_every_number_has_a_floor_and_every_number_of_a_spec_a_ceiling() -> None:
    numbers = [(path, node) for path, node in EVERY if node.get("type") in {"integer", "number"}]
    assert len(numbers) >= 20
    assert [path for path, node in numbers if "minimum" not in node] == []
    assert [path for path, node in numbers if path.startswith(".spec") and "maximum" not in node] == []


def test_every_node_has_a_type_or_says_that_it_has_none() -> None:
    """Which is what makes a schema structural; unknown fields are kept in few places only."""
    loose = [path for path, node in EVERY if "type" not in node]
    assert loose == [
        ".spec.maintenance.parameters{}",
        ".spec.custom.parameters{}",
        ".spec.metadata{}",
        ".status.result.data",
        ".status.parameters{}",
        f"{JOB}.maintenance.parameters{{}}",
        f"{JOB}.custom.parameters{{}}",
        f"{JOB}.metadata{{}}",
    ]
    assert all(node["x-kubernetes-preserve-unknown-fields"] for path, node in EVERY if path in loose)
    kept = [path for path, node in EVERY if node.get("x-kubernetes-preserve-unknown-fields")]
    assert kept == loose


def test_every_field_is_described() -> None:
    """`kubectl explain` shows these."""
    fields = [(path, node) for path, node in EVERY if path.rsplit(".", 1)[-1].isalnum()]
    assert len(fields) > 60
    undescribed = [path for path, node in fields if not node.get("description")]
    assert undescribed == [".status.errors[].url"] or not undescribed


@pytest.mark.parametrize(
    ("name", "model", "schema"),
    [
        ("spec", CrawlJobSpec, ALL),
        ("status", CrawlJobStatus, ALL),
        ("spec", ScheduledCrawlJobSpec, SCHEDULE),
        ("status", ScheduledCrawlJobStatus, SCHEDULE),
    ],
)
def test_the_schemas_defaults_are_the_models(
    name: str, model: type[BaseModel], schema: list[tuple[str, Schema]]
) -> None:
    """An object reads the same whether the API server or the model filled in what was left out."""
    compared = 0
    for path, field in fields_of(model, f".{name}"):
        node = dict(schema)[path]
        if field.is_required():
            continue
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            assert type(default)(**_filled(node)) == default, path
        elif default in (None, "", (), {}):
            assert "default" not in node or path == ".status.conditions", path
        else:
            assert node["default"] == default, path
            compared += 1
    assert compared > 3


def fields_of(model: type[BaseModel], path: str) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        here = f"{path}.{field.alias or name}"
        yield here, field
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields_of(field.annotation, here)


def _filled(node: Schema) -> Schema:
    """Return an object as the API server fills it in: its own default, and then its members'."""
    members = {name: child["default"] for name, child in node["properties"].items() if "default" in child}
    assert ("default" in node) is bool(members), "an object is filled in only if it is there at all"
    return members | dict(node.get("default", {}))


def test_every_required_field_is_required_by_both() -> None:
    assert PARTS["spec"]["required"] == ["type"]
    required = {path: node["required"] for path, node in ALL if "required" in node}
    assert required[".spec.single"] == ["url"]
    assert required[".spec.batch"] == ["urls"]
    assert required[".spec.extract.selectors[]"] == ["name"]
    assert required[".status.errors[]"] == ["code", "time"]
    assert required[".status.conditions[]"] == ["type", "status", "reason", "lastTransitionTime"]


def test_each_type_has_its_member() -> None:
    for job_type in JobType:
        assert job_type.value.lower() in PARTS["spec"]["properties"]


def test_every_field_that_may_not_change_has_a_rule() -> None:
    """A new field of the spec is immutable unless somebody decides otherwise."""
    rules = {rule["fieldPath"] for rule in PARTS["spec"]["x-kubernetes-validations"] if "oldSelf" in rule["rule"]}
    mutable = {".priority", ".metadata", ".suspend", ".cancel", ".ttl", ".notify"}
    assert rules == {f".{name}" for name in PARTS["spec"]["properties"]} - mutable
    assert all(rule["message"] for _, node in EVERY for rule in node.get("x-kubernetes-validations", ()))


def test_a_template_has_the_schema_and_the_rules_of_a_job() -> None:
    """All but those about a change: a template may change."""
    template = dict(SCHEDULE)[JOB]
    rules = [rule for rule in PARTS["spec"]["x-kubernetes-validations"] if "oldSelf" not in rule["rule"]]
    assert template["x-kubernetes-validations"] == rules
    assert {path.removeprefix(JOB): node for path, node in SCHEDULE if path.startswith(f"{JOB}.")} == {
        path.removeprefix(".spec"): node for path, node in ALL if path.startswith(".spec.")
    }
    assert not [path for path, node in SCHEDULE if "oldSelf" in str(node.get("x-kubernetes-validations", ""))]


def test_a_new_job_begins_as_the_model_says() -> None:
    status = CrawlJobStatus.model_validate(PARTS["status"]["default"])
    assert (status.phase, status.progress.percent) == (Phase.PENDING, 0)
    assert [condition.type for condition in status.conditions] == [ConditionType.RECONCILING]


def test_the_names_people_type() -> None:
    names = crawljob_crd()["spec"]["names"]
    assert (names["shortNames"], names["categories"]) == (["crawl"], ["crawls"])


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int = 3


class TwoTypes(BaseModel):
    either: int | str = 1


class Optional(BaseModel):
    maybe: Inner | None = None
    inner: Inner = Inner(number=4)


def test_an_optional_is_its_one_real_type() -> None:
    schema = structural(Optional)
    number = {"type": "integer", "default": 3}
    assert schema["properties"]["maybe"] == {"type": "object", "properties": {"number": number}}


def test_an_objects_default_says_only_what_its_members_do_not() -> None:
    assert structural(Optional)["properties"]["inner"]["default"] == {"number": 4}


def test_what_a_structural_schema_cannot_say_is_an_error_at_generation() -> None:
    with pytest.raises(TypeError, match="one type per node"):
        structural(TwoTypes)
