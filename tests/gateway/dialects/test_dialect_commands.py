"""The commands of `docs/gateway-dialects.md`: they name every operation, and do what they say."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from dialect_cases import PATHS

from demo.site import DemoSite
from gateway_client import GatewayProcess, Tenant
from operator_process import wait_until

PAGE = Path(__file__).parents[3] / "docs" / "gateway-dialects.md"
BASES = ("/workers", "/api/v1/workers")
SECTIONS = ("`/workers/…` and `/api/v1/workers/…`", "`/tasks`, `/workers`, `/schemas`, `/statistics`", "`/jobs`")
_CALL = re.compile(r'ask (?P<method>-X DELETE )?"\$GATEWAY(?P<path>[^"?]*)[^"]*"(?P<body> --json)?')


def commands(section: str) -> str:
    """Return the commands of a section that call the gateway, and before them what all of them share."""
    pieces = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (found,) = (piece for piece in pieces if piece.startswith(f"{section}\n"))
    shared, own = (re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for text in (pieces[0], found))
    return "\n".join([*shared, *(block for block in own if "$GATEWAY" in block)])


def called(text: str) -> Iterator[tuple[str, str]]:
    """Yield path and method of each call, paths with variables of the shell where ids are."""
    for call in _CALL.finditer(text):
        yield call["path"], "delete" if call["method"] else "post" if call["body"] else "get"


def operations() -> Iterator[tuple[str, str, re.Pattern[str]]]:
    """Yield path and method of each operation, and what its path looks like."""
    for path, methods in PATHS.items():
        pattern = re.compile(re.sub(r"\{\w+\}", r"[^/ ]+", path))
        yield from ((path, method, pattern) for method in methods)


def test_every_operation_has_its_command() -> None:
    texts = [commands(SECTIONS[0]).replace("$BASE", base) for base in BASES] + [commands(each) for each in SECTIONS[1:]]
    calls = list(chain.from_iterable(called(text) for text in texts))
    assert sum(text.count("$GATEWAY") for text in texts) == len(calls)
    for path, method, pattern in operations():
        assert any(pattern.fullmatch(each) and verb == method for each, verb in calls), (method, path)


@pytest.mark.cluster
@pytest.mark.long
@pytest.mark.usefixtures("operator")
def test_every_command_does_what_it_says(process: GatewayProcess, owner: Tenant, site: DemoSite) -> None:
    if not (curl := shutil.which("curl")):
        pytest.skip("curl is not installed")
    version = subprocess.run([curl, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    if [int(part) for part in version.split()[1].split(".")[:2]] < [7, 82]:
        pytest.skip("curl knows no --json")
    pages = [(SECTIONS[0], "/"), (SECTIONS[1], "/slow"), (SECTIONS[2], "/")]  # a task is cancelled while it runs
    for section, page in pages:
        for base in BASES if "$BASE" in commands(section) else [""]:
            variables = {"GATEWAY": process.url, "TOKEN": owner.token, "NAMESPACE": owner.name, "BASE": base}
            done = subprocess.run(
                ["/bin/sh", "-euxc", commands(section)],
                env={"PATH": os.environ["PATH"], "PAGE": site.url(page), **variables},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"{section} {base}\n{done.stdout}\n{done.stderr.replace(owner.token, '…')}"

    def unanswered() -> list[tuple[str, str]]:
        log = process.log
        return [
            (method, path)
            for path, method, pattern in operations()
            if not re.search(rf" {method.upper()} {pattern.pattern} 20[0-9] ", log)
        ]

    wait_until(lambda: not unanswered(), "every operation was answered", 5)
