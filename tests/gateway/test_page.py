"""The page, as a person has it: in a real browser, beside a real operator and real workers."""

import asyncio
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from aiohttp import web
from gateway_browser import Browser, browser
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.keys import Keys

from client_cluster import account
from demo.serving import LoopbackServer
from gateway_client import EVERYTHING, READING, Gateway, GatewayProcess, Tenant, gateway, single
from local_cluster.cluster import LocalCluster
from operator_process import OperatorProcess, manifest, namespace, wait_until

pytestmark = pytest.mark.cluster

EVIL = "<script>document.title = 'hacked'</script><img src=x onerror=alert(1)>"
_SLOW_SECONDS = 0.9
_HELD = {"single": {"url": "https://example.org/"}, "suspend": True}


async def answer(request: web.BaseRequest) -> web.Response:
    """Serve chapters, of which each takes longer than the one before, and a page whose title is no title."""
    if request.path == "/robots.txt":
        return web.Response(status=404)
    if chapter := request.path.partition("chapter-")[2]:
        await asyncio.sleep(int(chapter) * _SLOW_SECONDS)
    title = EVIL.replace("<", "&lt;") if request.path == "/evil" else f"Chapter {chapter}"
    text = "<p>A sentence that is long enough to be the text of a page, and another one after it.</p>" * 5
    page = f"<!doctype html><title>{title}</title><main><h1>{title}</h1>{text}</main>"
    return web.Response(text=page, content_type="text/html")


@pytest.fixture(scope="module")
def site() -> Iterator[LoopbackServer]:
    with LoopbackServer(answer) as running:
        yield running


