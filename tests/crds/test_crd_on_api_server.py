"""What the API server alone makes of CrawlJobs: no operator runs here."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_server import BATCH, JOBS, SINGLE, ApiServer, Object, manifest
from crawl_api.crawljob import CrawlJobSpec, Priority
from crawl_api.status import CrawlJobStatus, Phase

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
URL = "https://example.org/"


def batch(*urls: str) -> Object:
    return {"type": "Batch", "batch": {"urls": list(urls)}}


def single(url: str) -> Object:
    return {"type": "Single", "single": {"url": url}}


def fetch(**options: Any) -> Object:
    return SINGLE | {"fetch": options}


def worker(**options: Any) -> Object:
    return SINGLE | {"worker": options}


def retry(**options: Any) -> Object:
    return SINGLE | {"retry": options}


def selectors(*each: Object) -> Object:
    return SINGLE | {"extract": {"selectors": list(each)}}


def site(**options: Any) -> Object:
    return {"type": "Site", "site": {"startUrls": [URL]} | options}


def output(**options: Any) -> Object:
    return SINGLE | {"output": options}


ABSOLUTE = "must be an absolute http:// or https:// URL"

BAD: dict[str, tuple[Any, str, str]] = {
    # name: spec, field, words
    "no spec": (None, "spec", "Required value"),
    "empty spec": ({}, "spec.type", "Required value"),
    "no URL": ({"type": "Single", "single": {}}, "spec.single.url", "Required value"),
    "empty URL": (single(""), "spec.single.url", "at least 1 chars"),
    "URL too long": (single(URL + "x" * 2048), "spec.single.url", "Too long"),
    "ftp": (single("ftp://example.org/"), "spec.single.url", ABSOLUTE),
    "file": (single("file:///etc/passwd"), "spec.single.url", ABSOLUTE),
    "javascript": (single("javascript:alert(1)"), "spec.single.url", ABSOLUTE),
    "no host": (single("http://"), "spec.single.url", ABSOLUTE),
    "no host but a path": (single("http:///path"), "spec.single.url", ABSOLUTE),
    "no host but a port": (single("http://:80/"), "spec.single.url", ABSOLUTE),
    "relative URL": (single("/index.html"), "spec.single.url", ABSOLUTE),
    "no scheme": (single("example.org"), "spec.single.url", ABSOLUTE),
    "spaces in the host": (single("http://exa mple.org/"), "spec.single.url", ABSOLUTE),
    "URL that is a number": ({"type": "Single", "single": {"url": 1}}, "spec.single.url", "must be of type string"),
    "URL that is null": ({"type": "Single", "single": {"url": None}}, "spec.single.url", "Required value"),
    "empty list": (batch(), "spec.batch.urls", "at least 1 items"),
    "1001 URLs": (batch(*[URL] * 1001), "spec.batch.urls", "at most 1000 items"),
    "one bad URL of many": (batch(URL, "ftp://example.org", URL), "spec.batch.urls[1]", ABSOLUTE),
    "no list": ({"type": "Batch", "batch": {}}, "spec.batch.urls", "Required value"),
    "text for a list": ({"type": "Batch", "batch": {"urls": URL}}, "spec.batch.urls", "must be of type array"),
    "no member": ({"type": "Single"}, "spec.single", "single must be set when type is Single, and only then"),
    "no member, batch": ({"type": "Batch"}, "spec.batch", "batch must be set when type is Batch, and only then"),
    "two members": (SINGLE | {"batch": BATCH["batch"]}, "spec.batch", "batch must be set when type is Batch"),
    "the other member": (BATCH | {"type": "Single"}, "spec.single", "single must be set when type is Single"),
    "no type": ({"single": SINGLE["single"]}, "spec.type", "Required value"),
    "no start": (site(startUrls=[]), "spec.site.startUrls", "at least 1 items"),
    "a start that is none": (site(startUrls=["/"]), "spec.site.startUrls[0]", ABSOLUTE),
    "101 starts": (site(startUrls=[URL] * 101), "spec.site.startUrls", "at most 100 items"),
    "negative depth": (site(maxDepth=-1), "spec.site.maxDepth", "greater than or equal to 0"),
    "no pages": (site(maxPages=0), "spec.site.maxPages", "greater than or equal to 1"),
    "too many pages": (site(maxPages=1_000_001), "spec.site.maxPages", "less than or equal to 1000000"),
    "a pattern that is none": (site(allow=["/ok", "("]), "spec.site.allow[1]", "error parsing regexp"),
    "a pattern beyond RE2": (site(deny=["(?=x)"]), "spec.site.deny[0]", "error parsing regexp"),
    "an empty pattern": (site(deny=[""]), "spec.site.deny[0]", "at least 1 chars"),
    "too long a pattern": (site(deny=["x" * 257]), "spec.site.deny[0]", "Too long"),
    "unknown scope": (site(scope="Same"), "spec.site.scope", '"SameHost", "SameDomain", "Any"'),
    "site for a batch": (site() | {"type": "Batch"}, "spec.site", "site must be set when type is Site"),
    "no requests per host": (fetch(perHostConcurrency=0), "spec.fetch.perHostConcurrency", "greater than or equal"),
    "a store that is none": (output(storeUrl="ftp://example.org"), "spec.output.storeUrl", "must be an s3://"),
    "a bucket without a name": (output(storeUrl="s3:///x"), "spec.output.storeUrl", "must be an s3://"),
    "compressed twice": (output(format="Parquet", compression="zstd"), "spec.output", "compression is for JSONLines"),
    "unknown form": (output(format="CSV"), "spec.output.format", '"JSONLines", "Parquet", "WARC"'),
    "credentials without a name": (output(credentials={}), "spec.output.credentials.name", "Required value"),
    "too large a PDF": (
        {"type": "Pdf", "pdf": {"urls": [URL], "maxBytes": (100 << 20) + 1}},
        "spec.pdf.maxBytes",
        "less than or equal to 104857600",
    ),
    "a webhook of no web URL": (SINGLE | {"notify": [{"url": "ftp://example.org/"}]}, "spec.notify[0].url", ABSOLUTE),
    "a webhook twice": (SINGLE | {"notify": [{"url": URL}] * 2}, "spec.notify[1]", "Duplicate value"),
    "nine webhooks": (SINGLE | {"notify": [{"url": f"{URL}{n}"} for n in range(9)]}, "spec.notify", "at most 8 items"),
    "an event that is no end": (
        SINGLE | {"notify": [{"url": URL, "events": ["Pending"]}]},
        "spec.notify[0].events[0]",
        '"Completed", "PartialSuccess", "Failed", "DeadLetter", "Cancelled"',
    ),
    "no processor": ({"type": "Custom", "custom": {}}, "spec.custom.processor", "Required value"),
    "a processor's path": ({"type": "Custom", "custom": {"processor": "../x"}}, "spec.custom.processor", "match"),
    "unknown type": (SINGLE | {"type": "Everything"}, "spec.type", 'supported values: "Single", "Batch"'),
    "type in lower case": (SINGLE | {"type": "single"}, "spec.type", "supported values"),
    "unknown priority": (SINGLE | {"priority": "Urgent"}, "spec.priority", '"Critical", "High", "Normal", "Low"'),
    "unknown engine": (SINGLE | {"extract": {"engine": "Best"}}, "spec.extract.engine", '"Fast", "Accurate"'),
    "display name too long": (SINGLE | {"displayName": "x" * 254}, "spec.displayName", "Too long"),
    "user agent too long": (fetch(userAgent="x" * 257), "spec.fetch.userAgent", "Too long"),
    "user agent of two lines": (fetch(userAgent="a\r\nCookie: b"), "spec.fetch.userAgent", "should match"),
    "selector with both": (
        selectors({"name": "a", "css": "p", "xpath": "//p"}),
        "spec.extract.selectors[0]",
        "exactly one of css, xpath and jsonpath must be set",
    ),
    "selector with neither": (
        selectors({"name": "a"}),
        "spec.extract.selectors[0]",
        "exactly one of css, xpath and jsonpath must be set",
    ),
    "selectors of one name": (
        selectors({"name": "a", "css": "p"}, {"name": "a", "css": "q"}),
        "spec.extract.selectors[1]",
        "Duplicate value",
    ),
    "selector without a name": (selectors({"css": "p"}), "spec.extract.selectors[0].name", "Required value"),
    "selector with a bad name": (selectors({"name": "a b", "css": "p"}), "spec.extract.selectors[0].name", "match"),
    "selector too long": (selectors({"name": "a", "css": "p" * 513}), "spec.extract.selectors[0].css", "Too long"),
    "too many selectors": (
        selectors(*({"name": f"a{number}", "css": "p"} for number in range(51))),
        "spec.extract.selectors",
        "at most 50 items",
    ),
    "no concurrency": (fetch(concurrency=0), "spec.fetch.concurrency", "greater than or equal to 1"),
    "negative concurrency": (fetch(concurrency=-1), "spec.fetch.concurrency", "greater than or equal to 1"),
    "too much concurrency": (fetch(concurrency=101), "spec.fetch.concurrency", "less than or equal to 100"),
    "half a request": (fetch(concurrency=1.5), "spec.fetch.concurrency", "must be of type integer"),
    "negative delay": (fetch(delaySeconds=-0.1), "spec.fetch.delaySeconds", "greater than or equal to 0"),
    "too long a delay": (fetch(delaySeconds=61), "spec.fetch.delaySeconds", "less than or equal to 60"),
    "no page time": (fetch(timeoutSeconds=0), "spec.fetch.timeoutSeconds", "greater than or equal to 1"),
    "too much page time": (fetch(timeoutSeconds=601), "spec.fetch.timeoutSeconds", "less than or equal to 600"),
    "no body": (fetch(maxBodyBytes=0), "spec.fetch.maxBodyBytes", "greater than or equal to 1"),
    "too large a body": (fetch(maxBodyBytes=2**30 + 1), "spec.fetch.maxBodyBytes", "less than or equal to 1073741824"),
    "no time": (SINGLE | {"timeoutSeconds": 0}, "spec.timeoutSeconds", "greater than or equal to 1"),
    "negative time": (SINGLE | {"timeoutSeconds": -5}, "spec.timeoutSeconds", "greater than or equal to 1"),
    "too much time": (SINGLE | {"timeoutSeconds": 86401}, "spec.timeoutSeconds", "less than or equal to 86400"),
    "time in words": (SINGLE | {"timeoutSeconds": "5m"}, "spec.timeoutSeconds", "must be of type integer"),
    "no attempt": (retry(maxAttempts=0), "spec.retry.maxAttempts", "greater than or equal to 1"),
    "too many attempts": (retry(maxAttempts=21), "spec.retry.maxAttempts", "less than or equal to 20"),
    "a pause back in time": (
        retry(initialDelaySeconds=-1),
        "spec.retry.initialDelaySeconds",
        "greater than or equal to 0",
    ),
    "a pause of days": (retry(maxDelaySeconds=86401), "spec.retry.maxDelaySeconds", "less than or equal to 86400"),
    "ever shorter pauses": (retry(backoffMultiplier=0.5), "spec.retry.backoffMultiplier", "greater than or equal to 1"),
    "exploding pauses": (retry(backoffMultiplier=10.1), "spec.retry.backoffMultiplier", "less than or equal to 10"),
    "some jitter": (retry(jitter=0.1), "spec.retry.jitter", "must be of type boolean"),
    "unknown way to retry": (retry(limit=3), "spec.retry.limit", "unknown field"),
    "a start in words": (SINGLE | {"scheduledAt": "tomorrow"}, "spec.scheduledAt", "must be of type date-time"),
    "a start on no day": (SINGLE | {"scheduledAt": "2026-02-30T00:00:00Z"}, "spec.scheduledAt", "date-time"),
    "perhaps suspended": (SINGLE | {"suspend": "yes"}, "spec.suspend", "must be of type boolean"),
    "cancelled in words": (SINGLE | {"cancel": "true"}, "spec.cancel", "must be of type boolean"),
    "image of two words": (worker(image="a b"), "spec.worker.image", "should match"),
    "much memory": (
        worker(resources={"limits": {"memory": "much"}}),
        "spec.worker.resources.limits.memory",
        "should match",
    ),
    "a GPU": (worker(resources={"limits": {"gpu": "1"}}), "spec.worker.resources.limits.gpu", "unknown field"),
    "node label with a space": (worker(nodeSelector={"a b": "c"}), "spec.worker.nodeSelector", "must be label names"),
    "node label of two words": (worker(nodeSelector={"a": "b c"}), "spec.worker.nodeSelector.a", "should match"),
    "toleration of nothing": (worker(tolerations=[{}]), "spec.worker.tolerations[0]", "Equal needs a key"),
    "toleration of all values and one": (
        worker(tolerations=[{"operator": "Exists", "value": "a"}]),
        "spec.worker.tolerations[0]",
        "Exists takes no value",
    ),
    "raw pod spec": (worker(hostNetwork=True), "spec.worker.hostNetwork", "unknown field"),
    "too much metadata": (
        SINGLE | {"metadata": {str(number): number for number in range(65)}},
        "spec.metadata",
        "at most 64 items",
    ),
    "metadata that is a list": (SINGLE | {"metadata": []}, "spec.metadata", "must be of type object"),
    "unknown field": (SINGLE | {"prio": "High"}, "spec.prio", "unknown field"),
    "unknown field inside": (fetch(concurency=1), "spec.fetch.concurency", "unknown field"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_manifest_is_refused_by_the_name_of_its_field(api: ApiServer, case: str) -> None:
    spec, field, words = BAD[case]
    answer = api.create("bad", spec)
    assert answer.status in {400, 422}, "it was taken"
    causes = answer.body.get("details", {}).get("causes", [])
    said = [(cause["field"], cause["message"]) for cause in causes] or [(field, answer.message)]
    assert field in answer.message
    assert any(field == where.removesuffix("[]") and words in message for where, message in said), said


@pytest.mark.parametrize(
    "spec",
    [
        single("http://127.0.0.1:8017/"),
        single("https://user:secret@example.org:8443/a?b=c#d"),
        single("http://[2001:db8::1]/"),
        single("https://例え.example/ü?q=日本"),
        single("HTTPS://EXAMPLE.ORG"),
        single(URL + "x" * (2048 - len(URL))),
        batch(*[f"{URL}{number}" for number in range(1000)]),
        fetch(concurrency=100, delaySeconds=60, timeoutSeconds=600, userAgent="x" * 256, maxBodyBytes=2**30),
        fetch(concurrency=1, delaySeconds=0, timeoutSeconds=1, userAgent="", maxBodyBytes=1),
        fetch(delaySeconds=0.25, perHostConcurrency=100, autoThrottle=True),
        {"type": "Pdf", "pdf": {"urls": [URL] * 1000}},
        {
            "type": "Custom",
            "custom": {"processor": "scrapy", "parameters": {"spider": "x", "deep": {"a": [None, 1.5]}}},
        },
        site(),
        output(
            format="JSONLines", compression="zstd", inlineLimitBytes=0, storeUrl="s3://b/p", credentials={"name": "x"}
        ),
        output(format="WARC", storeUrl="file:///x"),
        output(format="Parquet", compression="none", storeUrl="gs://b"),
        site(startUrls=[URL] * 100, maxDepth=1000, maxPages=1_000_000, allow=["x" * 256] * 50, deny=["^a|(b+)*$"] * 50),
        site(scope="Any", sitemaps="None", sitemapUrls=[URL] * 100, canonical="Ignore", ignoreParameters=["x" * 64]),
        selectors(*({"name": f"a{number}", "xpath": "//p"} for number in range(50))),
        SINGLE | {"timeoutSeconds": 86400, "displayName": "x" * 253},
        retry(maxAttempts=20, initialDelaySeconds=86400, backoffMultiplier=10, maxDelaySeconds=86400, jitter=False),
        retry(maxAttempts=1, initialDelaySeconds=0, backoffMultiplier=1.5, maxDelaySeconds=0),
        SINGLE | {"scheduledAt": "2026-03-01T12:00:00.123456+01:00", "suspend": True, "cancel": True},
    ],
    ids=lambda spec: json.dumps(spec, ensure_ascii=False)[:60],
)
def test_what_is_just_within_the_limits_is_taken(api: ApiServer, spec: Object) -> None:
    """And the models of the API agree."""
    answer = api.create("good", spec)
    assert answer.status == 201, answer.message
    api.call("DELETE", f"{JOBS}/good")
    CrawlJobSpec.model_validate(answer.body["spec"])


def test_all_mistakes_are_said_at_once(api: ApiServer) -> None:
    spec = single("ftp://x") | {"timeoutSeconds": 0, "priority": "Urgent"}
    message = api.create("bad", spec).message
    for field in ("spec.timeoutSeconds", "spec.priority"):
        assert field in message


def test_a_name_has_at_most_63_characters(api: ApiServer) -> None:
    """It is a label of the job's worker, and labels end there, where names of objects go on to 253."""
    assert api.create("n" * 63, SINGLE).status == 201
    answer = api.create("n" * 64, SINGLE)
    assert answer.status == 422
    assert "metadata.name must be no longer than 63 characters" in answer.message


