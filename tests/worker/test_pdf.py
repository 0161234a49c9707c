"""PDF files: their text and metadata, and a structured error for each that cannot be read."""

import asyncio
import io
import zlib
from typing import Any

import pypdf
import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, peak_memory, records
from worker_site import RAW, Site


def pdf(*pages: str, **info: str) -> bytes:
    """Make a PDF whose pages hold one line of text each."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode())
        page[pypdf.generic.NameObject("/Contents")] = writer._add_object(stream)
        font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
        names = {pypdf.generic.NameObject(key): pypdf.generic.NameObject(value) for key, value in font.items()}
        fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): pypdf.generic.DictionaryObject(names)})
        page[pypdf.generic.NameObject("/Resources")] = pypdf.generic.DictionaryObject(
            {pypdf.generic.NameObject("/Font"): fonts}
        )
    writer.add_metadata({f"/{name}": value for name, value in info.items()})
    return written(writer)


def written(writer: pypdf.PdfWriter) -> bytes:
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def encrypted(body: bytes, password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(body))
    writer.encrypt(password, "owner", algorithm="RC4-128")
    return written(writer)


def job(operator: StandIn, site: Site, *names: str, **more: Any) -> dict[str, Any]:
    urls = [f"{site.url}/raw/{name}" for name in names]
    wanted = {"urls": urls} | more.pop("pdf", {})
    return assignment(operator, *urls, type="Pdf", single=None, batch=None, pdf=wanted, **more)


async def test_text_page_count_and_metadata_are_told(worker: Worker, site: Site, operator: StandIn) -> None:
    """A form feed between two pages; a Content-Type that is wrong does not matter."""
    info = {"Title": "Grüße", "Author": "A. Author", "Subject": "units", "CreationDate": "D:20260301120000Z"}
    RAW["good.pdf"] = ("application/octet-stream", pdf("First page", "Second page", **info))
    ended = await worker.run(job(operator, site, "good.pdf"))
    assert ended.code == 0, ended.log
    (record,) = records(ended)
    assert [page.strip() for page in record["text"].split("\f")] == ["First page", "Second page"]
    assert record["title"] == "Grüße"
    found = record["pdf"]
    assert (found["pages"], found["author"], found["subject"]) == (2, "A. Author", "units")
    assert found["created"] == "D:20260301120000Z"


async def test_each_file_that_cannot_be_read_is_an_error_of_its_own(
    worker: Worker, site: Site, operator: StandIn
) -> None:
    good = pdf("text")
    files = {
        "good.pdf": ("application/pdf", good),
        "open.pdf": ("application/pdf", encrypted(good, "")),
        "locked.pdf": ("application/pdf", encrypted(good, "secret")),
        "cut.pdf": ("application/pdf", good[: len(good) // 3]),
        "rubbish.pdf": ("application/pdf", b"%PDF-1.7\n" + bytes(range(256)) * 100),
        "page.pdf": ("text/html", b"<html>no"),
        "empty.pdf": ("application/pdf", b""),
        "large.pdf": ("application/pdf", good + b"%" * 200_000),
    }
    RAW.update(files)
    ended = await worker.run(job(operator, site, *files, "missing", pdf={"maxBytes": 100_000}))
    assert ended.code == 0, ended.log
    codes = {record["url"].rsplit("/", 1)[1]: record.get("error", {}).get("code") for record in records(ended)}
    assert codes == {
        "good.pdf": None,
        "open.pdf": None,
        "locked.pdf": "PdfEncrypted",
        "cut.pdf": "PdfBroken",
        "rubbish.pdf": "PdfBroken",
        "page.pdf": "NotPdf",
        "empty.pdf": "NotPdf",
        "large.pdf": "BodyTooLarge",
        "missing": "HTTP_500",
    }
    assert all(not error.retryable for error in ended.outcome.errors if error.code.startswith("Pdf"))


async def test_files_beyond_the_limit_of_pages_are_read(worker: Worker, site: Site, operator: StandIn) -> None:
    """`fetch.maxBodyBytes` is for pages; PDFs have a limit of their own, 100 MiB unless the job lowers it."""
    RAW["heavy.pdf"] = ("application/pdf", pdf("heavy") + b"%" * (20 << 20))
    ended = await worker.run(job(operator, site, "heavy.pdf"))
    assert ended.code == 0, ended.log
    assert records(ended)[0]["pdf"]["pages"] == 1


@pytest.mark.parametrize("text", [True, False])
async def test_a_file_that_inflates_without_end_costs_itself_alone(
    worker: Worker, site: Site, operator: StandIn, *, text: bool
) -> None:
    """A page's stream of some kilobytes that comes to gigabytes: the process that reads it is bounded."""
    bomb = zlib.compress(zlib.compress(b"BT " * 100_000_000, 9), 9)
    body = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    body += b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
    body += b"4 0 obj<</Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n%b\nendstream endobj\n" % (len(bomb), bomb)
    body += b"trailer<</Root 1 0 R>>\n"
    RAW["bomb.pdf"] = ("application/pdf", body)
    RAW["after.pdf"] = ("application/pdf", pdf("after"))
    wanted = job(operator, site, "bomb.pdf", "after.pdf", extract={"text": text})
    process = await worker.start(wanted, CRAWL_EXTRACT_TIMEOUT_SECONDS="12", CRAWL_MEMORY_LIMIT_BYTES=str(512 << 20))
    watched = asyncio.create_task(peak_memory(process))
    ended = await worker.end(process)
    assert ended.code == 0, ended.log
    found = {record["url"].rsplit("/", 1)[1]: record for record in records(ended)}
    after = found["after.pdf"]
    assert (after["pdf"]["pages"], after.get("text", "").strip()) == (1, "after" if text else "")
    assert found["bomb.pdf"].get("error", {}).get("code") in {None, "ExtractionFailed", "ExtractionTimeout"}
    assert await watched < 512 << 20, "the limit that workers have by default"