@pytest.fixture(scope="module")
def owner(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """Somebody with a namespace in which an operator is at work."""
    with (
        namespace(cluster, f"page-{uuid.uuid4().hex[:8]}") as made,
        OperatorProcess(cluster, tmp_path_factory.mktemp("operator"), namespaces=[made.namespace]),
    ):
        yield Tenant(made, account(cluster, made.namespace, "caller", EVERYTHING))


@pytest.fixture(scope="module")
def driven(process: GatewayProcess) -> Iterator[Browser]:
    with browser(process.url) as running:
        yield running


@pytest.fixture
def page(driven: Browser, process: GatewayProcess, owner: Tenant) -> Iterator[Browser]:
    """The page, signed in as the owner; afterwards the browser has nothing to complain of."""
    driven.open("jobs", token=owner.token, namespace=owner.name, url=process.url)
    yield driven
    assert [line for line in driven.log() if "Failed to load resource" not in line] == []  # what is refused is told so


def test_a_job_is_submitted_watched_and_read(page: Browser, site: LoopbackServer, call: Gateway) -> None:
    page.go("submit")
    page.sees("One on each line.")
    page.find("[name=urls]").send_keys("\n".join(f"{site.base_url}/chapter-{n}" for n in range(5)))
    page.find("[name=name]").send_keys("watched")
    page.find("[name=displayName]").send_keys("Five pages")
    page.press("Submit")
    page.sees("watched is submitted", "#said")
    page.sees("watched", "h1")
    seen: list[int] = []

    def ended() -> bool:
        seen.append(int(page.find("progress").get_attribute("value") or 0))
        return "Completed" in page.text("[data-part=summary] .badge")

    wait_until(ended, "it is completed before one's eyes", 60, pause=0.05)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2, "progress moved"
    page.sees("5 of 5", "[data-part=summary]")
    page.sees("Chapter 0", "[data-part=result]")
    page.find("[data-part=result] summary").click()
    assert f'"url": "{site.base_url}/chapter-0"' in page.text("[data-part=result] details")
    moves = [each["to"] for each in call.get("/v1/jobs/watched")["status"]["history"]]
    assert [each.text.removeprefix("● ") for each in page.all("[data-part=timeline] .badge")] == moves
    assert "Completed" in page.text("[data-part=attempts]")
    assert page.unnamed() == []


def test_what_pages_say_stays_text(page: Browser, site: LoopbackServer, call: Gateway) -> None:
    call.submit("evil", url=f"{site.base_url}/evil", suspend=False, displayName=EVIL, priority="Critical")
    call.finished("evil")
    page.go(f"job/{call.http.headers['X-Namespace']}/evil")
    page.sees("<script>", "[data-part=result] summary")
    page.find("[data-part=result] summary").click()
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


def test_what_is_refused_is_said(page: Browser, cluster: LocalCluster, owner: Tenant, call: Gateway) -> None:
    call.submit("guarded")
    reader = account(cluster, owner.name, "reader", READING)
    page.open(f"job/{owner.name}/guarded", token=reader, namespace=owner.name)
    page.press("Resume")
    page.sees(f"system:serviceaccount:{owner.name}:reader may not patch", "#wrong")
    page.go("submit")
    page.sees("One on each line.")
    page.find("[name=urls]").send_keys("ftp://example.org/")
    page.press("Submit")
    page.sees("spec.single.url", "#wrong")
    page.find("[name=urls]").clear()
    page.find("[name=urls]").send_keys("https://example.org/")
    page.press("Submit")
    page.sees("may not create", "#wrong")
    page.open("jobs", token=owner.token, namespace="default")
    page.sees("may not list", "#wrong")


def test_a_token_is_asked_for(page: Browser, owner: Tenant) -> None:
    page.open("jobs", namespace=owner.name)
    page.sees("Kubernetes token")
    assert page.text("#wrong") == ""
    page.find("[name=token]").send_keys("wrong", Keys.ENTER)
    page.sees("the API server does not accept the token", "#wrong")
    page.find("[name=token]").send_keys(owner.token, Keys.ENTER)
    page.sees("Jobs, the newest first")
    assert page.text("#wrong") == ""
    assert owner.token not in page.driver.page_source
    assert page.driver.execute_script("return localStorage.length + document.cookie.length") == 0
    page.press("Sign out", "header")
    page.sees("Kubernetes token")
    assert page.driver.execute_script("return sessionStorage.getItem('crawls.token')") is None


def test_nobody_is_somebody_where_that_is_on(
    page: Browser, cluster: LocalCluster, owner: Tenant, call: Gateway, tmp_path: Path
) -> None:
    call.submit("seen-by-anybody")
    account(cluster, owner.name, "anybody", READING)
    name = f"system:serviceaccount:{owner.name}:anybody"
    with gateway(cluster, tmp_path, anonymous=name, defaultNamespace=owner.name) as opened:
        page.open("jobs", url=opened.url)
        page.sees("seen-by-anybody", "tbody")
        page.press("Sign in", "header")
        page.press("Go on without a token")
        page.sees("seen-by-anybody", "tbody")


def test_lists_are_filtered_searched_and_paged(page: Browser, cluster: LocalCluster, process: GatewayProcess) -> None:
    with namespace(cluster, f"many-{uuid.uuid4().hex[:8]}") as made:
        many = Tenant(made, account(cluster, made.namespace, "caller", EVERYTHING))
        with Gateway(process, many) as client:
            items = [single(f"job-{n:02}", priority="Low" if n % 10 else "High") for n in range(30)]
            assert not client.call("POST", "/v1/jobs/bulk", 200, {"items": items})["failed"]
            page.open("jobs", token=many.token, namespace=many.name)
            page.sees("1 to 25 of 30", ".pager")
            page.press("Older")
            page.sees("26 to 30 of 30", ".pager")
            page.find("[name=priority] option[value=High]").click()
            page.sees("1 to 3 of 3", ".pager")
            page.driver.refresh()
            page.sees("1 to 3 of 3", ".pager")  # the address knows
            page.find("[name=search]").send_keys("job-2")
            page.sees("1 to 1 of 1", ".pager")
            page.live()
            client.submit("job-2-too", priority="High")
            page.sees("job-2-too", "tbody")
            client.call("DELETE", "/v1/jobs/job-20", 204)
            wait_until(lambda: "job-20" not in page.text("tbody"), "it is gone from the page, too", 10)
            assert page.unnamed() == []


def test_it_goes_on_after_a_break(page: Browser, cluster: LocalCluster, owner: Tenant, tmp_path: Path) -> None:
    with gateway(cluster, tmp_path) as breaking:
        page.open("jobs?search=break", token=owner.token, namespace=owner.name, url=breaking.url)
        page.live()
        breaking.kill()
        page.sees("not live", "#live")
        owner.jobs.kubectl("apply", "-f", "-", input=json.dumps(manifest("in-the-break", **_HELD)))
        breaking.start()
        page.sees("in-the-break", "tbody", 30)
        page.live()


def test_it_holds_no_stream_while_nobody_looks(
    page: Browser, cluster: LocalCluster, owner: Tenant, tmp_path: Path
) -> None:
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    with gateway(cluster, tmp_path) as running:
        page.open("jobs?search=unseen", token=owner.token, namespace=owner.name, url=running.url)
        page.live()
        page.driver.execute_script(hide, True)  # noqa: FBT003 - a value of the page's
        metric = 'crawl_gateway_streams{kind="sse"} 0.0'
        wait_until(lambda: metric in httpx2.get(f"{running.url}/metrics").text, "there is no stream", 10)
        owner.jobs.kubectl("apply", "-f", "-", input=json.dumps(manifest("unseen", **_HELD)))
        page.driver.execute_script(hide, False)  # noqa: FBT003 - same
        page.sees("unseen", "tbody", 10)


def test_schedules_are_switched_and_run(page: Browser, site: LoopbackServer, call: Gateway) -> None:
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
    page.find("tbody a").click()
    page.sees("nightly-", "tbody")
    assert page.unnamed() == []


def test_queues_and_workers_are_shown(page: Browser, site: LoopbackServer, call: Gateway, owner: Tenant) -> None:
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


def test_it_fits_every_screen(
    page: Browser, site: LoopbackServer, owner: Tenant, call: Gateway, tmp_path: Path
) -> None:
    """Also makes the pictures of the documentation: `make screenshots`."""
    pictures = Path(os.environ.get("SCREENSHOTS", tmp_path))
    urls = [f"{site.base_url}/chapter-{n}" for n in range(8)]
    call.submit("mirror", url="http://127.0.0.1:1/", suspend=False, priority="Critical", retry={"maxAttempts": 1})
    call.submit("prices", url=f"{site.base_url}/evil", suspend=False, priority="High", displayName="Today's prices")
    call.submit("archive", priority="Low", displayName="Not before the weekend")
    call.finished("mirror")
    call.finished("prices")
    batch = {"type": "Batch", "batch": {"urls": urls}, "priority": "Critical", "displayName": "A long book"}
    call.call("POST", "/v1/jobs", 201, {"metadata": {"name": "book"}, "spec": batch})
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
