"""The page, as a person has it: in a real browser, beside a real operator and real workers."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.keys import Keys

from demo.serving import LoopbackServer
from gateway_browser import Browser
from gateway_client import Gateway, GatewayProcess, Tenant, single
from operator_process import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

EVIL = "<script>document.title = 'hacked'</script><img src=x onerror=alert(1)>"


class Site(LoopbackServer):
    """A book whose chapters come when they are out, and a page whose title is no title."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.out = 0
        """How many chapters may be read; who asks for another one waits."""

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/robots.txt":
            return web.Response(status=404)
        if chapter := request.path.partition("chapter-")[2]:
            while int(chapter) >= self.out:  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.05)
        title = EVIL.replace("<", "&lt;") if request.path == "/evil" else f"Chapter {chapter}"
        text = "<p>A sentence that is long enough to be the text of a page, and another one after it.</p>" * 5
        page = f"<!doctype html><title>{title}</title><main><h1>{title}</h1>{text}</main>"
        return web.Response(text=page, content_type="text/html")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


@pytest.fixture(scope="module")
def process(handing_out: GatewayProcess) -> GatewayProcess:
    return handing_out


def test_a_job_is_submitted_watched_and_read(page: Browser, site: Site, call: Gateway) -> None:
    site.out = 0
    page.go("submit")
    page.sees("One on each line.")
    urls = [f"{site.base_url}/chapter-{n}" for n in range(5)]
    page.find("[name=urls]").send_keys("\n".join(urls))
    page.find("[name=name]").send_keys("submitted")
    page.find("[name=displayName]").send_keys("Five pages")
    page.press("Submit")
    page.sees("submitted is submitted", "#said")
    page.sees("submitted", "h1")
    assert call.get("/v1/jobs/submitted")["spec"]["batch"]["urls"] == urls
    # One that waits for its pages for longer than the form lets it.
    batch = {"type": "Batch", "batch": {"urls": urls}, "fetch": {"timeoutSeconds": 300}}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "watched"}, "spec": batch})
    page.go(f"job/{call.http.headers['X-Namespace']}/watched")
    page.sees("watched", "h1")
    seen = [page.progress]

    def moved(beyond: int) -> bool:
        seen.append(page.progress)
        return seen[-1] > beyond

    def ended() -> bool:
        moved(0)
        return "Completed" in page.text("[data-part=summary] .badge")

    assert seen == [0]
    for out, percent in ((1, 0), (3, 20)):
        site.out = out
        wait_until(lambda percent=percent: moved(percent), "progress moves", 60, pause=0.05)  # type: ignore[misc]
    site.out = 5
    wait_until(ended, "it is completed before one's eyes", 60, pause=0.05)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    page.sees("5 of 5", "[data-part=summary]")
    page.sees("Chapter 0", "[data-part=result]")
    page.click("[data-part=result] summary")
    assert f'"url": "{site.base_url}/chapter-0"' in page.text("[data-part=result] details")
    page.press("Save the file", "[data-part=result]")
    page.sees("is saved", "#said")

    def whole() -> list[Path]:
        """Return what has its name; the browser writes into a hidden file first, or one with an ending of its own."""
        return [each for each in page.saved() if not each.name.startswith(".") and each.suffix != ".crdownload"]

    wait_until(whole, "the file has its name", 20)
    (saved,) = whole()
    assert len(saved.read_text().splitlines()) == 5
    moves = [each["to"] for each in call.get("/v1/jobs/watched")["status"]["history"]]
    assert page.texts("[data-part=timeline] .badge") == moves
    assert "Completed" in page.text("[data-part=attempts]")
    assert page.unnamed() == []


def test_what_pages_say_stays_text(page: Browser, site: Site, call: Gateway) -> None:
    call.submit("evil", url=f"{site.base_url}/evil", suspend=False, displayName=EVIL, priority="Critical")
    call.finished("evil")
    page.go(f"job/{call.http.headers['X-Namespace']}/evil")
    page.sees("<script>", "[data-part=result] summary")
    page.click("[data-part=result] summary")
    page.sees("onerror=alert(1)", "[data-part=result] pre")
    page.go("jobs")
    page.sees("<script>", "tbody")
    assert page.all("main script, main img") == []
    assert "hacked" not in page.driver.title
    with pytest.raises(JavascriptException, match="TrustedHTML"):
        page.driver.execute_script("document.body.innerHTML = '<b>'")
    assert any("TrustedHTML" in line for line in page.log()), "such a thing is seen there"


def test_dead_letters_run_again(page: Browser, call: Gateway) -> None:
    for name in ("dead-a", "dead-b"):
        call.submit(name, url="http://127.0.0.1:1/", suspend=False, priority="Critical", retry={"maxAttempts": 1})
    page.go("dead-letters")
    page.sees("dead-a", "tbody", 30)
    page.sees("dead-b", "tbody", 30)
    page.press("Requeue dead-a")
    page.sees("dead-a runs again", "#said")
    page.press("Requeue all that are shown")
    page.sees("again", "#said")
    for name in ("dead-a", "dead-b"):
        wait_until(
            lambda name=name: len(call.get(f"/v1/jobs/{name}")["status"]["attempts"]) >= 2,  # type: ignore[misc]
            f"{name} ran again",
            30,
        )
    page.go(f"job/{call.http.headers['X-Namespace']}/dead-b")
    page.sees("127.0.0.1:1", "[data-part=errors]")