def test_kubectl_refuses_an_unknown_field(api: ApiServer) -> None:
    """What `kubectl apply` says to a slip of the pen, on the terminal."""
    text = json.dumps(manifest("strict", SINGLE | {"timeoutSecond": 1}))
    refused = api.kubectl("apply", "-f", "-", input=text, check=False)
    assert refused.returncode != 0
    assert 'unknown field "spec.timeoutSecond"' in refused.stderr


def test_a_job_that_waits_for_itself_is_refused(api: ApiServer) -> None:
    """The shortest cycle is seen by the API server alone."""
    answer = api.create("narcissus", SINGLE | {"dependsOn": [{"name": "narcissus"}]})
    assert answer.status == 422
    assert "dependsOn must not name the job itself" in answer.message
    assert api.create("echo", SINGLE | {"dependsOn": [{"name": "narcissus"}]}).status == 201


def test_kubectl_explains_the_fields(api: ApiServer) -> None:
    text = api.kubectl("explain", "crawljob.spec.fetch.delaySeconds").stdout
    assert "Pause between two requests to the same host." in text


def test_what_is_left_out_is_filled_in(api: ApiServer) -> None:
    """Completely, and as the models would: a manifest of two lines is a whole job."""
    spec = api.created("defaults")["spec"]
    assert spec == SINGLE | {
        "priority": "Normal",
        "retry": {
            "maxAttempts": 3,
            "initialDelaySeconds": 30,
            "backoffMultiplier": 2,
            "maxDelaySeconds": 300,
            "jitter": True,
        },
        "timeoutSeconds": 300,
        "suspend": False,
        "cancel": False,
        "fetch": {
            "concurrency": 10,
            "perHostConcurrency": 10,
            "delaySeconds": 0,
            "autoThrottle": False,
            "timeoutSeconds": 30,
            "obeyRobots": True,
            "maxBodyBytes": 10485760,
            "cacheMode": "None",
            "cacheSeconds": 3600,
        },
        "extract": {
            "text": True,
            "engine": "Fast",
            "markdown": False,
            "links": False,
            "metadata": True,
            "tables": False,
            "jsonLd": False,
            "images": False,
        },
        "output": {"format": "JSONLines", "compression": "none"},
        "ttl": {"resultSeconds": 3600, "completedSeconds": 86400, "failedSeconds": 604800},
    }
    assert CrawlJobSpec.model_validate(spec) == CrawlJobSpec.model_validate(SINGLE)


