"""What a person sees: bars, colours and a whole screen on a terminal; none of them on a pipe."""

import re
import signal

import pytest
from terminal import LINES, Program

from demo.pages import PAGES
from held_site import HeldSite
from operator_process import Jobs

pytestmark = [pytest.mark.cluster, pytest.mark.long]

PATHS = [page.path for page in PAGES.values() if page.path.startswith("/catalogue/")][:8]
PATIENT = ("--set", "fetch.timeoutSeconds=120")
"""For a page that is held back."""
GREEN = b"\x1b[32m"


def test_run_draws_a_bar_with_what_is_left_of_the_time(crawl: Program) -> None:
    with HeldSite(3) as held:
        urls = [held.url(path) for path in PATHS]
        words = ("run", *urls, "--name", "bar", "-p", "high", "--set", "fetch.concurrency=1", *PATIENT)
        with crawl.on_terminal(*words) as terminal:
            screen = terminal.until(lambda text: " left" in text, "the time that is left is shown", 40)
            line = next(line for line in screen.splitlines() if line.startswith("bar "))
            assert "Processing" in line
            assert "━" in line
            assert "/8 pages" in line
            held.open()
            assert terminal.end() == 0
            assert "bar Completed, 8 of 8 pages" in terminal.text
            assert "━" not in terminal.text, "the bar goes when the job has ended"


def test_colours_are_for_people_who_want_them(crawl: Program) -> None:
    crawl.says("wait", "bar")
    with crawl.on_terminal("list") as terminal:
        assert terminal.end() == 0
        assert GREEN in terminal.sent
        assert "Completed" in terminal.text
    with crawl.on_terminal("list", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        assert b"\x1b[" not in terminal.sent
    assert "\x1b[" not in crawl.says("list")


def test_top_shows_the_whole_system_on_the_whole_screen(crawl: Program, shared: Jobs, held: HeldSite) -> None:
    with crawl.on_terminal("top", "--interval", "0.2") as terminal:
        screen = terminal.until(lambda text: "bar " in text, "the job is shown")
        assert screen.splitlines()[0].startswith(f"crawls in {shared.namespace} at ")
        assert [line.split()[0] for line in screen.splitlines() if line][1:6] == [
            "CLASS",
            "Critical",
            "High",
            "Normal",
            "Low",
        ]
        crawl.says("submit", held.url("/slow"), "--name", "on-top", "-p", "critical", *PATIENT)
        row = re.compile(r"^on-top +Single +Critical +Processing .* 0/1", re.MULTILINE)
        screen = terminal.until(lambda text: row.search(text) is not None, "the new job runs on it")
        assert len(screen.splitlines()) <= LINES
        held.open()
        terminal.until(lambda text: "on-top" in text and "1/1" in text, "its end is shown")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert "Traceback" not in terminal.sent.decode()
    assert "on-top" in crawl.says("top"), "on a pipe it is one picture"


def test_status_is_refreshed(crawl: Program) -> None:
    with crawl.on_terminal("status", "--watch", "--interval", "0.3") as terminal:
        terminal.until(lambda text: "System Status" in text, "the status is shown")
        drawn = terminal.sent.count(b"System Status")
        terminal.until(lambda _: terminal.sent.count(b"System Status") > drawn + 1, "it is drawn again")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 130
