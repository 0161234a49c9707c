"""What images are made of: pinned, hashed, the same versions as everywhere, and written down."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from helm import ROOT

IMAGES = {"gateway": "gateway", "operator": "operator", "worker": "worker_image"}
_FOREIGN = {
    "gateway": {"aiohttp", "kopf", "scrapy", "trafilatura"},
    "operator": {"fastapi", "scrapy", "trafilatura"},
    "worker": {"fastapi", "kopf", "prometheus-client"},
}
NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def pins(path: str) -> dict[str, str]:
    return {name.lower(): pinned for name, pinned in NAME.findall((ROOT / path).read_text())}


@pytest.mark.parametrize(
    "lock", [*(f"{folder}/requirements.lock" for folder in IMAGES.values()), "images/requirements.lock"]
)
def test_every_dependency_is_pinned_and_hashed(lock: str) -> None:
    """And comes from wherever this machine gets its packages: no address stands in the file."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    requirements = re.split(r"^(?=[A-Za-z])", text, flags=re.MULTILINE)
    for each in filter(None, requirements):
        assert NAME.match(each), each
        assert "--hash=sha256:" in each, each


@pytest.mark.parametrize(("extra", "folder"), IMAGES.items())
def test_an_image_has_the_versions_that_were_tested(extra: str, folder: str) -> None:
    """All that its room asks for, and nothing of the other room's."""
    mine, tested = pins(f"{folder}/requirements.lock"), pins("requirements.lock")
    assert mine.items() <= tested.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in [*project["dependencies"], *project["optional-dependencies"][extra]]:
        name = re.match(r"[A-Za-z0-9._-]+", wanted)
        assert name
        assert re.sub(r"[-_.]+", "-", name[0].lower()) in {re.sub(r"[-_.]+", "-", each) for each in mine}
    assert not _FOREIGN[extra] & set(mine)


@pytest.mark.parametrize("folder", IMAGES.values())
def test_containerfiles_promise_what_the_chart_demands(folder: str) -> None:
    """A user that is not root, a base that is an argument, and labels that say what it is."""
    text = (ROOT / folder / "Containerfile").read_text()
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert re.search(r"^ARG BASE=", text, re.MULTILINE)
    assert text.count("FROM ${BASE}") == 2
    for label in ("title", "description", "licenses", "version", "revision", "base.name"):
        assert f"org.opencontainers.image.{label}=" in text
    assert text.count("--require-hashes") == 2


def test_the_bill_of_materials_names_what_is_installed_and_is_always_the_same() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "images" / "sbom.py", "crawl-operator", "1.2.3"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second
    bill: dict[str, Any] = json.loads(first)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["version"] == "1.2.3"
    found = {each["purl"]: each for each in bill["components"]}
    assert f"pkg:pypi/pydantic@{version('pydantic')}" in found
    assert len(found) == len(bill["components"]), "no reference stands twice"
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", bill["serialNumber"])


@pytest.mark.parametrize("folder", IMAGES.values())
def test_what_an_image_copies_reaches_its_build(folder: str) -> None:
    """The ignore file keeps everything else from it."""
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    text = (ROOT / folder / "Containerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert copied
    for each in copied:
        path = each.removesuffix("/")
        assert any(path == known or path.startswith(f"{known}/") or known.startswith(f"{path}/") for known in let_in)
        assert (ROOT / path).exists()
