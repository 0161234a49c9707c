"""The files of the page: what they are, what protects them, and that they say the API's own words."""

import re
from importlib.resources import files

import httpx2
import pytest

from crawl_api.enums import JobType, Phase, Priority
from gateway_client import GatewayProcess

FOLDER = files("crawl_gateway") / "page"


@pytest.mark.cluster
def test_files_are_served_with_a_strict_policy(process: GatewayProcess) -> None:
    for path in ("/", *(f"/page/{file.name}" for file in FOLDER.iterdir())):
        answer = httpx2.get(process.url + path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-cache"
        tag = answer.headers["etag"]
        assert httpx2.get(process.url + path, headers={"If-None-Match": tag}).status_code == 304
    for path in ("/page/", "/page/none.js", "/page/..%2Fapp.py", "/page/%2e%2e/app.py"):
        assert httpx2.get(process.url + path).status_code == 404, path


def test_nothing_comes_from_elsewhere_and_nothing_is_inline() -> None:
    for file in FOLDER.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(src|href|from|import|url\()\W{0,3}(https?:)?//", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), file.name
    index = (FOLDER / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script[^>]*>", index) == ['<script type="module" src="page/main.js">']
    assert not re.search(r"\son\w+=|style=|<style", index)


@pytest.mark.parametrize(("name", "words"), [("PHASES", Phase), ("TYPES", JobType), ("PRIORITIES", Priority)])
def test_words_are_those_of_the_api(name: str, words: type[Phase | JobType | Priority]) -> None:
    text = (FOLDER / "list.js").read_text(encoding="utf-8")
    (listed,) = re.findall(rf"const {name} = \[(.*?)\]", text, re.DOTALL)
    assert re.findall(r'"(\w+)"', listed) == [word.value for word in words]
