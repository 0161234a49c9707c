"""Headers from Secrets: sent to the hosts that the job names, and to nobody else."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from operator_stand_in import StandIn, serving
from worker_process import Worker, assignment


def folder(tmp_path: Path, **headers: str) -> str:
    made = tmp_path / "headers"
    (made / "..data").mkdir(parents=True)
    for name, value in headers.items():
        (made / name).write_text(f"{value}\n")
    return str(made)


async def test_only_the_hosts_that_the_job_names_are_sent_the_headers(
    worker: Worker, operator: StandIn, tmp_path: Path
) -> None:
    """Also with robots.txt and for each request; a redirect elsewhere, to another port too, takes them off."""
    seen: dict[str, list[str | None]] = {}

    async def answer(request: web.Request) -> web.Response:
        seen.setdefault(f"{request.url.port}{request.path}", []).append(request.headers.get("Authorization"))
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{other}/there"})
        return web.Response(text="<p>page", content_type="text/html")

    app, elsewhere = web.Application(), web.Application()
    for each in (app, elsewhere):
        each.router.add_get("/{path:.*}", answer)
    async with serving(app) as port, serving(elsewhere) as other:
        urls = [f"http://127.0.0.1:{port}/{path}" for path in ("page", "away")]
        headers = folder(tmp_path, Authorization="Bearer x", **{"X-Api": "y"})
        ended = await worker.run(assignment(operator, *urls), CRAWL_HEADERS=headers)
    assert ended.code == 0, ended.log
    assert seen == {
        f"{port}/robots.txt": ["Bearer x"],
        f"{port}/page": ["Bearer x"],
        f"{port}/away": ["Bearer x"],
        f"{other}/robots.txt": [None],
        f"{other}/there": [None],
    }


@pytest.mark.parametrize("header", [{"Bad Name": "x"}, {"X-Good": "a\nb: c"}, {"Host": "internal"}, {"X": "ä€"}])
async def test_what_is_no_header_is_a_permanent_failure_that_tells_no_secret(
    worker: Worker, operator: StandIn, tmp_path: Path, header: dict[str, Any]
) -> None:
    job = assignment(operator, "http://127.0.0.1:1/")
    ended = await worker.run(job, CRAWL_HEADERS=folder(tmp_path, **header))
    failure = ended.outcome.failure
    assert failure is not None
    assert (failure.code, failure.cause) == ("InvalidParameters", "Permanent")
    assert next(iter(header)) in failure.message
    assert next(iter(header.values())) not in failure.message + ended.log