def test_what_is_given_in_part_keeps_the_defaults_of_the_rest(api: ApiServer) -> None:
    spec = api.created("partial", fetch(concurrency=2) | {"priority": "Low"})["spec"]
    assert (spec["fetch"]["concurrency"], spec["fetch"]["timeoutSeconds"], spec["priority"]) == (2, 30, "Low")


def test_a_new_job_is_pending_before_any_operator_has_seen_it(api: ApiServer) -> None:
    status = api.created("fresh")["status"]
    assert status["phase"] == "Pending"
    assert status["progress"]["percent"] == 0
    assert status["retryCount"] == 0
    assert not {"workerId", "updatedAt", "startedAt", "completedAt"} & set(status), "nobody has claimed or changed it"
    (condition,) = status["conditions"]
    assert (condition["type"], condition["status"]) == ("Reconciling", "True")
    assert condition["reason"] == "AwaitingOperator"
    assert CrawlJobStatus.model_validate(status).phase is Phase.PENDING


def test_a_status_in_a_manifest_is_not_taken(api: ApiServer) -> None:
    """Nobody submits a job that is finished already."""
    answer = api.create("boast", SINGLE, status={"phase": "Completed", "progress": {"percent": 100}})
    assert answer.status == 201
    assert answer.body["status"]["phase"] == "Pending"
    assert api.patch("boast", {"status": {"phase": "Completed"}}).status == 200
    assert api.get("boast")["status"]["phase"] == "Pending"