def test_levers_do_what_they_say(page: Browser, call: Gateway) -> None:
    call.submit("lever")
    page.go(f"job/{call.http.headers['X-Namespace']}/lever")
    page.sees("Suspended", "[data-part=summary]")
    page.press("Cancel")
    page.press("No", "dialog")
    assert call.get("/v1/jobs/lever")["spec"].get("cancel", False) is False
    page.press("Cancel")
    page.press("Cancel", "dialog")
    page.sees("Cancelled", "[data-part=summary]")
    page.press("Delete")
    page.press("Delete", "dialog")
    page.sees("lever is deleted", "#said")
    call.get("/v1/jobs/lever", 404)


def test_schedules_are_switched_and_run(page: Browser, site: Site, call: Gateway) -> None:
    template = {"spec": {**single(url=f"{site.base_url}/evil")["spec"], "suspend": False, "priority": "Critical"}}
    spec = {"schedule": "0 2 * * *", "timeZone": "Europe/Berlin", "suspend": True, "jobTemplate": template}
    call.call("POST", "/v1/schedules", 201, {"metadata": {"name": "nightly"}, "spec": spec})
    page.go("schedules")
    page.sees("disabled", "tbody")
    page.press("Enable nightly")
    page.sees("nightly makes runs", "#said")
    page.press("more runs of nightly")
    wait_until(lambda: len(page.all("td li time")) == 5, "its next five runs are there", 10)
    page.press("Disable nightly")
    page.sees("disabled", "tbody")
    page.press("Trigger nightly")
    page.sees("1, 0", "tbody")
    page.click("tbody a")
    page.sees("nightly-", "tbody")
    assert page.unnamed() == []


def test_queues_and_workers_are_shown(page: Browser, site: Site, call: Gateway, owner: Tenant) -> None:
    call.submit("at-work", url=f"{site.base_url}/evil", suspend=False, priority="Critical")
    call.finished("at-work")
    call.submit("waits", suspend=False, priority="High", dependsOn=[{"name": "nobody"}])
    page.go("queues")
    page.sees("waits", "tbody")
    page.sees("nobody", "tbody")
    assert page.unnamed() == []
    page.go("workers")
    page.sees(call.get("/v1/jobs/at-work")["status"]["workerId"])
    assert page.unnamed() == []
    call.call("POST", "/v1/jobs/waits/cancel")


def test_it_is_used_by_keyboard_alone(page: Browser, owner: Tenant, call: Gateway) -> None:
    page.open("jobs", namespace=owner.name)
    page.sees("Kubernetes token")
    page.keys(owner.token, Keys.ENTER)  # the focus is there already
    page.sees("Jobs, the newest first")
    page.tab_to("To the content", back=True)
    page.keys(Keys.ENTER)
    assert page.focus.get_attribute("id") == "main"
    page.tab_to("Submit", back=True)
    page.keys(Keys.ENTER)
    page.sees("One on each line.")
    wait_until(lambda: page.focus.get_attribute("id") == "main", "the focus is where the new view begins", 5)
    page.keys(Keys.TAB)
    page.keys("http://127.0.0.1:1/", Keys.TAB, Keys.TAB, "Critical", Keys.TAB, "by-keyboard", Keys.ENTER)
    page.sees("by-keyboard is submitted", "#said")
    page.tab_to("Cancel")
    page.keys(Keys.ENTER)
    page.sees("Cancel by-keyboard for good?", "dialog")
    page.keys(Keys.TAB, Keys.ENTER)
    page.sees("Cancelled", "[data-part=summary]")
    assert call.get("/v1/jobs/by-keyboard")["spec"]["priority"] == "Critical"


def test_it_fits_every_screen(page: Browser, site: Site, owner: Tenant, call: Gateway, tmp_path: Path) -> None:
    """Also makes the pictures of the documentation: `make screenshots`."""
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    urls = [f"{site.base_url}/chapter-{n}" for n in range(8)]
    call.submit("mirror", url="http://127.0.0.1:1/", suspend=False, priority="Critical", retry={"maxAttempts": 1})
    call.submit("prices", url=f"{site.base_url}/evil", suspend=False, priority="High", displayName="Today's prices")
    call.submit("archive", priority="Low", displayName="Not before the weekend")
    call.finished("mirror")
    call.finished("prices")
    site.out = 3  # the others are still to come when all pictures are taken
    batch = {"type": "Batch", "batch": {"urls": urls}, "fetch": {"timeoutSeconds": 300}}
    spec = {**batch, "priority": "Critical", "displayName": "A long book"}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "book"}, "spec": spec})
    wait_until(lambda: call.get("/v1/jobs/book")["status"]["progress"]["percent"] > 0, "it is under way", 30)
    views = {
        "jobs": ("jobs", "book", 1100, 620, "light"),
        "job": (f"job/{owner.name}/book", "Processing", 1100, 900, "dark"),
        "phone": ("jobs", "book", 390, 760, "light"),
        "dead-letters": ("dead-letters", "mirror", 1100, 420, "dark"),
    }
    for name, (view, text, width, height, scheme) in views.items():
        with page.screen(width, height, scheme):
            page.go(view)
            page.sees(text, "main")
            page.live()
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
            ground = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
            assert page.driver.save_screenshot(str(pictures / f"gateway-{name}.png"))
    site.out = len(urls)
