"""The page, whoever looks: tokens, refusals, lists, and connections that break."""

import json
import uuid
from pathlib import Path

import httpx2
import pytest
from selenium.webdriver.common.keys import Keys

from client_cluster import account
from gateway_browser import Browser
from gateway_client import EVERYTHING, READING, Gateway, GatewayProcess, Tenant, gateway, single
from local_cluster.cluster import LocalCluster
from operator_process import manifest, namespace, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.long]

_HELD = {"single": {"url": "https://example.org/"}, "suspend": True}


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


def test_the_reference_is_shown_under_its_policy(page: Browser, process: GatewayProcess) -> None:
    page.log()
    page.driver.get(f"{process.url}/docs")
    page.sees("Make a job", "#operations-jobs-createJob")
    page.click("#operations-jobs-createJob .opblock-summary-control")
    page.sees("front-page", "#operations-jobs-createJob .body-param__example")
    page.sees("AlreadyExists", "#operations-jobs-createJob .responses-wrapper")
    assert page.log() == []


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
            page.click("[name=priority] option[value=High]")
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