METADATA: Object = {
    "text": "Grüße, 日本語, 🎉, \u202e, \\ \" ' \n\t",
    "numbers": [0, -1, 1.5, 1e300, 9007199254740993, 0.1],
    "truth": [True, False],
    "nothing": None,
    "empty": {"text": "", "list": [], "map": {}, "nothing": None},
    "deep": {"a": {"b": {"c": {"d": [{"e": [[], [None, {"f": None}]]}]}}}},
    "": "an empty key",
    "a.b/c d": "a strange key",
    "default": {"priority": "High", "phase": "x", "apiVersion": "v9"},
}


def test_metadata_of_any_json_is_returned_unchanged(api: ApiServer) -> None:
    assert api.created("kept", SINGLE | {"metadata": METADATA})["spec"]["metadata"] == METADATA
    assert api.get("kept")["spec"]["metadata"] == METADATA
    api.patch("kept", {"status": {"phase": "Processing"}}, "status")
    assert api.get("kept")["spec"]["metadata"] == METADATA
    assert CrawlJobSpec.model_validate(api.get("kept")["spec"]).metadata == METADATA


@pytest.mark.parametrize("value", [{}, {"a": None}, {"a": {}}, {"a": []}, {"a": ""}, {"a": 0}, {"a": False}])
def test_metadata_of_nothing_is_returned_unchanged(api: ApiServer, value: Object) -> None:
    answer = api.create("nothing", SINGLE | {"metadata": value})
    api.call("DELETE", f"{JOBS}/nothing")
    assert answer.body["spec"]["metadata"] == value


