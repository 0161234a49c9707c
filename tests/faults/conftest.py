"""The bare cluster that faults are tried on, and the count of what was injected."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ending import Ending
from stage import bare_cluster
from sweeping import Bench

from local_cluster.cluster import LocalCluster

_TALLY: Counter[str] = Counter()


@pytest.fixture(scope="session")
def bare() -> Iterator[LocalCluster]:
    """A real API server on which nobody acts but the operator and the scenario."""
    with bare_cluster("faults") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def undisturbed() -> dict[str, Ending]:
    """What scenarios come to when nothing goes wrong, once they have been played."""
    return {}


@pytest.fixture
def bench(bare: LocalCluster, undisturbed: dict[str, Ending], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """What a sweep needs."""
    # The grace that a lagging watch is given would only be waited for: here a watch lags by design, or not at all.
    monkeypatch.setattr("crawl_operator.watch_guard._GRACE", 0)
    # Whoever stands by looks at the lease as often as a trial is in a hurry.
    monkeypatch.setattr("crawl_operator.lease._POLL", 0.1)
    # A budget that is used up in fewer steps.
    monkeypatch.setattr("crawl_operator.decide.retry.INFRASTRUCTURE_RETRIES", 3)
    token = bare.kubectl("-n", "crawl-operator", "create", "token", "crawl-operator", "--duration=2h").stdout.strip()
    with TemporaryDirectory(prefix="faults-") as folder:
        yield Bench(bare, token, Path(folder), f"t{uuid.uuid4().hex[:6]}", _TALLY, undisturbed)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the count of a process that ran a part of the tests."""
    _TALLY.update(getattr(node, "workeroutput", {}).get("faults", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the count to the process that started this one, if one did."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = dict(_TALLY)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults were injected."""
    if not _TALLY:
        return
    terminalreporter.section("faults injected")
    for kind, count in sorted(_TALLY.items()):
        if kind != "trials":
            terminalreporter.write_line(f"{count:7} {kind}")
    terminalreporter.write_line(f"{_TALLY.total() - _TALLY['trials']:7} in all, in {_TALLY['trials']} trials")
