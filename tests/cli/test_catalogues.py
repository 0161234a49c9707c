"""What an image can run, shown by the catalogue that it tells."""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field

from crawl_worker.context import Context
from crawl_worker.processors.custom import CustomProcessor, described
from crawl_worker.records import Record


class Order(StrEnum):
    """Which come first."""

    NEW = "new"
    OLD = "old"


class Part(BaseModel):
    """A part of a page."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    css: str
    """Where it is."""


class Headlines(BaseModel):
    """Take the headline of some pages."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    urls: Annotated[list[str], Field(min_length=1)]
    """Where to look."""
    top: Annotated[int, Field(ge=1, le=10)] = 5
    """How many to tell."""
    order: Order = Order.NEW
    parts: list[Part] = []
    since: str | None = None


async def run(_parameters: Headlines, _context: Context) -> AsyncGenerator[Record, None]:
    yield Record(url="never")


ENTRY = described("headlines", CustomProcessor(Headlines, run))
RECORDS = "".join(
    json.dumps({"url": f"processor:{name}", "data": ENTRY | {"name": name}}) + "\n" for name in ("headlines", "others")
)


def cli(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crawl_cli", "schema", *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=60)


def test_a_processor_is_shown_from_the_records_of_a_job() -> None:
    shown = cli("headlines", "--catalogue", "-", given=RECORDS)
    assert shown.returncode == 0, shown.stderr
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert "Take the headline of some pages." in lines
    assert "urls <[]string> -required-" in lines
    assert "Where to look; minItems 1" in lines
    assert "How many to tell; minimum 1; maximum 10; default 5" in lines
    assert "order <string>" in lines, "what is referred to"
    assert 'Which come first; one of new, old; default "new"' in lines
    assert {"parts <[]object>", "since <string>"} <= set(lines)


def test_an_images_own_catalogue_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crawl_worker", "--catalogue"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    file = tmp_path / "catalogue.json"
    file.write_text(told)
    assert cli("--catalogue", str(file)).stdout == "scrapy    Run one spider of the image's Scrapy project.\n"
    schema = json.loads(cli("scrapy", "-o", "json", "--catalogue", str(file)).stdout)
    assert schema["properties"]["spider"]["maxLength"] == 200
    assert schema["required"] == ["spider"]


def test_a_name_that_is_not_there_is_told_with_those_that_are() -> None:
    shown = cli("headline", "--catalogue", "-", given=RECORDS)
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "the catalogue has no 'headline'; it has headlines, others" in shown.stderr


@pytest.mark.parametrize("text", ["no json", '{"url": "http://h/"}', '["x"]', "[[1]]", '[{"name": "x"}]'])
def test_what_is_no_catalogue_is_said_so(text: str) -> None:
    shown = cli("headlines", "--catalogue", "-", given=text)
    assert (shown.returncode, shown.stdout) == (4, "")
    assert "neither a catalogue of a worker's image" in shown.stderr
    assert "Traceback" not in shown.stderr