@pytest.mark.parametrize("flag", ["--server-side", "--server-side=false"])
def test_metadata_goes_through_kubectl(api: ApiServer, flag: str) -> None:
    """Applied again it is the same. Client-side, null is how kubectl says "remove this", so there is none in a map."""
    nulls = {"nothing", "empty", "deep"} if flag.endswith("false") else set()
    metadata = {key: value for key, value in METADATA.items() if key not in nulls}
    name = f"through{len(nulls)}"
    text = json.dumps(manifest(name, SINGLE | {"metadata": metadata}))
    versions = []
    for _ in range(3):
        api.kubectl("apply", flag, "-f", "-", input=text)
        found = json.loads(api.kubectl("get", "crawl", name, "-o", "json").stdout)
        assert found["spec"]["metadata"] == metadata
        versions.append(found["metadata"]["resourceVersion"])
    assert versions[1] == versions[2], "the second may still store the default status that the first was answered with"


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("type", {"type": "Batch", "single": None, "batch": {"urls": [URL]}}),
        ("single", {"single": {"url": "https://example.org/other"}}),
        ("displayName", {"displayName": "another"}),
        ("displayName", {"displayName": None}),
        ("fetch", {"fetch": {"concurrency": 9}}),
        ("fetch", {"fetch": {"userAgent": "another"}}),
        ("extract", {"extract": {"links": True}}),
        ("extract", {"extract": {"selectors": []}}),
        ("timeoutSeconds", {"timeoutSeconds": 301}),
        ("timeoutSeconds", {"timeoutSeconds": 299}),
        ("retry", {"retry": {"maxAttempts": 4}}),
        ("scheduledAt", {"scheduledAt": "2030-01-01T00:00:00Z"}),
        ("worker", {"worker": {"nodeSelector": {"disk": "fast"}}}),
    ],
    ids=str,
)
def test_what_is_crawled_cannot_change_after_creation(api: ApiServer, field: str, change: Object) -> None:
    name = "immutable"
    selector = {"name": "a", "css": "p"}
    answer = api.create(name, SINGLE | {"displayName": "one", "extract": {"selectors": [selector]}})
    assert answer.status in {201, 409}
    before = api.get(name)
    answer = api.patch(name, {"spec": change})
    assert answer.status == 422
    assert f"spec.{field}" in answer.message
    assert f"{field} cannot change after creation; create a new CrawlJob instead" in answer.message
    assert api.get(name)["spec"] == before["spec"]


