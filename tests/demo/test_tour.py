"""The tour's parts that need no cluster: kubectl is a script here, and says what a cluster would."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from demo import folders
from demo.screen import Screen
from demo.stage import DemoError, Stage
from demo.tour import EXPECTED, Tour

NOW = "2030-01-01T00:00:00Z"
RECORD = {
    "url": "http://127.0.0.1:8017/moved",
    "finalUrl": "http://127.0.0.1:8017/guide/length",
    "title": "Length",
    "text": "One\nTwo\n\nThree\nFour\nFive",
    "fields": {"price": "3.20"},
}
CONDITION = {"type": "Complete", "status": "True", "reason": "Completed", "message": "", "lastTransitionTime": NOW}
ERROR = {"code": "HTTP_404", "message": "answered 404", "url": "http://127.0.0.1:8017/guide/weight", "time": NOW}


def job(name: str, phase: str, **status: Any) -> dict[str, Any]:
    progress = {"percent": 100, "total": 4, "succeeded": 3, "failed": 1}
    basis = {"phase": phase, "progress": progress, "conditions": [CONDITION], "errors": [ERROR]}
    return {"metadata": {"name": name}, "spec": {"type": "Batch"}, "status": basis | status}


class Played(Stage):
    """A stage whose kubectl answers from files, and keeps a record of what it was asked."""

    def play(self, jobs: list[dict[str, Any]]) -> None:
        (self.folder / "jobs.json").write_text(json.dumps({"items": jobs}))

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Played]:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(
        f"""#!/bin/sh
echo "$*" >> {tmp_path}/asked
case "$*" in
*--output=json) exec cat {tmp_path}/jobs.json ;;
*fail*|logs*dead-links*) echo "no such thing" >&2; exit 1 ;;
*) echo "said $*" ;;
esac
"""
    )
    kubectl.chmod(0o755)
    (tmp_path / "operator.log").write_text("the operator's last words\n")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as holder:
        path = f"{tmp_path}:/usr/bin:/bin"
        yield Played(tmp_path, {"PATH": path}, "http://127.0.0.1:8017", holder)
        holder.communicate("\n")


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


def screen(output: io.StringIO, *, terminal: bool = False) -> Screen:
    return Screen(Console(file=output, force_terminal=terminal, width=120, highlight=False))


def expected_jobs() -> list[dict[str, Any]]:
    return [job(name, phase, result={"success": True, "data": [RECORD]}) for name, phase in EXPECTED.items()]


@pytest.mark.parametrize("terminal", [True, False])
def test_tour_ends_with_what_the_jobs_brought_back(stage: Played, output: io.StringIO, *, terminal: bool) -> None:
    stage.play(expected_jobs())
    Tour(stage, screen(output, terminal=terminal)).run()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())
    assert stage.asked[0] == f"apply -f {folders.EXAMPLES}"
    assert re.search(r"catalogue .*Completed.* 100%.* 4 of 4 pages", plain)
    assert re.search(r"dead-links .*PartialSuccess", plain)
    assert re.search(r"Complete +True +Completed", plain)
    assert re.search(r"HTTP_404 +http://127.0.0.1:8017/guide/weight +answered 404", plain)
    assert re.search(r"price +3\.20", plain)
    assert "One" in plain
    assert "Four" in plain
    assert "Five" not in plain


def test_large_results_are_read_from_the_store(stage: Played, output: io.StringIO) -> None:
    stored = stage.folder / "with space" / "results.jsonl"
    stored.parent.mkdir()
    stored.write_text(json.dumps(RECORD) + "\n" + json.dumps(RECORD | {"title": "Mass"}) + "\n")
    stage.play([job(name, phase, resultURL=stored.as_uri()) for name, phase in EXPECTED.items()])
    Tour(stage, screen(output)).run()
    assert "One of the 2 pages that catalogue brought back" in output.getvalue()


def test_site_on_another_port_is_named_in_copies_of_the_manifests(stage: Played, output: io.StringIO) -> None:
    stage.site = "http://127.0.0.1:41234"
    stage.play(expected_jobs())
    Tour(stage, screen(output)).run()
    copies = stage.folder / "manifests"
    assert stage.asked[0] == f"apply -f {copies}"
    for manifest in folders.EXAMPLES.glob("*.yaml"):
        text = (copies / manifest.name).read_text(encoding="utf-8")
        assert ":41234/" in text
        assert ":8017" not in text


def test_explanation_survives_a_log_that_is_not_there(stage: Played, output: io.StringIO) -> None:
    stage.play([job(name, "Failed") for name in EXPECTED])
    with pytest.raises(DemoError, match="dead-links is Failed, not PartialSuccess"):
        Tour(stage, screen(output), limit=0).run()
    assert "kubectl logs: no such thing" in output.getvalue()
    assert "the operator's last words" in output.getvalue()


@pytest.mark.parametrize("phase", ["Processing", "Failed"])
def test_job_that_goes_astray_is_explained(stage: Played, output: io.StringIO, phase: str) -> None:
    stage.play([job("catalogue", phase), *expected_jobs()[1:]])
    with pytest.raises(DemoError, match=f"catalogue is {phase}, not Completed"):
        Tour(stage, screen(output), limit=0).run()
    shown = output.getvalue()
    assert "Conditions of catalogue" in shown
    assert "Conditions of dead-links" not in shown
    assert "said get events" in shown
    assert "the operator's last words" in shown


def test_what_kubectl_complains_of_is_the_error(stage: Played) -> None:
    with pytest.raises(DemoError, match="kubectl fail: no such thing"):
        stage.kubectl("fail")


@pytest.mark.parametrize(("kept", "first"), [(True, ". {env}"), (False, "make demo KEEP=1")])
def test_next_steps_are_commands(stage: Played, output: io.StringIO, *, kept: bool, first: str) -> None:
    Tour(stage, screen(output)).next_steps(kept=kept)
    commands = [line for line in output.getvalue().splitlines() if line.startswith("  ") and "# " not in line]
    assert commands[0].strip() == first.format(env=stage.env_file)
    assert ("  make demo-down" in commands) is kept
