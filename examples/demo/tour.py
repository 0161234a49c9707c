"""What the demo shows: the examples applied with kubectl, their progress, and what came of them."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crawl_api.names import LABEL_JOB
from crawl_api.status import Phase
from demo import folders
from demo.jobs import JobView
from demo.screen import Screen
from demo.site import DEFAULT_PORT
from demo.stage import DemoError, Stage

EXPECTED: Final = {
    "catalogue": Phase.COMPLETED,
    "dead-links": Phase.PARTIAL_SUCCESS,
    "guide": Phase.COMPLETED,
    "one-page": Phase.COMPLETED,
    "patient": Phase.COMPLETED,
    "units": Phase.COMPLETED,
}
"""How each example ends."""

_POLL_SECONDS: Final = 0.3
_LOG_LINES: Final = 20


@dataclass(frozen=True)
class Tour:
    """One walk through the demo."""

    stage: Stage
    screen: Screen
    limit: float = 180
    """Seconds that the jobs may take."""

    def run(self) -> None:
        """Apply the examples, watch them end, and show what came of them.

        Raises:
            DemoError: a job did not end as it should; what is known of the reason has been shown.
        """
        manifests = _manifests(self.stage)
        self.screen.command(f"kubectl apply -f {_shown(manifests)}", self.stage.kubectl("apply", "-f", manifests))
        self.screen.say()
        jobs = {job.name: job for job in self._watch()}
        phases = {name: job.status.phase for name, job in jobs.items()}
        if phases != EXPECTED:
            astray = [name for name in jobs if phases[name] is not EXPECTED[name]]
            self._explain([jobs[name] for name in astray])
            what = ", ".join(f"{name} is {phases[name]}, not {EXPECTED[name]}" for name in astray)
            raise DemoError(f"not every job ended as it should within {self.limit:g} s: {what}")
        self.screen.step("all jobs have ended")
        self._present(jobs["catalogue"], jobs["dead-links"], jobs["one-page"])

    def next_steps(self, *, kept: bool) -> None:
        """Print what can be done now."""
        self.screen.heading("What to try next")
        if not kept:
            self._commands(
                {
                    "make demo KEEP=1": "the same, but it stays, for you to work with",
                    "less examples/batch.yaml": "one of the jobs you have seen, each field explained",
                }
            )
            return
        manifest = _shown(_manifests(self.stage) / "batch.yaml")
        commands = {
            f". {self.stage.env_file}": "make kubectl, and this shell, talk to this cluster",
            "kubectl get crawl -o wide": "all columns; with -w, follow what happens",
            "kubectl describe crawl dead-links": "conditions, errors and events of a job",
            f"kubectl logs -l {LABEL_JOB}=catalogue": "what its worker logged",
            f"kubectl delete crawl catalogue && kubectl apply -f {manifest}": "run it again",
            f"less {self.stage.operator_log}": "what the operator logged",
            f"xdg-open {self.stage.site}": "the site that was crawled",
            "make demo-down": "end it all",
        }
        self._commands(commands)

    def _commands(self, commands: dict[str, str]) -> None:
        for command, meaning in commands.items():
            self.screen.say(f"  # {meaning}", "dim")
            self.screen.say(f"  {command}")

    def _watch(self) -> list[JobView]:
        deadline = time.monotonic() + self.limit
        with self.screen.progress() as show:
            while True:
                jobs = [job for job in JobView.read(self.stage) if job.name in EXPECTED]
                show(jobs)
                over = len(jobs) == len(EXPECTED) and all(job.status.phase.terminal for job in jobs)
                if over or time.monotonic() > deadline:
                    return jobs
                time.sleep(_POLL_SECONDS)

    def _present(self, catalogue: JobView, dead_links: JobView, one_page: JobView) -> None:
        self.screen.command("kubectl get crawl", self.stage.kubectl("get", "crawl"))
        self._conditions(catalogue)
        self.screen.table(
            f"Errors of {dead_links.name} (its other pages were crawled)",
            ("Code", "URL", "Message"),
            [(error.code, error.url or "", error.message) for error in dead_links.status.errors],
        )
        records = catalogue.records()
        self.screen.record(f"One of the {len(records)} pages that {catalogue.name} brought back", records[0])
        moved = one_page.records()[0]
        self.screen.record(f"And {one_page.name}, found at {moved['finalUrl']}", moved)

    def _conditions(self, job: JobView) -> None:
        self.screen.table(
            f"Conditions of {job.name}",
            ("Condition", "Status", "Reason", "Message"),
            [(each.type, each.status, each.reason, each.message) for each in job.status.conditions],
        )

    def _explain(self, astray: list[JobView]) -> None:
        for job in astray:
            self._conditions(job)
            self._show(f"logs --selector={LABEL_JOB}={job.name} --tail={_LOG_LINES}")
        self._show("get pods --output=wide")
        self._show("get events --sort-by=.metadata.creationTimestamp")
        log = self.stage.operator_log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        self.screen.command(f"tail {self.stage.operator_log}", "\n".join(log))

    def _show(self, arguments: str) -> None:
        """Show what kubectl says, be it that it fails: the trouble looked into must not hide behind another."""
        try:
            said = self.stage.kubectl(*arguments.split())
        except DemoError as error:
            said = str(error)
        self.screen.command(f"kubectl {arguments}", said)


def _manifests(stage: Stage) -> Path:
    """Return the folder with the manifests: the examples themselves, or copies that name the port the site has."""
    named = f"http://127.0.0.1:{DEFAULT_PORT}"
    if stage.site == named:
        return folders.EXAMPLES
    copies = stage.folder / "manifests"
    copies.mkdir(exist_ok=True)
    for manifest in folders.EXAMPLES.glob("*.yaml"):
        (copies / manifest.name).write_text(manifest.read_text(encoding="utf-8").replace(named, stage.site))
    return copies


def _shown(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