def test_the_urls_of_a_batch_cannot_change_after_creation(api: ApiServer) -> None:
    api.created("immutable-batch", batch(URL, URL + "2"))
    for urls in ([URL], [URL + "2", URL], [URL, URL + "2", URL + "3"]):
        answer = api.patch("immutable-batch", {"spec": {"batch": {"urls": urls}}})
        assert answer.status == 422
        assert "batch cannot change after creation" in answer.message


def test_a_field_that_was_left_out_cannot_be_added(api: ApiServer) -> None:
    api.created("unnamed")
    answer = api.patch("unnamed", {"spec": {"displayName": "late"}})
    assert answer.status == 422
    assert "displayName cannot change after creation" in answer.message


def test_the_same_manifest_may_be_applied_again(api: ApiServer) -> None:
    """Also with the defaults spelled out: GitOps tools do that all day."""
    api.created("again")
    spelled_out = {"fetch": {"concurrency": 10}, "timeoutSeconds": 300, "priority": "Normal"}
    assert api.patch("again", {"spec": SINGLE | spelled_out}).status == 200


def test_metadata_may_change_at_any_time(api: ApiServer) -> None:
    api.created("noted")
    for phase in ("Processing", "Completed"):
        assert api.patch("noted", {"status": {"phase": phase}}, "status").status == 200
        assert api.patch("noted", {"spec": {"metadata": {"seen": phase}}}).status == 200
    assert api.get("noted")["spec"]["metadata"] == {"seen": "Completed"}


def test_who_is_told_may_change_at_any_time(api: ApiServer) -> None:
    api.created("told")
    for phase in ("Processing", "Completed"):
        assert api.patch("told", {"status": {"phase": phase}}, "status").status == 200
        hook = {"url": f"{URL}{phase}", "events": ["Failed"], "secretRef": {"name": "hooks"}}
        assert api.patch("told", {"spec": {"notify": [hook]}}).status == 200
        assert api.get("told")["spec"]["notify"] == [hook]


def test_the_levers_may_be_pulled_and_let_go_at_any_time(api: ApiServer) -> None:
    api.created("pulled")
    for phase in Phase:
        assert api.patch("pulled", {"status": {"phase": phase}}, "status").status == 200
        for lever, value in (("suspend", True), ("suspend", False), ("cancel", True), ("cancel", False)):
            answer = api.patch("pulled", {"spec": {lever: value}})
            assert answer.status == 200, (phase, lever, answer.message)
            assert answer.body["spec"][lever] is value


@pytest.mark.parametrize("phase", [None, *Phase])
def test_priority_may_change_until_the_job_runs(api: ApiServer, phase: Phase | None) -> None:
    """And in no phase after that."""
    name = f"priority-{phase or 'new'}".lower()
    api.created(name)
    if phase is not None:
        assert api.patch(name, {"status": {"phase": phase.value}}, "status").status == 200
    answer = api.patch(name, {"spec": {"priority": "Critical"}})
    if phase in {None, Phase.PENDING, Phase.DELAYED, Phase.SUSPENDED}:
        assert answer.status == 200, answer.message
        assert answer.body["spec"]["priority"] == "Critical"
    else:
        assert answer.status == 422
        assert "priority cannot change once the job has run" in answer.message


@pytest.mark.parametrize(
    ("status", "field", "words"),
    [
        ({"progress": {"percent": 101}}, "status.progress.percent", "less than or equal to 100"),
        ({"progress": {"percent": -1}}, "status.progress.percent", "greater than or equal to 0"),
        ({"phase": "Crawling"}, "status.phase", "Unsupported value"),
        ({"retryCount": -1}, "status.retryCount", "greater than or equal to 0"),
        ({"resultURL": "x" * 501}, "status.resultURL", "Too long"),
        ({"lastError": "x" * 1025}, "status.lastError", "Too long"),
        ({"submittedAt": "yesterday"}, "status.submittedAt", "date-time"),
        ({"conditions": [{"type": "Odd", "status": "True", "reason": "X"}]}, "status.conditions[0].type", "supported"),
        (
            {"errors": [{"code": "X", "time": "2026-03-01T12:00:00Z"}] * 101},
            "status.errors",
            "at most 100 items",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_status_that_cannot_be_is_refused(api: ApiServer, status: Object, field: str, words: str) -> None:
    api.create("impossible", SINGLE)
    answer = api.patch("impossible", {"status": status}, "status")
    assert answer.status == 422
    assert field in answer.message
    assert words in answer.message


def test_a_status_as_large_as_the_models_allow_is_taken(api: ApiServer) -> None:
    """Every text at its limit, every list full: the operator can never write more than the API server takes."""
    wide = "\U0001f600"
    time = "2026-03-01T12:00:00.123456Z"
    error = {
        "code": "X" * 64,
        "message": wide * 1024,
        "url": "https://example.org/" + "x" * 2028,
        "time": time,
        "details": {f"k{number}": wide * 512 for number in range(8)},
    }
    status = CrawlJobStatus.model_validate(
        {"phase": "Failed", "errors": [error | {"details": {}}] * 100, "errorCount": 10**6, "lastError": wide * 1024}
    )
    api.created("large")
    body = status.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    assert api.patch("large", {"status": body}, "status").status == 200
    found = CrawlJobStatus.model_validate(api.get("large")["status"])
    assert found.errors == status.errors
    assert found.last_error == wide * 1024


def test_a_status_patch_leaves_the_spec_and_the_generation_alone(api: ApiServer) -> None:
    before = api.created("status-only", SINGLE | {"metadata": METADATA})
    body = {"status": {"phase": "Processing"}, "spec": {"priority": "Low", "timeoutSeconds": 1, "metadata": None}}
    assert api.patch("status-only", body, "status").status == 200
    after = api.get("status-only")
    assert after["status"]["phase"] == "Processing"
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1


def test_of_two_writers_at_once_one_is_told_so(api: ApiServer) -> None:
    """Both read the same version; one write is done, the other gets a conflict, reads again and loses nothing."""
    version = api.created("raced")["metadata"]["resourceVersion"]

    def write(worker: str) -> int:
        connection = ApiServer(api.cluster)
        try:
            body = {"metadata": {"resourceVersion": version}, "status": {"workerId": worker}}
            return connection.patch("raced", body, "status").status
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = dict(zip(("one", "two"), pool.map(write, ("one", "two")), strict=True))
    assert sorted(statuses.values()) == [200, 409]
    (winner,) = (worker for worker, status in statuses.items() if status == 200)
    found = api.get("raced")
    assert found["status"]["workerId"] == winner
    body = {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "status": {"retryCount": 1}}
    assert api.patch("raced", body, "status").status == 200
    status = api.get("raced")["status"]
    assert (status["workerId"], status["retryCount"]) == (winner, 1)


@pytest.fixture(scope="module")
def listed(api: ApiServer) -> ApiServer:
    """A namespace-wide scene of three jobs, in a namespace without any other."""
    api.kubectl("create", "namespace", "listed")
    for name, spec in {
        "fresh": SINGLE,
        "busy": BATCH | {"priority": "High"},
        "done": BATCH | {"priority": "Critical"},
    }.items():
        api.kubectl("-n", "listed", "apply", "-f", "-", input=json.dumps(manifest(name, spec)))
    for name, status in {
        "busy": {"phase": "Processing", "progress": {"percent": 42, "summary": "42%"}, "workerId": "busy-abc-1"},
        "done": {
            "phase": "Completed",
            "progress": {"percent": 100, "summary": "100%"},
            "retryCount": 2,
            "resultURL": "file:///results/done",
            "duration": "1m12s",
        },
    }.items():
        patch = ("--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
        api.kubectl("-n", "listed", "patch", "crawljob", name, *patch)
    return api


def table(api: ApiServer, *arguments: str) -> dict[str, dict[str, str]]:
    """Return what `kubectl get` prints, by name and column."""
    text = api.kubectl("-n", "listed", "get", *arguments).stdout
    header, *rows = text.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", header)]
    cut = [slice(start, end) for start, end in zip(starts, [*starts[1:], None], strict=True)]
    columns = header.split()
    cells = [[row[part].strip() for part in cut] for row in rows]
    return {row[0].rsplit("/", 1)[-1]: dict(zip(columns, row, strict=True)) for row in cells}


def test_kubectl_shows_what_matters_in_columns(listed: ApiServer) -> None:
    rows = table(listed, "crawl")
    assert list(rows["busy"]) == ["NAME", "TYPE", "PRIORITY", "PHASE", "PROGRESS", "RETRIES", "WORKER", "AGE"]
    assert list(rows["busy"].values())[1:-1] == ["Batch", "High", "Processing", "42%", "0", "busy-abc-1"]
    assert list(rows["fresh"].values())[1:4] == ["Single", "Normal", "Pending"]
    assert rows["done"]["RETRIES"] == "2"
    assert all(re.fullmatch(r"\d+\w?", row["AGE"]) for row in rows.values())


def test_kubectl_shows_more_on_request(listed: ApiServer) -> None:
    rows = table(listed, "crawljobs", "-o", "wide")
    assert (rows["done"]["RESULT"], rows["done"]["DURATION"]) == ("file:///results/done", "1m12s")
    assert rows["fresh"]["REASON"] == "AwaitingOperator"


def test_kubectl_knows_the_short_name_and_the_category(listed: ApiServer) -> None:
    for name in ("crawl", "crawljob", "crawljobs", "crawls", "crawljobs.crawl-operator.io"):
        found = listed.kubectl("-n", "listed", "get", name, "-o", "name").stdout.split()
        assert found == [f"crawljob.crawl-operator.io/{each}" for each in ("busy", "done", "fresh")], name


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("status.phase=Pending", ["fresh"]),
        ("status.phase=Processing", ["busy"]),
        ("status.phase!=Pending", ["busy", "done"]),
        ("spec.type=Batch", ["busy", "done"]),
        ("spec.type=Single", ["fresh"]),
        ("spec.priority=Normal", ["fresh"]),
        ("spec.priority=Critical,status.phase=Completed", ["done"]),
        ("spec.priority=Low", []),
    ],
)
def test_the_api_server_filters(listed: ApiServer, selector: str, names: list[str]) -> None:
    """Also by what nobody wrote: the phase of a new job and the priority of one that names none are defaults."""
    found = listed.kubectl("-n", "listed", "get", "crawl", "--field-selector", selector, "-o", "name").stdout
    assert [line.rsplit("/", 1)[-1] for line in found.split()] == names


def test_the_examples_are_taken(api: ApiServer) -> None:
    files = sorted((ROOT / "examples").glob("*.yaml"))
    assert len(files) >= 3
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            answer = api.create(document["metadata"]["name"], document["spec"])
            assert answer.status == 201, f"{file.name}: {answer.message}"


def test_every_priority_of_the_models_is_one_of_the_api_server(api: ApiServer) -> None:
    for priority in Priority:
        api.created(f"class-{priority.value.lower()}", SINGLE | {"priority": priority.value})
